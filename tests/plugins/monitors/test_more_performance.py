"""Lift, Brier, calibration, F1 and accuracy: their values, and what never changes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage_plugins.monitors.statistics import brier, calibration, confusion, lift
from waystage_plugins.monitors.statistics.counts import Counts, Floats, raw

Row = tuple[int, int]  # score in hundredths, event
ROWS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 1)), max_size=60).map(
    lambda found: [*found, (20, 0), (70, 1)]
)
Statistic = Callable[[list[Row]], float]


def counted(rows: list[Row]) -> tuple[Floats, Counts]:
    """Give the distinct scores and their counts."""
    scores = np.unique([score / 100 for score, _ in rows])
    return scores, raw([score / 100 for score, _ in rows], [event for _, event in rows])


def brier_of(rows: list[Row]) -> float:
    return brier.brier(*counted(rows)).value


def ece_of(rows: list[Row]) -> float:
    return calibration.ece(calibration.binned(*counted(rows), 10, "width"))


def lift_of(rows: list[Row]) -> float:
    return lift.lift(counted(rows)[1], 0.3).value


def f1_of(rows: list[Row]) -> float:
    return confusion.confusion(*counted(rows), 0.5).f1


def accuracy_of(rows: list[Row]) -> float:
    return confusion.confusion(*counted(rows), 0.5).accuracy


ALL = [brier_of, ece_of, lift_of, f1_of, accuracy_of]
every_statistic = pytest.mark.parametrize("statistic", ALL, ids=lambda each: each.__name__)


@every_statistic
@given(ROWS, st.randoms())
def test_the_order_of_rows_changes_nothing(
    statistic: Statistic, rows: list[Row], dice: object
) -> None:
    mixed = list(rows)
    dice.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert statistic(mixed) == statistic(rows)


@every_statistic
@given(ROWS, st.integers(2, 5))
def test_every_row_several_times_is_every_row_with_that_weight(
    statistic: Statistic, rows: list[Row], times: int
) -> None:
    assert statistic(rows * times) == pytest.approx(statistic(rows))


@every_statistic
@given(ROWS, ROWS)
def test_two_windows_that_are_merged_are_one_window(
    statistic: Statistic, first: list[Row], second: list[Row]
) -> None:
    assert statistic(first + second) == pytest.approx(statistic(second + first))


@given(ROWS)
def test_a_rising_transform_leaves_lift_alone(rows: list[Row]) -> None:
    scores = [score / 100 for score, _ in rows]
    events = [event for _, event in rows]
    risen = raw(np.exp(np.array(scores) * 3), events)
    assert lift.lift(risen, 0.3) == lift.lift(raw(scores, events), 0.3)


@given(ROWS)
def test_swapped_labels_and_turned_scores_leave_brier_and_calibration_alone(
    rows: list[Row],
) -> None:
    turned = [(100 - score, 1 - event) for score, event in rows]
    assert brier_of(turned) == pytest.approx(brier_of(rows))
    first, second = (calibration.spiegelhalter(*counted(each)) for each in (rows, turned))
    assert second == pytest.approx(first)


@given(ROWS)
def test_the_definitions_agree_with_a_loop_over_the_rows(rows: list[Row]) -> None:
    called = [score >= 50 for score, _ in rows]
    right = [call == bool(event) for call, (_, event) in zip(called, rows, strict=True)]
    assert accuracy_of(rows) == pytest.approx(sum(right) / len(rows))
    squares = [(score / 100 - event) ** 2 for score, event in rows]
    assert brier_of(rows) == pytest.approx(sum(squares) / len(rows))


@given(ROWS)
def test_values_agree_with_scikit_learn(rows: list[Row]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="the extra `demo` is not installed")
    scores, events = [s / 100 for s, _ in rows], [event for _, event in rows]
    called = [int(s >= 50) for s, _ in rows]
    assert brier_of(rows) == pytest.approx(metrics.brier_score_loss(events, scores))
    assert f1_of(rows) == pytest.approx(metrics.f1_score(events, called, zero_division=0))
    assert accuracy_of(rows) == pytest.approx(metrics.accuracy_score(events, called))


def test_lift_is_the_rate_at_the_top_over_the_rate_of_all() -> None:
    # ten rows, three events; the best three hold two events
    rows = [
        (score, int(score in (95, 85, 20))) for score in (95, 90, 85, 70, 60, 50, 40, 30, 20, 10)
    ]
    assert lift_of(rows) == pytest.approx((2 / 3) / (3 / 10))


def test_equal_scores_at_the_cut_share_their_events() -> None:
    # all rows have one score: any 30 % of them hold 30 % of the events
    assert lift_of([(50, 1)] * 3 + [(50, 0)] * 17) == pytest.approx(1)


@pytest.mark.parametrize("at", [0.01, 0.25, 1.0])
def test_a_perfect_model_has_the_best_lift_there_is(at: float) -> None:
    counts = raw(range(1000), [0] * 750 + [1] * 250)
    found = lift.lift(counts, at)
    assert found.value == pytest.approx(1 / max(at, 0.25))
    low, high = lift.interval(found, counts, at)
    assert low <= found.value <= high


def test_certain_and_right_probabilities_are_calibrated() -> None:
    rows = [(0, 0)] * 50 + [(100, 1)] * 50
    bins = calibration.binned(*counted(rows), 10)
    assert calibration.ece(bins) == 0
    assert calibration.spiegelhalter(*counted(rows)) == (0.0, 1.0)
    assert calibration.hosmer_lemeshow(bins) == (0.0, 1.0)


def test_certain_and_wrong_probabilities_are_told() -> None:
    rows = [(0, 0)] * 49 + [(0, 1)] + [(100, 1)] * 50
    bins = calibration.binned(*counted(rows), 10)
    assert calibration.hosmer_lemeshow(bins)[1] == 0
    assert calibration.spiegelhalter(*counted(rows))[1] == 0


def test_the_tests_of_calibration_reject_as_often_as_they_promise() -> None:
    random, rejected = np.random.default_rng(1), np.zeros(2)
    for _ in range(1000):
        score = np.sort(random.beta(2, 5, 1000))
        event = (random.random(1000) < score).astype(np.int64)
        counts = Counts(event, 1 - event)
        bins = calibration.binned(score, counts, 10)
        found = calibration.spiegelhalter(score, counts)[1], calibration.hosmer_lemeshow(bins)[1]
        rejected += np.array(found) < 0.05
    assert (abs(rejected / 1000 - 0.05) < 0.02).all()


def test_the_noise_of_calibration_is_what_a_calibrated_model_stays_under() -> None:
    random, under = np.random.default_rng(2), 0
    for _ in range(1000):
        score = np.sort(random.beta(2, 5, 1000))
        event = (random.random(1000) < score).astype(np.int64)
        bins = calibration.binned(score, Counts(event, 1 - event), 10)
        under += calibration.ece(bins) <= calibration.noise(bins)
    assert 0.93 <= under / 1000 <= 0.97


def test_f1_is_zero_when_nothing_is_called_an_event() -> None:
    cut = confusion.confusion(*counted([(10, 1), (20, 0)]), 0.5)
    assert (cut.f1, cut.precision, cut.recall) == (0, 0, 0)
    low, high = confusion.f1_interval(cut)
    assert low == 0 < high


@pytest.mark.parametrize("statistic", [brier.brier, lambda s, c: lift.lift(c, 0.1)])
def test_one_class_alone_has_no_value(statistic: Callable[[Floats, Counts], object]) -> None:
    with pytest.raises(ValueError, match="events and non-events"):
        statistic(*counted([(10, 1), (20, 1)]))
