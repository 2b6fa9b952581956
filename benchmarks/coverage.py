"""How often intervals hold the truth: 10,000 windows of populations whose truth is known.

    python benchmarks/coverage.py --only drift.psi          prints the rows of an interval
    python benchmarks/coverage.py --only drift.psi --keep   writes them to docs/coverage.md too

Each line is one interval on one population: in how many of 100 windows it holds the truth, lies
below it, lies above it. They promise 95, and what is below 94 is a defect, marked `!`. `--keep`
goes on from the windows that are there, so it may be ended at any time; after a change of a
method say `--anew`. The ordinary tests draw a few windows of the same
(`tests/plugins/monitors/test_coverage.py`).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from coverage_page import Row

HELPERS = Path(__file__).resolve().parents[1] / "tests" / "helpers"
AT_ONCE = 100  # windows of one case that a process takes together
BETWEEN = 1000  # windows after which a row is kept


def counted(number: int, seed: int) -> tuple[int, int]:
    """Draw windows of a case; give how often its interval lay below the truth, and above it."""
    import numpy as np
    from coverage_cases import CASES

    case = CASES[number]
    # seeded by its name, so that a case that is added changes no other
    name = crc32(f"{case.interval}: {case.population}".encode())
    found = case.missed(np.random.default_rng([name, seed]), AT_ONCE)
    return int((found < 0).sum()), int((found > 0).sum())


def drawn(pool: ProcessPoolExecutor, number: int, said: argparse.Namespace) -> Row:
    """Draw the windows of a case that are not there yet; give its row, kept if asked for."""
    from coverage_cases import CASES
    from coverage_page import kept, put

    case = CASES[number]
    row = kept(case.interval, case.population, anew=said.anew or not said.keep)
    seeds = range(row["windows"] // AT_ONCE, said.times // AT_ONCE)
    for part in [pool.submit(counted, number, seed) for seed in seeds]:
        below, above = part.result()
        row["windows"] += AT_ONCE
        row["below"] += below
        row["above"] += above
        if said.keep and (row["windows"] % BETWEEN == 0 or row["windows"] == said.times):
            put(row, [(each.interval, each.population) for each in CASES])
    return row


def main() -> None:
    """Run cases over the cores, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10_000, help="windows of each case")
    parser.add_argument("--only", default=[], action="append", help="the name of an interval")
    parser.add_argument("--among", default="", help="a part of the name of the population")
    parser.add_argument("--keep", action="store_true", help="write docs/coverage.md")
    parser.add_argument("--anew", action="store_true", help="forget the windows that were kept")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    said = parser.parse_args()
    from coverage_cases import CASES
    from coverage_page import TABLE, line

    print("\n".join(TABLE), flush=True)
    begun = time.perf_counter()
    with ProcessPoolExecutor(said.processes) as pool:
        for number, case in enumerate(CASES):
            if (not said.only or case.interval in said.only) and said.among in case.population:
                print(line(drawn(pool, number, said)), flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s", file=sys.stderr)


sys.path.insert(0, str(HELPERS))
if __name__ == "__main__":
    main()
