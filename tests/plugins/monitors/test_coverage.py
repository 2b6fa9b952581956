"""Intervals cover the truth as often as they say, on populations whose truth is known.

A part of what `benchmarks/coverage.py` draws: few windows here, thousands there, which are kept
in docs/coverage.md.
"""

from __future__ import annotations

import coverage_page
import numpy as np
import pytest
from coverage_cases import CASES
from coverage_page import LEAST
from populations import Case

from waystage_plugins.monitors.statistics.shares import wilson

NOMINAL = 0.95
QUICK = ("auc, gini", "brier", "accuracy", "f1", "lift", "calibration", "rmse", "r2",
         "quality.log", "fairness", "decay")  # fmt: skip


def is_quick(case: Case) -> bool:
    return case.interval in QUICK and "KS" not in case.population  # a decay of KS is resampled


def name(case: Case) -> str:
    return f"{case.interval}: {case.population}"


def least(times: int) -> float:
    """Give what an interval that holds its promise still reaches in 9,999 of 10,000 such tests."""
    return LEAST - 3.72 * (LEAST * (1 - LEAST) / times) ** 0.5


@pytest.mark.parametrize("case", [c for c in CASES if is_quick(c)], ids=name)
def test_intervals_hold_the_truth(case: Case) -> None:
    times = 200
    missed = case.missed(np.random.default_rng(1), times)
    assert (missed == 0).mean() >= least(times)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if not is_quick(c)], ids=name)
def test_intervals_from_resamples_hold_the_truth(case: Case) -> None:
    times = 25
    missed = case.missed(np.random.default_rng(2), times)
    assert (missed == 0).mean() >= least(times)


@pytest.mark.skipif(
    not coverage_page.ROWS.is_file(), reason="the checkout's docs are not beside the tests"
)
def test_the_page_has_every_case_and_none_that_fails() -> None:
    rows = coverage_page.known()
    again = "run `python benchmarks/coverage.py --keep`"
    assert coverage_page.PAGE.read_text() == coverage_page.page(rows), again
    assert {*map(coverage_page.named, rows)} == {(c.interval, c.population) for c in CASES}, again
    # of 10,000 windows the promise itself is asked for, of fewer what chance leaves of it
    failing = [row for row in rows if coverage_page.holds(row) < (
        LEAST if row["windows"] >= 10_000 else least(row["windows"]))]  # fmt: skip
    assert failing == []


def test_a_case_that_does_not_hold_is_found() -> None:
    def window(random: np.random.Generator) -> tuple[tuple[float, float], float]:
        middle = random.normal()
        return (middle - 1.4, middle + 1.4), 0.0  # 84 of 100

    missed = Case("a normal mean", "too narrow", window).missed(np.random.default_rng(3), 1000)
    assert (missed == 0).mean() < least(1000)


@pytest.mark.parametrize("rows", [200, 1000])
def test_wilsons_interval_covers_what_it_says_on_the_average_of_all_shares(rows: int) -> None:
    from scipy.stats import binom

    hits = np.arange(rows + 1)
    bounds = np.array([wilson(int(each), rows) for each in hits])
    shares = np.linspace(0.01, 0.99, 99)
    inside = (bounds[:, :1] <= shares) & (shares <= bounds[:, 1:])
    covered = (binom.pmf(hits[:, None], rows, shares) * inside).sum(axis=0)
    assert abs(covered.mean() - NOMINAL) < 0.005
    assert covered.min() > NOMINAL - 0.04  # shares are discrete: single ones go up and down
