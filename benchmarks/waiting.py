"""Runs that wait cost nothing but their row: python benchmarks/waiting.py [--runs 100000]

Measured against a database without any: memory of the daemon, its start-up, waking 1,000 runs,
and workload W1 beside those that wait. Each part is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import wait
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".cache"
WOKEN = 1000


def main() -> None:
    """Measure everything and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--w1-runs", type=int, default=3000)
    parser.add_argument("--directory", type=Path, default=CACHE)
    parser.add_argument("--part", choices=("fill", "look"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(PARTS[given.part](given.directory, given.runs)))
        return
    given.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.directory, prefix="waiting-") as name:
        print(json.dumps(measure(Path(name), given.runs, given.w1_runs)))


def measure(place: Path, runs: int, w1_runs: int) -> dict[str, Any]:
    """Compare a database with so many waiting runs with one that has as many as are woken."""
    filled = _part("fill", place / "many", runs)
    _part("fill", place / "few", WOKEN)
    few, many = _part("look", place / "few", WOKEN), _part("look", place / "many", runs)
    beside_many = place / "many" / "bench.db"
    w1 = [w1_beside(place, w1_runs, file)["rate"] for file in (None, beside_many) * 2]
    alone, beside = max(w1[0], w1[2]), max(w1[1], w1[3])
    return {
        "waiting": runs, "opened_per_second": filled["rate"],
        "bytes_each": round((place / "many" / "bench.db").stat().st_size / runs),
        "memory_mb": many["memory_mb"], "memory_mb_against_none": few["memory_mb"],
        "growth_mb": round(many["memory_mb"] - few["memory_mb"], 1),
        "start_seconds": many["start_seconds"], "wake_1000_seconds": many["wake_seconds"],
        "w1_alone": round(alone), "w1_beside": round(beside), "of_alone": round(beside / alone, 2),
    }  # fmt: skip


def fill_part(place: Path, runs: int) -> dict[str, Any]:
    """Open the runs."""
    from bench import engine_on, fill

    with engine_on(place) as (engine, definition):
        began = time.perf_counter()
        fill(engine, definition, runs)
        return {"rate": round(runs / (time.perf_counter() - began))}


def look_part(place: Path, runs: int) -> dict[str, Any]:
    """Start on the database, make one transition, then wake a thousand runs."""
    from bench import engine_on, one, resident_mb

    from waystage.kernel import events

    began = time.perf_counter()
    with engine_on(place) as (engine, _):
        engine.submit(1, events.signal("again", {})).result(timeout=60)
        start = time.perf_counter() - began
        time.sleep(1.5)  # what a daemon does now and then has been done once
        memory = resident_mb()
        began = time.perf_counter()
        numbers = range(1, runs + 1, max(runs // WOKEN, 1))
        wait([engine.submit(no, events.signal("go", {})) for no in numbers])
        woken = time.perf_counter() - began
        ended = one(engine.store, "SELECT count(*) FROM runs WHERE status = 'ended'")
    if ended != len(numbers):
        raise SystemExit(f"{ended} runs ended, not {len(numbers)}")
    return {"start_seconds": round(start, 2), "memory_mb": round(memory, 1),
            "wake_seconds": round(woken, 3)}  # fmt: skip


PARTS = {"fill": fill_part, "look": look_part}


def _part(part: str, place: Path, runs: int) -> dict[str, Any]:
    script = str(HERE / "waiting.py")
    return _ask(script, "--part", part, "--directory", str(place), "--runs", str(runs))


def look(place: Path, runs: int) -> dict[str, Any]:
    """Look at a database that holds so many runs, in a process of its own."""
    return _part("look", place, runs)


def w1_beside(
    place: Path, runs: int, beside: Path | None = None, *, in_flight: int = 64
) -> dict[str, float]:
    """Run W1 on a copy of that database, or on a fresh one."""
    copy = place / "w1"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    if beside is not None:
        shutil.copy(beside, copy / "bench.db")
    url = f"sqlite:///{copy / 'bench.db'}"
    size = ("--runs", str(runs), "--in-flight", str(in_flight))
    script = str(HERE / "ours_w1.py")
    return _ask(script, *size, "--place", str(copy), "--database", url)


def _ask(*command: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"{Path(command[0]).name} failed with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
