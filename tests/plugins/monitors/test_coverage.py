"""Intervals cover the truth as often as they say: 10,000 simulations of known populations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from waystage_plugins.monitors.statistics import brier, calibration, confusion, lift, regression
from waystage_plugins.monitors.statistics.auc import auc
from waystage_plugins.monitors.statistics.auc import interval as auc_interval
from waystage_plugins.monitors.statistics.counts import Counts, Floats
from waystage_plugins.monitors.statistics.shares import wilson

TIMES = 10_000
NOMINAL = 0.95
CUT = 0.2
TOP = 0.1

Interval = tuple[float, float]


class Population:
    """Scores that are too low by a power of 1.2, and events as often as the probabilities say."""

    def __init__(self, level: float, spread: float) -> None:
        self.level, self.spread = level, spread
        chances = np.sort(self.chances(np.random.default_rng(1), 2_000_000))
        scores, rate = chances**1.2, chances.mean()
        called = scores >= CUT
        at_top = scores >= np.quantile(scores, 1 - TOP)
        hits = np.mean(chances * called)
        # events rise with the score, so the AUC is the mean rank of events among non-events
        below = np.cumsum(1 - chances) - (1 - chances) / 2
        self.truth = {
            "auc": float((chances * below).sum() / (chances.sum() * (1 - chances).sum())),
            "brier": float(np.mean(chances * (1 - scores) ** 2 + (1 - chances) * scores**2)),
            "accuracy": float(np.mean(np.where(called, chances, 1 - chances))),
            "f1": float(2 * hits / (called.mean() + rate)),
            "lift": float(np.mean(chances * at_top) / rate / at_top.mean()),
        }

    def chances(self, random: np.random.Generator, size: int) -> Floats:
        """Draw probabilities of the event."""
        drawn: Floats = 1 / (1 + np.exp(-(self.level + self.spread * random.normal(size=size))))
        return drawn

    def intervals(self, random: np.random.Generator, size: int) -> Iterator[tuple[str, Interval]]:
        """Draw a window and give the interval of every statistic."""
        chances = np.sort(self.chances(random, size))
        event = (random.random(size) < chances).astype(np.int64)
        score, counts = chances**1.2, Counts(event, 1 - event)
        cut, top = confusion.confusion(score, counts, CUT), lift.lift(counts, TOP)
        yield "auc", auc_interval(auc(counts), counts)
        yield "brier", brier.interval(brier.brier(score, counts))
        yield "accuracy", confusion.accuracy_interval(cut)
        yield "f1", confusion.f1_interval(cut)
        yield "lift", lift.interval(top, counts, TOP)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "spread", "size"), [(-1.0, 1.0, 2000), (-2.5, 1.2, 5000)], ids=["usual", "rare"]
)
def test_intervals_of_performance_cover_the_truth(level: float, spread: float, size: int) -> None:
    population, random = Population(level, spread), np.random.default_rng(2)
    hits = Counter[str]()
    for _ in range(TIMES):
        for name, (low, high) in population.intervals(random, size):
            hits[name] += low <= population.truth[name] <= high
    short = {name: hits[name] / TIMES for name in population.truth
             if hits[name] / TIMES < NOMINAL - 0.01}  # fmt: skip
    assert short == {}


@pytest.mark.slow
def test_intervals_of_regressions_cover_the_truth() -> None:
    random, hits = np.random.default_rng(3), np.zeros(2)
    for _ in range(TIMES):
        predicted = random.normal(size=400)
        true = predicted + random.normal(0, 0.7, 400)
        found = regression._around_mean(regression._powers(true - predicted, true) / 400, 400, 0.0)
        low, high = regression.rmse_interval(found)
        hits[0] += low <= 0.7 <= high
        low, high = regression.r2_interval(found)
        hits[1] += low <= 1 - 0.49 / 1.49 <= high
    assert (hits / TIMES >= NOMINAL - 0.01).all(), hits / TIMES


@pytest.mark.parametrize("truth", [0.0, 0.02, 0.3])
def test_the_interval_of_calibration_covers_the_truth_of_its_bins(truth: float) -> None:
    random, hits, size = np.random.default_rng(4), 0, 2000
    chances = np.repeat(np.linspace(0.05, 0.65, 10), size // 10)
    score = chances + truth * np.where(chances > 0.3, 1, 0.5)
    error = float(np.abs(score - chances).mean())
    for _ in range(2000):
        event = (random.random(size) < chances).astype(np.int64)
        low, high = calibration.interval(calibration.binned(score, Counts(event, 1 - event), 10))
        hits += low <= error <= high
    assert hits / 2000 >= NOMINAL - 0.01


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
