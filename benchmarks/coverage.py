"""How often intervals hold the truth: 10,000 windows of populations whose truth is known.

    python benchmarks/coverage.py --times 10000 --only psi

Each line is one interval on one population: in how many of 100 windows it holds the truth, lies
below it, lies above it. They promise 95, and what is below 94 is a defect, marked `!`. The
ordinary tests run a part of the same (`tests/plugins/monitors/test_coverage.py`).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HELPERS = Path(__file__).resolve().parents[1] / "tests" / "helpers"
AT_ONCE = 100  # windows of one case that a process takes together


def counted(number: int, seed: int, times: int) -> tuple[int, int, int]:
    """Draw windows of a case; give how often its interval held the truth, was below, was above."""
    import numpy as np
    from populations import CASES

    found = CASES[number].missed(np.random.default_rng([number, seed]), times)
    below, above = int((found < 0).sum()), int((found > 0).sum())
    return times - below - above, below, above


def main() -> None:
    """Run all cases over the cores, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10_000, help="windows of each case")
    parser.add_argument("--only", default="", help="a part of the name")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    said = parser.parse_args()
    from populations import CASES

    print("| interval | population | holds | below | above |\n|---|---|---|---|---|", flush=True)
    seeds = range(said.times // AT_ONCE)
    begun = time.perf_counter()
    with ProcessPoolExecutor(said.processes) as pool:
        for number, case in enumerate(CASES):
            if said.only not in case.interval:
                continue
            parts = [pool.submit(counted, number, seed, AT_ONCE) for seed in seeds]
            holds, below, above = (sum(each) for each in zip(*(p.result() for p in parts),
                                                             strict=True))  # fmt: skip
            total = len(seeds) * AT_ONCE
            mark = " !" if holds < 0.94 * total else ""
            print(f"| {case.interval} | {case.population} | {holds / total:.2%}{mark} "
                  f"| {below / total:.2%} | {above / total:.2%} |", flush=True)  # fmt: skip
    print(f"\n{len(seeds) * AT_ONCE:,} windows each, {time.perf_counter() - begun:.0f} s",
          file=sys.stderr)  # fmt: skip


sys.path.insert(0, str(HELPERS))
if __name__ == "__main__":
    main()
