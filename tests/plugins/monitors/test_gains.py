"""Gains of one model over another, on the same requests and on different ones."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from waystage_plugins.monitors.statistics import bootstrap, paired, unpaired
from waystage_plugins.monitors.statistics.paired import Pairs
from waystage_plugins.monitors.statistics.unpaired import Sample

METRICS = ["auc", "gini", "ks", "brier"]


def scene(size: int, seed: int, gain: float = 1.0) -> Pairs:
    """The challenger knows `gain` of the truth beyond what both know."""
    random = np.random.default_rng(seed)
    logit, known = random.normal(size=size), random.normal(size=size)
    event = (random.random(size) < 1 / (1 + np.exp(-logit - known))).astype(np.int64)
    champion, challenger = (1 / (1 + np.exp(-x)) for x in (known, known + gain * logit))
    return Pairs(champion, challenger, event)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_answers_gain_exactly_nothing(metric: str) -> None:
    pairs = scene(500, 1, gain=0.0)
    found = paired.GAINS[metric](pairs, 0.95)
    assert (found.gain, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("level", [0.95, 0.9999995])
def test_the_same_data_give_the_same_interval_and_who_is_surer_a_wider_one(
    metric: str, level: float
) -> None:
    pairs = scene(800, 2)
    found, again = (paired.GAINS[metric](pairs, level) for _ in range(2))
    assert found == again
    assert found.low <= found.gain <= found.high
    narrow = paired.GAINS[metric](pairs, 0.9)
    assert found.low < narrow.low
    assert found.high > narrow.high


def test_brier_falls_where_the_challenger_is_better() -> None:
    pairs = scene(3000, 3)
    found = paired.brier_gain(pairs)
    assert found.champion == pytest.approx(float(((pairs.champion - pairs.event) ** 2).mean()))
    assert found.gain == pytest.approx(found.champion - found.challenger)
    assert 0 < found.low < found.gain < found.high < 0.2


def test_gini_is_twice_the_gain_in_auc() -> None:
    pairs = scene(600, 4)
    gini, auc = paired.gini_gain(pairs), paired.auc_gain(pairs)
    assert (gini.gain, gini.low, gini.high) == pytest.approx(
        (2 * auc.gain, 2 * auc.low, 2 * auc.high)
    )
    assert gini.champion == pytest.approx(2 * auc.champion - 1)


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_cover_what_they_promise(metric: str) -> None:
    truth = paired.GAINS[metric](scene(100_000, 99), 0.95).gain
    trials, missed_paired, missed_unpaired = 80, 0, 0
    for seed in range(trials):
        pairs, others = scene(600, 2 * seed + 100), scene(600, 2 * seed + 101)
        found = paired.GAINS[metric](pairs, 0.95)
        missed_paired += not found.low <= truth <= found.high
        apart = unpaired.GAINS[metric](
            Sample(pairs.champion, pairs.event), Sample(others.challenger, others.event), 0.95
        )
        missed_unpaired += not apart.low <= truth <= apart.high
    # 95% promised: more than 11 of 80 would be one case in 1,000
    assert missed_paired <= 11
    assert missed_unpaired <= 11


@pytest.mark.parametrize("metric", METRICS)
def test_who_cannot_pair_knows_less(metric: str) -> None:
    pairs = scene(1000, 7)
    together = paired.GAINS[metric](pairs, 0.95)
    apart = unpaired.GAINS[metric](
        Sample(pairs.champion, pairs.event), Sample(pairs.challenger, pairs.event), 0.95
    )
    assert apart.gain == pytest.approx(together.gain)
    assert apart.high - apart.low > together.high - together.low


def against_few(
    random: np.random.Generator, noises: tuple[float, float], events: tuple[int, int]
) -> tuple[Sample, Sample]:
    """One signal through the noise of each model, on so many events each and four times others."""
    both = []
    for noise, number in zip(noises, events, strict=True):
        event = np.repeat([1, 0], [number, 4 * number]).astype(np.int64)
        seen = event + random.normal(0, (1 + noise**2) ** 0.5, len(event))
        both.append(Sample(seen, event))
    return both[0], both[1]


@pytest.mark.parametrize("metric", ["auc", "ks"])
def test_an_equal_challenger_that_saw_few_requests_is_not_called_better(metric: str) -> None:
    random, trials = np.random.default_rng(12), {"auc": 1000, "ks": 120}[metric]
    events = {"auc": 10, "ks": 20}[metric]
    better = 0
    for _ in range(trials):
        models = against_few(random, (0.5, 0.5), (10 * events, events))
        better += unpaired.GAINS[metric](*models, 0.95).low > 0
    # 25 of 1,000 are promised: what more than three standard errors add is a defect
    assert better / trials <= 0.025 + 3 * (0.025 * 0.975 / trials) ** 0.5


def test_a_gain_over_scores_that_tell_nothing_is_held() -> None:
    random, trials, missed = np.random.default_rng(13), 120, 0
    truth = 2 * NormalDist().cdf(0.5 / (1 + 0.4**2) ** 0.5) - 1
    for _ in range(trials):
        found = unpaired.ks_gain(*against_few(random, (1e6, 0.4), (20, 200)), 0.95)
        missed += not found.low <= truth <= found.high
    assert missed <= 11  # 6 are promised; more are one case in 50


@pytest.mark.parametrize("counts", [[3, 0, 20, 1, 36], [1], [2] * 700], ids=len)
def test_resamples_do_not_depend_on_how_many_are_drawn_together(
    counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = np.array(counts)
    together, parts = np.random.default_rng(14), np.random.default_rng(14)
    every = bootstrap.drawn(together, cells, 50)
    monkeypatch.setattr(bootstrap, "AT_ONCE", 3 * cells.sum())
    assert (bootstrap.drawn(parts, cells, 50) == every).all()
    assert (every.sum(axis=1) == cells.sum()).all()
    assert every.mean(axis=0) == pytest.approx(cells, abs=5 * (cells.max() / 50) ** 0.5)
