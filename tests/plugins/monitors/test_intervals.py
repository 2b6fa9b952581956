"""Intervals hold what they promise: shown on populations whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waystage_plugins.monitors.statistics import bootstrap
from waystage_plugins.monitors.statistics.counts import Counts, Floats, Integers, raw
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.monitors.statistics.paired import Gain, Pairs, auc_gain, ks_gain

NORMAL = NormalDist()


def two_normals(random: np.random.Generator, shift: float, events: int, others: int) -> Counts:
    """Non-events are N(0, 1), events N(shift, 1)."""
    scores = np.concatenate([random.normal(shift, 1, events), random.normal(0, 1, others)])
    return raw(scores, np.repeat([1, 0], [events, others]))


def two_models(
    random: np.random.Generator, noises: tuple[float, float], events: int, others: int
) -> Pairs:
    """Both models see the same signal (shift 1, variance 1), each through noise of its own."""
    event: Integers = np.repeat([1, 0], [events, others]).astype(np.int64)
    signal = event + random.normal(size=events + others)
    first, second = (signal + random.normal(0, noise, len(event)) for noise in noises)
    return Pairs(first, second, event)


def true_auc(noise: float) -> float:
    return NORMAL.cdf(1 / (2 * (1 + noise**2)) ** 0.5)


def true_ks(noise: float) -> float:
    return 2 * NORMAL.cdf(0.5 / (1 + noise**2) ** 0.5) - 1


def test_a_useless_model_is_not_taken_for_a_useful_one() -> None:
    random = np.random.default_rng(3)
    lows = [bootstrap.interval(two_normals(random, 0, 200, 200))[0] for _ in range(30)]
    assert sum(low > 0 for low in lows) <= 5


def test_what_ten_events_reach_by_chance_is_not_above_nothing() -> None:
    random = np.random.default_rng(12)
    for _ in range(40):
        counts = two_normals(random, 0, 10, 400)
        # Smirnov (1939): the chance of so large a gap where both kinds have the same scores
        chance = np.exp(-2 * ks(counts).value ** 2 / (1 / 10 + 1 / 400))
        if chance > 0.025:
            assert bootstrap.interval(counts)[0] == 0


def test_more_data_make_the_interval_of_ks_narrower() -> None:
    random = np.random.default_rng(4)
    few, many = (bootstrap.interval(two_normals(random, 1, n, n)) for n in (200, 20_000))
    assert many[1] - many[0] < (few[1] - few[0]) / 5


def test_the_interval_of_a_perfect_ks_leaves_room() -> None:
    low, high = bootstrap.interval(raw([0.1] * 200 + [0.9] * 200, [0] * 200 + [1] * 200))
    assert 0.95 < low < 1
    assert high == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), min_size=2, max_size=40))
@settings(max_examples=30)
def test_the_interval_of_ks_holds_the_value_and_stays_in_bounds(
    rows: list[tuple[int, int]],
) -> None:
    both = [*rows, (0, 0), (5, 1)]
    counts = raw([score for score, _ in both], [event for _, event in both])
    low, high = bootstrap.interval(counts)
    assert 0 <= low <= ks(counts).value <= high <= 1


def test_the_same_counts_give_the_same_interval_and_others_another() -> None:
    random = np.random.default_rng(5)
    counts, other = two_normals(random, 1, 300, 300), two_normals(random, 1, 300, 300)
    assert bootstrap.interval(counts) == bootstrap.interval(counts)
    assert bootstrap.interval(counts) != bootstrap.interval(other)


def test_resamples_spread_as_theory_says() -> None:
    # one cut-off: KS is a difference of two shares, whose variance is known
    counts = raw([0.0, 1.0] * 200, [0, 0] * 50 + [0, 1] * 100 + [1, 1] * 50)
    value = ks(counts)
    p, q = value.events_below / counts.n_events, value.nonevents_below / counts.n_nonevents
    expected = (p * (1 - p) / counts.n_events + q * (1 - q) / counts.n_nonevents) ** 0.5
    drawn = bootstrap.resampled(counts, resamples=4000)[:, 0]
    assert drawn.std() == pytest.approx(expected, rel=0.1)
    assert drawn.mean() == pytest.approx(value.value, abs=0.01)


@pytest.mark.parametrize("compare", [auc_gain, ks_gain])
def test_identical_models_gain_nothing_at_all(compare: Callable[[Pairs], Gain]) -> None:
    pairs = two_models(np.random.default_rng(6), (0.5, 0.5), 200, 800)
    same = compare(Pairs(pairs.champion, pairs.champion.copy(), pairs.event))
    assert (same.gain, same.low, same.high) == (0, 0, 0)
    risen = compare(Pairs(pairs.champion, np.exp(pairs.champion), pairs.event))
    assert (risen.gain, risen.low, risen.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("compare", "truth"), [(auc_gain, true_auc), (ks_gain, true_ks)], ids=["auc", "ks"]
)
def test_the_interval_of_a_gain_covers_the_truth(
    compare: Callable[[Pairs], Gain], truth: Callable[[float], float]
) -> None:
    random, noises, low_misses, high_misses = np.random.default_rng(7), (0.9, 0.4), 0, 0
    gain = truth(noises[1]) - truth(noises[0])
    for _ in range(60):
        found = compare(two_models(random, noises, 250, 250))
        low_misses += gain < found.low
        high_misses += gain > found.high
    assert low_misses + high_misses <= 7  # 3 are expected


@pytest.mark.parametrize("compare", [auc_gain, ks_gain])
def test_swapped_models_turn_the_gain(compare: Callable[[Pairs], Gain]) -> None:
    pairs = two_models(np.random.default_rng(8), (0.9, 0.4), 200, 400)
    there = compare(pairs)
    back = compare(Pairs(pairs.challenger, pairs.champion, pairs.event))
    assert back.gain == pytest.approx(-there.gain)
    assert back.low == pytest.approx(-there.high, abs=0.02)
    assert (back.champion, back.challenger) == (there.challenger, there.champion)


def test_pairing_makes_the_gain_of_related_models_surer() -> None:
    random = np.random.default_rng(9)
    pairs = two_models(random, (0.5, 0.4), 300, 900)
    # the challenger's scores dealt anew within each class: same AUC, no relation left
    parts = [random.permutation(pairs.challenger[pairs.event == kind]) for kind in (1, 0)]
    loose: Floats = np.concatenate(parts)
    paired, unpaired = auc_gain(pairs), auc_gain(Pairs(pairs.champion, loose, pairs.event))
    assert unpaired.gain == pytest.approx(paired.gain)
    assert unpaired.high - unpaired.low > 1.5 * (paired.high - paired.low)


def test_the_order_of_requests_does_not_change_a_gain() -> None:
    random = np.random.default_rng(10)
    pairs = two_models(random, (0.9, 0.4), 200, 400)
    order = random.permutation(600)
    shuffled = Pairs(pairs.champion[order], pairs.challenger[order], pairs.event[order])
    assert ks_gain(shuffled) == ks_gain(pairs)
    assert auc_gain(shuffled).gain == auc_gain(pairs).gain


def test_a_single_event_never_makes_a_gain() -> None:
    event = np.array([1, 0, 0, 0])
    found = auc_gain(Pairs(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.9, 0.2, 0.3, 0.4]), event))
    assert (found.gain, found.low, found.high) == (1, -1, 1)
