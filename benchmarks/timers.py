"""Timers that are all due at once, and a run with a long history: python benchmarks/timers.py

100,000 runs wait for a day; the clock is turned by two. Every timer must have fired once. Then
one run makes 10,000 transitions, and its last ones are held against its first.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import engine_on, fill, one

from waystage.daemon.engine import Engine
from waystage.kernel import events

CACHE = Path(__file__).resolve().parent.parent / ".cache"
FIRED = "SELECT count(*) FROM runs WHERE status = 'ended'"
PART = 500


class TurnedClock:
    """Shows the machine's time, or as much later as it was turned."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        """Give the instant in UTC."""
        return datetime.now(UTC) + self.ahead


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timers", type=int, default=100_000)
    parser.add_argument("--transitions", type=int, default=10_000)
    parser.add_argument("--directory", type=Path, default=CACHE)
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.directory, prefix="timers-") as name:
        found = due_at_once(Path(name) / "timers", given.timers)
        found |= long_history(Path(name) / "history", given.transitions)
    print(json.dumps(found))


def due_at_once(place: Path, timers: int) -> dict[str, Any]:
    """Have all timers due in one instant; raises when one is lost or fired twice."""
    clock = TurnedClock()
    with engine_on(place, clock) as (engine, definition):
        fill(engine, definition, timers)
        began = time.perf_counter()
        clock.ahead = timedelta(days=2)
        engine.turned()
        _settle(engine)
        seconds = time.perf_counter() - began
        fired = one(engine.store, FIRED)
        rows = one(engine.store, "SELECT count(*) FROM history")
    if rows != 2 * fired:
        raise SystemExit(f"{rows} history rows for {fired} runs: a timer fired twice")
    return {"timers": timers, "lost": timers - fired, "fired_per_second": round(timers / seconds)}


def _settle(engine: Engine) -> None:
    while one(engine.store, "SELECT count(*) FROM timers"):
        if engine.failure is not None:
            raise SystemExit(f"the engine stopped: {engine.failure}")
        time.sleep(0.05)


def long_history(place: Path, transitions: int) -> dict[str, Any]:
    """Give how long the first and the last moves of a run took."""
    took = moved(place, transitions)
    parts = {"first": took[:PART], "last": took[-PART:]}
    found = {name: round(sorted(part)[len(part) // 2] * 1e6) for name, part in parts.items()}
    return {"transitions": transitions, "median_us_first_500": found["first"],
            "median_us_last_500": found["last"]}  # fmt: skip


def moved(place: Path, transitions: int) -> list[float]:
    """Move one run again and again; give the seconds of each move."""
    took = []
    with engine_on(place) as (engine, definition):
        fill(engine, definition, 1)
        for _ in range(transitions):
            began = time.perf_counter()
            engine.submit(1, events.signal("again", {})).result(timeout=60)
            took.append(time.perf_counter() - began)
    return took


if __name__ == "__main__":
    main()
