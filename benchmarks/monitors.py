"""Drift beside evidently (PSI) and NannyML (Jensen-Shannon) on the same windows.

    python benchmarks/monitors.py --rows 20000 --evidently PYTHON --nannyml PYTHON

PYTHON is an interpreter of an environment of its own: `pip install evidently "pandas<3"`, and
`pip install nannyml statsmodels "pandas<3"`. Without it that side is left out. Told are values,
verdicts (each with its own customary limit), time and memory.
Every side runs in a process of its own. Ours reads the scoring log (SQLite, inputs as JSON)
as it does in production; the peer gets CSV files, and loading them counts as reading does.
Beside the time on the clock stands what the process took of a processor, its imports included:
on a machine that others use, too, that is the one to go by. Peak memory is told for the size
asked for and for ten times as many rows on our side.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
COLUMNS = ("score", "income", "age", "city")
WINDOWS = ("baseline", "nothing changed", "score a little higher", "income doubled", "a new city",
           "age missing in a tenth", "one constant age", "300 rows, nothing changed")  # fmt: skip
WARN, BREACH = {"psi": 0.1, "js": 0.1}, {"psi": 0.25, "js": 0.2}


def rows_of(number: int, size: int) -> Iterator[dict[str, Any]]:
    """Draw one window; its number says what has changed."""
    import numpy as np

    random, what = np.random.default_rng(number), WINDOWS[number]
    size = 300 if what.startswith("300") else size
    scores = np.clip(random.beta(2, 5, size) + (0.05 if what.startswith("score") else 0), 0, 1)
    income = random.lognormal(8, 0.5, size) * (2 if what.startswith("income") else 1)
    cities = ["Ulm", "Bonn", "Rom" if what == "a new city" else "Kiel"]
    city, age = random.choice(cities, size), random.integers(18, 80, size).astype(float)
    gone = random.random(size) < 0.1
    for n in range(size):
        lost = what.startswith("age missing") and gone[n]
        years = None if lost else 42.0 if what.startswith("one constant") else float(age[n])
        yield {"score": float(scores[n]), "income": float(income[n]), "age": years,
               "city": str(city[n])}  # fmt: skip


def write(place: Path, size: int, *, peers: bool) -> None:
    """Keep all windows: one a day in the scoring log, and one CSV file each."""
    from waystage.plugin import ScoredRow
    from waystage_plugins.scoring import SqliteScoringLog

    log = SqliteScoringLog(path=place / "scores.db")
    for number in range(len(WINDOWS)):
        at = START + number * DAY
        log.append(
            ScoredRow(f"{number}-{n}", at, "credit", "PROD", "credit/1", "champion",
                      row["score"], {name: row[name] for name in COLUMNS[1:]})
            for n, row in enumerate(rows_of(number, size))
        )  # fmt: skip
        if peers:
            with (place / f"{number}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows_of(number, size))


def ours(place: Path, name: str) -> dict[str, Any]:
    """Measure every window against the first one by `psi` or `js`, as a run does."""
    from waystage.plugin import Column, Minimum, Snapshot, Window
    from waystage.testing import FakeContext
    from waystage_plugins.monitors import JsMonitor, PsiMonitor
    from waystage_plugins.scoring import SqliteScoringLog

    types = {"income": "number", "age": "number", "city": "string"}
    inputs = tuple(Column.model_validate({"name": n, "type": t}) for n, t in types.items())
    snapshot = Snapshot(name="credit", version="1", digest="sha256:" + "0" * 64, inputs=inputs)
    ctx = FakeContext(place, service="credit", stage="PROD", snapshot=snapshot,
                      scoring_log=SqliteScoringLog(path=place / "scores.db"))  # fmt: skip
    ctx.clock.turn(timedelta(days=365))
    found, begun = {}, time.perf_counter()
    for number in range(1, len(WINDOWS)):
        window = Window(start=START + number * DAY, end=START + (number + 1) * DAY)
        kind = PsiMonitor if name == "psi" else JsMonitor
        measured = kind(since=START).measure(ctx, window, Minimum())
        ctx.memo = measured.keep or ctx.memo
        notes = measured.notes.items()
        shown = {name[7:].strip("()"): value for name, value in notes if name.startswith("column ")}
        value, noise = measured.value or 0.0, measured.noise or 0.0
        verdict = "breach" if value > BREACH[name] else "warn" if value > WARN[name] else "ok"
        verdict = "insufficient" if noise > WARN[name] else verdict
        found[WINDOWS[number]] = {"distance": shown, "noise": noise, "verdict": verdict}
    return {"windows": found, "seconds": time.perf_counter() - begun}


def side(name: str, place: Path, python: str) -> dict[str, Any] | None:
    """Run one side in a process of its own."""
    script = [str(HERE / "monitors.py"), "--side", str(place), "--measure", name.split()[0]]
    if not name.endswith("ours"):
        name = name.split()[1]
        script = [str(HERE / "peers" / f"{name}_drift.py"), str(place), json.dumps(WINDOWS)]
    before = child_seconds()
    done = subprocess.run([python, *script], capture_output=True, text=True, check=False)
    used = child_seconds() - before
    if done.returncode:
        print(f"{name}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
        return None
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer | {"processor": used}


def child_seconds() -> float:
    """Give the processor time of the processes that were run and have ended."""
    told = resource.getrusage(resource.RUSAGE_CHILDREN)
    return told.ru_utime + told.ru_stime


def show(sides: dict[str, dict[str, Any]]) -> None:
    """Print the farthest column of each window, and the verdicts, side by side."""
    print(f"{'window':28}" + "".join(f"{name:>30}" for name in sides))
    for window in WINDOWS[1:]:
        line = f"{window:28}"
        for found in sides.values():
            each = found["windows"][window]
            apart = each["distance"]
            worst = max(apart, key=lambda column: apart[column])
            line += f"{worst:>9} {apart[worst]:7.4f} {each['verdict']:>12}"
        print(line)
    for name, found in sides.items():
        tell(name, found)


def tell(name: str, found: dict[str, Any]) -> None:
    """Print what a side took."""
    print(f"{name}: {found['seconds']:.2f} s, of a processor {found['processor']:.2f} s, "
          f"peak {found['peak_mb']:.0f} MB")  # fmt: skip


def peak_mb() -> float:
    """Give the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Write the windows, run the sides, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="of a window")
    parser.add_argument("--evidently", help="an interpreter that has evidently")
    parser.add_argument("--nannyml", help="an interpreter that has NannyML")
    parser.add_argument("--measure", default="psi", help=argparse.SUPPRESS)
    parser.add_argument("--side", type=Path, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.side:
        print(json.dumps(ours(said.side, said.measure) | {"peak_mb": peak_mb()}))
        return
    sides = {"psi ours": sys.executable, "psi evidently": said.evidently,
             "js ours": sys.executable, "js nannyml": said.nannyml}  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        write(place, said.rows, peers=True)
        found = {name: side(name, place, python) for name, python in sides.items() if python}
        show({name: each for name, each in found.items() if each})
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory), 10 * said.rows, peers=False)
        if large := side("psi ours", Path(directory), sys.executable):
            print("ten times as many rows:")
            tell("psi ours", large)


if __name__ == "__main__":
    main()
