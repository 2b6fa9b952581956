"""KS and AUC: what they are by definition, and what leaves them alone."""

from __future__ import annotations

from itertools import product
from math import isclose

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from waystage_plugins.monitors.statistics.auc import auc, interval
from waystage_plugins.monitors.statistics.counts import Counts, coarse, grouped, on_grid, raw
from waystage_plugins.monitors.statistics.ks import ks

# few distinct scores, so that ties are the rule
Row = tuple[float, int]
scores = st.integers(0, 12).map(lambda n: n / 12)
rows = st.lists(st.tuples(scores, st.integers(0, 1)), min_size=2, max_size=60).filter(
    lambda found: len({event for _, event in found}) == 2
)


def of(found: list[Row]) -> Counts:
    return raw([score for score, _ in found], [event for _, event in found])


def split(found: list[Row]) -> tuple[list[float], list[float]]:
    return [s for s, event in found if event], [s for s, event in found if not event]


@given(rows)
def test_auc_is_the_share_of_pairs_in_the_right_order(found: list[Row]) -> None:
    events, nonevents = split(found)
    right = sum((e > n) + (e == n) / 2 for e, n in product(events, nonevents))
    assert isclose(auc(of(found)).value, right / (len(events) * len(nonevents)), abs_tol=1e-12)


@given(rows)
def test_auc_agrees_with_scipy(found: list[Row]) -> None:
    events, nonevents = split(found)
    u = stats.mannwhitneyu(events, nonevents).statistic
    assert isclose(auc(of(found)).value, u / (len(events) * len(nonevents)), abs_tol=1e-12)


@given(rows)
def test_the_variance_of_auc_is_that_of_delongs_definition(found: list[Row]) -> None:
    events, nonevents = (np.array(each) for each in split(found))
    assume(min(len(events), len(nonevents)) > 1)
    right = (events[:, None] > nonevents) + (events[:, None] == nonevents) / 2
    expected = right.mean(axis=1).var(ddof=1) / len(events)
    expected += right.mean(axis=0).var(ddof=1) / len(nonevents)
    assert isclose(auc(of(found)).variance, expected, abs_tol=1e-12)


@given(rows)
def test_ks_is_the_largest_lead_of_tpr_over_fpr(found: list[Row]) -> None:
    events, nonevents = (np.array(each) for each in split(found))
    cuts = {score for score, _ in found}
    leads = [(events >= cut).mean() - (nonevents >= cut).mean() for cut in cuts]
    assert isclose(ks(of(found)).value, max(0.0, *leads), abs_tol=1e-12)


@given(rows)
def test_ks_agrees_with_scipy(found: list[Row]) -> None:
    events, nonevents = split(found)
    expected = stats.ks_2samp(nonevents, events, alternative="greater", method="asymp").statistic
    assert isclose(ks(of(found)).value, max(0.0, expected), abs_tol=1e-12)


@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(found: list[Row], dice: object) -> None:
    shuffled = list(found)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert ks(of(shuffled)) == ks(of(found))
    assert auc(of(shuffled)) == auc(of(found))


@given(rows, st.integers(2, 5))
def test_every_row_several_times_gives_the_same_values(found: list[Row], times: int) -> None:
    assert isclose(ks(of(found * times)).value, ks(of(found)).value, abs_tol=1e-12)
    assert isclose(auc(of(found * times)).value, auc(of(found)).value, abs_tol=1e-12)


@given(rows)
def test_a_row_several_times_is_a_row_with_a_weight(found: list[Row]) -> None:
    weighted = grouped(
        [score for score, _ in found],
        [3 * event for _, event in found],
        [3 * (1 - event) for _, event in found],
    )
    assert ks(weighted) == ks(of(found * 3))
    assert auc(weighted) == auc(of(found * 3))


@given(rows)
def test_a_rising_transform_of_the_scores_changes_nothing(found: list[Row]) -> None:
    moved = [(float(np.log(score + 0.1)) * 7, event) for score, event in found]
    assert ks(of(moved)) == ks(of(found))
    assert auc(of(moved)) == auc(of(found))


@given(rows)
def test_swapped_labels_mirror_the_auc(found: list[Row]) -> None:
    swapped = of([(score, 1 - event) for score, event in found])
    assert isclose(auc(swapped).value, 1 - auc(of(found)).value, abs_tol=1e-12)
    assert isclose(auc(swapped).variance, auc(of(found)).variance, abs_tol=1e-12)


@given(rows)
def test_swapped_labels_and_turned_scores_change_nothing(found: list[Row]) -> None:
    mirrored = of([(1 - score, 1 - event) for score, event in found])
    assert isclose(ks(mirrored).value, ks(of(found)).value, abs_tol=1e-12)
    assert isclose(auc(mirrored).value, auc(of(found)).value, abs_tol=1e-12)


@given(rows, rows)
def test_two_windows_merge_to_the_counts_of_both(first: list[Row], second: list[Row]) -> None:
    one, other = of(first), of(second)
    cuts = [np.unique([score for score, _ in each]) for each in (first, second)]
    merged = grouped(
        np.concatenate(cuts),
        np.concatenate([one.events, other.events]),
        np.concatenate([one.nonevents, other.nonevents]),
    )
    assert ks(merged) == ks(of(first + second))
    assert auc(merged) == auc(of(first + second))


@given(rows)
def test_the_grid_cuts_at_hundredths(found: list[Row]) -> None:
    events, nonevents = (np.array(each) for each in split(found))
    cuts = [n / 100 for n in range(101)]
    leads = [(events >= cut).mean() - (nonevents >= cut).mean() for cut in cuts]
    on = on_grid([s for s, _ in found], [e for _, e in found], [1 - e for _, e in found])
    assert isclose(ks(on).value, max(0.0, *leads), abs_tol=1e-12)
    assert ks(on).value <= ks(of(found)).value + 1e-12


@pytest.mark.parametrize("hundredth", range(101))
def test_a_score_on_the_grid_is_above_its_cut_off(hundredth: int) -> None:
    on = on_grid([hundredth / 100, np.nextafter(hundredth / 100, -1)], [1, 0], [0, 1])
    assert ks(on).value == 1


def test_perfect_scores_give_one() -> None:
    counts = raw([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    assert (ks(counts).value, ks(counts).inverted, auc(counts).value) == (1, False, 1)


def test_a_model_that_ranks_backwards_gets_nothing_and_is_told_apart() -> None:
    counts = raw([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0])
    assert (ks(counts).value, ks(counts).inverted, auc(counts).value) == (0, True, 0)


def test_constant_scores_are_worth_nothing() -> None:
    counts = raw([0.3] * 10, [0, 1] * 5)
    assert (ks(counts).value, ks(counts).inverted) == (0, False)
    assert (auc(counts).value, auc(counts).variance) == (0.5, 0)


@pytest.mark.parametrize("events", [[], [0, 0], [1, 1]])
def test_one_class_alone_has_no_value(events: list[int]) -> None:
    counts = raw([0.5] * len(events), events)
    assert counts.one_class
    with pytest.raises(ValueError, match="needs events and non-events"):
        ks(counts)
    with pytest.raises(ValueError, match="needs events and non-events"):
        auc(counts)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_no_numbers_have_no_rank(score: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        raw([0.1, score], [0, 1])


def test_sizes_of_a_nation_do_not_overflow() -> None:
    counts = grouped([0.2, 0.8], [10**9, 10**9], [2 * 10**9, 10**9])
    assert ks(counts).value == pytest.approx(1 / 6)
    assert auc(counts).value == pytest.approx(7 / 12)


@given(rows)
def test_the_interval_of_auc_holds_the_value_and_stays_in_bounds(found: list[Row]) -> None:
    counts = of(found)
    low, high = interval(auc(counts), counts)
    assert 0 <= low <= auc(counts).value <= high <= 1


def test_perfect_separation_is_not_taken_for_certainty() -> None:
    counts = raw([0.1] * 10 + [0.9] * 10, [0] * 10 + [1] * 10)
    low, high = interval(auc(counts), counts)
    # the exact binomial bound for 10 successes in 10
    assert low == pytest.approx(stats.binomtest(10, 10).proportion_ci().low)
    assert high == 1


@given(rows, st.integers(2, 8))
def test_coarse_counts_lose_no_row_and_little_ks(found: list[Row], groups: int) -> None:
    counts = of(found)
    smaller = coarse(counts, groups)
    assert (smaller.n_events, smaller.n_nonevents) == (counts.n_events, counts.n_nonevents)
    assert len(smaller.events) <= max(groups, 1)
    assert ks(smaller).value <= ks(counts).value + 1e-12


def test_coarse_counts_of_fine_scores_move_ks_by_less_than_promised() -> None:
    random = np.random.default_rng(3)
    events = random.integers(0, 2, 50_000)
    counts = raw(random.normal(size=50_000) + events, events)
    assert 0 <= ks(counts).value - ks(coarse(counts, 1000)).value <= 2 / 1000
