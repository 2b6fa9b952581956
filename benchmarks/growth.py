"""How cost grows: python benchmarks/growth.py [--runs 1000000] [--json FILE]

Three curves on SQLite: transitions per second by runs in flight; transitions per second, waking
and memory by runs that wait; the time of one transition by the length of the run's history.
Drawn by benchmarks/draw_growth.py.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import engine_on, fill
from rich.progress import track
from timers import moved
from waiting import CACHE, look, w1_beside

IN_FLIGHT = (1, 2, 4, 8, 16, 32, 64)
WAITING = (1_000, 10_000, 100_000, 1_000_000)
LENGTHS = (10, 100, 1_000, 10_000)


def main() -> None:
    """Measure all curves and print them, or write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=WAITING[-1], help="most runs that wait")
    parser.add_argument("--w1-runs", type=int, default=3000)
    parser.add_argument("--directory", type=Path, default=CACHE)
    parser.add_argument("--json", type=Path, help="a file for the figures")
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.directory, prefix="growth-") as name:
        found = json.dumps(measure(Path(name), given.runs, given.w1_runs), indent=1)
    if given.json:
        given.json.write_text(found + "\n")
    else:
        sys.stdout.write(found + "\n")


def measure(place: Path, most: int, w1_runs: int) -> dict[str, Any]:
    """Give the three curves, each a list of points."""
    return {
        "in_flight": [in_flight(place, number, w1_runs) for number in _shown(IN_FLIGHT, "flight")],
        "waiting": [waiting(place, number, w1_runs)
                    for number in _shown([n for n in WAITING if n <= most], "waiting")],
        "history": history(place / "history"),
    }  # fmt: skip


def _shown(numbers: Any, what: str) -> Any:
    return track(numbers, description=what)


def in_flight(place: Path, number: int, runs: int) -> dict[str, Any]:
    """Run W1 with so many runs in flight."""
    found = w1_beside(place, max(runs * number // 64, 100), in_flight=number)
    return {"in_flight": number, "rate": round(found["rate"]),
            "p99_ms": round(found["p99_seconds"] * 1000, 1)}  # fmt: skip


def waiting(place: Path, number: int, runs: int) -> dict[str, Any]:
    """Look at a database with so many runs that wait, and run W1 beside them."""
    home = place / "many"
    with engine_on(home) as (engine, definition):
        fill(engine, definition, number)
    beside = w1_beside(place, runs, home / "bench.db")
    found = look(home, number)
    shutil.rmtree(home)
    return {"waiting": number, "w1_rate": round(beside["rate"]), **found}


def history(place: Path) -> list[dict[str, Any]]:
    """Move one run again and again; give the median time of the moves up to each length."""
    took = moved(place, LENGTHS[-1])
    points = []
    for length in LENGTHS:
        part = sorted(took[max(length - max(length // 2, 10), 0) : length])
        points.append({"rows": length, "median_us": round(part[len(part) // 2] * 1e6)})
    return points


if __name__ == "__main__":
    main()
