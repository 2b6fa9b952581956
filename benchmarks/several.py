"""Workload W1 by one daemon and by several, on one PostgreSQL server, in one run.

Every daemon opens runs of its own and holds the database against what it counted: each run
ended, each answer once. The rate of several is all transitions from the first one's beginning to
the last one's end. The server shares the cores with the daemons, so that a machine needs some
four of them before a second daemon can show what it brings.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from postgres import server

HERE = Path(__file__).resolve().parent
STEPS = 10


def main() -> None:
    """Measure one, then several, and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--daemons", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3000, help="of each daemon (default 3000)")
    parser.add_argument("--in-flight", type=int, default=64, help="of each daemon (default 64)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    given = parser.parse_args()
    with server() as made, tempfile.TemporaryDirectory() as place:
        one = measure(given, made.database(), Path(place) / "one", 1)
        many = measure(given, made.database(), Path(place) / "many", given.daemons)
    found = {"daemons": given.daemons, "cores": os.cpu_count(), "one": round(one),
             "several": round(many), "ratio": round(many / one, 2)}  # fmt: skip
    print(json.dumps(found) if given.json else words(found))


def measure(given: argparse.Namespace, database: str, place: Path, daemons: int) -> float:
    """Give the transitions per second of so many daemons together."""
    command = [sys.executable, str(HERE / "ours_w1.py"), "--database", database,
               "--runs", str(given.runs), "--in-flight", str(given.in_flight)]  # fmt: skip
    started = [
        subprocess.Popen([*command, "--place", str(place / str(n))], stdout=subprocess.PIPE)
        for n in range(daemons)
    ]
    told = [each.communicate()[0] for each in started]
    if any(each.returncode for each in started):
        sys.exit("a daemon failed; what it said is above")
    found = [json.loads(line) for line in told]
    seconds = max(each["ended"] for each in found) - min(each["began"] for each in found)
    return daemons * given.runs * STEPS / seconds


def words(found: dict[str, int | float | None]) -> str:
    """Say what was found."""
    return (
        f"one daemon: {found['one']:,} transitions/s; {found['daemons']}: {found['several']:,}, "
        f"that is {found['ratio']} x, on {found['cores']} cores"
    )


if __name__ == "__main__":
    main()
