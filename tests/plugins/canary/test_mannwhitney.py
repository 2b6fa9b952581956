"""Two samples by ranks: what the numbers are by definition, and how often they mislead."""

from __future__ import annotations

from itertools import product
from math import isclose

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from waystage_plugins.monitors.statistics.mannwhitney import MOST_PAIRED, Difference, compare

# few distinct values, so that ties are the rule
tied = st.lists(st.integers(-6, 6).map(float), min_size=2, max_size=40)
free = st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=2, max_size=40)
samples = tied | free


def numbers(found: Difference) -> list[float]:
    return [found.u, found.delta, found.low, found.high, found.shift, found.shift_low,
            found.shift_high, found.greater, found.less, found.different]  # fmt: skip


@given(samples, samples)
def test_p_values_and_u_are_those_of_scipy(x: list[float], y: list[float]) -> None:
    assume(len({*x, *y}) > 1)  # scipy divides by nothing there
    found = compare(x, y)
    for alternative, p in (("greater", found.greater), ("less", found.less),
                           ("two-sided", found.different)):  # fmt: skip
        theirs = stats.mannwhitneyu(x, y, alternative=alternative, method="asymptotic")
        assert isclose(p, theirs.pvalue, rel_tol=1e-9, abs_tol=1e-12)
        assert isclose(found.u, theirs.statistic)


@given(samples, samples)
def test_the_effect_is_the_share_of_pairs_one_way_less_the_other(
    x: list[float], y: list[float]
) -> None:
    signs = [np.sign(a - b) for a, b in product(x, y)]
    assert isclose(compare(x, y).delta, float(np.mean(signs)), abs_tol=1e-12)


@given(samples, samples)
def test_the_shift_is_the_median_of_all_differences(x: list[float], y: list[float]) -> None:
    found = compare(x, y)
    differences = [a - b for a, b in product(x, y)]
    assert found.shift == pytest.approx(float(np.median(differences)), abs=1e-9)
    assert found.shift_low <= found.shift <= found.shift_high


@given(samples, samples)
def test_exchanging_the_samples_turns_every_number_round(x: list[float], y: list[float]) -> None:
    there, back = compare(x, y), compare(y, x)
    assert there.u + back.u == len(x) * len(y)
    turned = [-back.delta, -back.high, -back.low, -back.shift, -back.shift_high, -back.shift_low]
    ours = [there.delta, there.low, there.high, there.shift, there.shift_low, there.shift_high]
    assert ours == pytest.approx(turned, rel=1e-9, abs=1e-9)
    assert (there.greater, there.less) == pytest.approx((back.less, back.greater), abs=1e-12)
    assert there.different == pytest.approx(back.different, abs=1e-12)


@given(tied, tied)
def test_a_scale_of_another_kind_changes_no_rank(x: list[float], y: list[float]) -> None:
    plain = compare(x, y)
    other = compare(np.exp(np.array(x)) * 3 + 1, np.exp(np.array(y)) * 3 + 1)
    for name in ("u", "delta", "low", "high", "greater", "less", "different"):
        assert getattr(plain, name) == pytest.approx(getattr(other, name), abs=1e-12)


@given(samples, st.integers(-5, 5))
def test_moving_one_sample_moves_the_shift_alone_by_as_much(x: list[float], by: int) -> None:
    assert compare([each + by for each in x], x).shift == pytest.approx(
        compare(x, x).shift + by, abs=1e-6
    )


@given(samples, samples)
def test_the_interval_holds_the_effect_and_lies_within_its_bounds(
    x: list[float], y: list[float]
) -> None:
    found = compare(x, y)
    assert -1 <= found.low <= found.delta + 1e-12
    assert found.delta - 1e-12 <= found.high <= 1
    wider = compare(x, y, 0.99)
    assert wider.low <= found.low + 1e-12
    assert wider.high >= found.high - 1e-12


@given(st.integers(2, 40), st.integers(2, 40))
def test_values_that_are_all_alike_show_nothing(n: int, m: int) -> None:
    found = compare([5.0] * n, [5.0] * m)
    assert (found.delta, found.shift, found.greater, found.less) == (0, 0, 1, 1)


def test_samples_apart_have_an_interval_that_ends_at_one() -> None:
    found = compare(range(100, 150), range(50))
    assert (found.delta, found.high) == (1, 1)
    assert 0.8 < found.low < 1, "fifty values each cannot be more sure than that"
    assert found.different < 1e-15


@pytest.mark.parametrize("bad", [[], [1.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_what_cannot_be_compared_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two finite numbers"):
        compare(bad, [1.0, 2.0])


def test_quantiles_stand_for_samples_too_large_to_pair() -> None:
    chance = np.random.default_rng(1)
    x, y = chance.normal(0.3, 1, 20 * MOST_PAIRED), chance.normal(0, 1, 15 * MOST_PAIRED)
    found = compare(x, y)
    assert found.shift == pytest.approx(0.3, abs=0.03)
    assert found.shift_low < found.shift < found.shift_high
    assert 0.01 < found.shift_high - found.shift_low < 0.06, "as narrow as the true numbers make it"


@pytest.mark.parametrize(
    ("draw", "effect", "shift"),
    [
        (lambda c, size: (c.normal(0.5, 1, size), c.normal(0, 1, size)), 0.2763, 0.5),
        (lambda c, size: (c.exponential(1, size) + 0.2, c.exponential(1, size)), 0.1813, 0.2),
        (lambda c, size: (c.normal(0, 3, size), c.normal(0, 1, size)), 0.0, 0.0),
        (lambda c, size: (c.poisson(3, size), c.poisson(2, size)), 0.3415, None),
    ],
    ids=["normal", "skewed", "wider", "counts"],
)
def test_intervals_cover_the_truth_as_often_as_they_say(
    draw, effect: float, shift: float | None
) -> None:
    chance, rounds = np.random.default_rng(7), 1000
    found = [compare(*draw(chance, 60)) for _ in range(rounds)]
    covered = np.mean([each.low <= effect <= each.high for each in found])
    assert covered > 0.93
    if shift:  # where the samples differ by a shift alone
        assert np.mean([each.shift_low <= shift <= each.shift_high for each in found]) > 0.93


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_the_same_samples_in_any_order_give_the_same_numbers(seed: int) -> None:
    chance = np.random.default_rng(seed)
    x, y = chance.normal(size=30), chance.normal(size=20)
    mixed = compare(chance.permutation(x), chance.permutation(y))
    assert numbers(mixed) == pytest.approx(numbers(compare(x, y)))
