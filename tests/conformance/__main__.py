"""Holds the kernel and the expressions against the public suites; `make conformance` calls it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))


def main() -> int:
    """Fetch, or judge and tell: 1 if a case failed, fewer passed than before, or a suite lacks."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("--fetch", action="store_true", help="get the suites into .cache and end")
    parser.add_argument("--write", action="store_true", help="record the numbers, write the page")
    asked = parser.parse_args()
    return _fetched() if asked.fetch else _judged(write=asked.write)


def _fetched() -> int:
    from suites import fetch

    troubles = fetch()
    print(*troubles, sep="\n", end="\n" if troubles else "")
    return 1 if troubles else 0


def _judged(*, write: bool) -> int:
    import tally_report
    from judging import FAILED
    from rich.console import Console
    from suites import NotThere

    console = Console()
    try:
        found = tally_report.tallies()
    except NotThere as trouble:
        console.print(f"NOT TESTED: {trouble}", style="red")
        return 1
    tally_report.show(found, console)
    failed = sum(tally.count(FAILED) for tally in found.values())
    if write and not failed:
        tally_report.write(found)
    fewer = tally_report.shrunk(found)
    for line in fewer:
        console.print(f"FEWER THAN BEFORE {line}", style="red")
    return 1 if failed or fewer else 0


if __name__ == "__main__":
    sys.exit(main())
