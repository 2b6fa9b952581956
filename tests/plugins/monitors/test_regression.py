"""R² and RMSE: values, moments that lose nothing, and true values that come late or never."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Minimum, Outcome, ScoredRow, Snapshot, Window
from waystage.testing import FakeContext
from waystage_plugins.monitors import R2Monitor, RmseMonitor
from waystage_plugins.monitors.statistics import regression
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = Window(start=START, end=START + timedelta(days=7))
ROW = ScoredRow("r0", START, "price", "PROD", "house/1", "champion", 0.5)
SNAPSHOT = Snapshot(name="house", version="1", digest="sha256:" + "0" * 64)
SOME = Minimum(rows=2, label_coverage=0)
NUMBER = st.floats(-1e3, 1e3)
PAIRS = st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=40).map(
    lambda found: [*found, (0.0, 1.0), (0.0, -1.0)]
)


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    log = SqliteScoringLog(path=tmp_path / "scores.db")
    return FakeContext(tmp_path, service="price", stage="PROD", snapshot=SNAPSHOT, scoring_log=log)


def predicted(ctx: FakeContext, pairs: list[tuple[float | None, float | None]]) -> None:
    """Keep predictions and, where there is one, their true values."""
    numbered = list(enumerate(pairs))
    ctx.scoring_log.append(replace(ROW, request_id=f"r{n}", score=p) for n, (p, _) in numbered)
    ctx.scoring_log.outcomes(
        Outcome(f"r{n}", true, START) for n, (_, true) in numbered if true is not None
    )


@given(PAIRS)
def test_the_powers_are_those_of_their_definitions(pairs: list[tuple[float, float]]) -> None:
    predicted, true = np.array(pairs).T
    found, e, v = regression.errors(pairs), true - predicted, true - true.mean()
    for (j, k), moment in found.moments.items():
        expected = np.mean(e ** (2 * j) * v ** (2 * k))
        # what is lost is small beside the powers of the numbers themselves
        lost = 1e-9 * (1 + np.abs(np.array(pairs)).max()) ** (2 * j + 2 * k)
        assert moment == pytest.approx(expected, rel=1e-6, abs=lost)


@given(PAIRS)
def test_every_row_several_times_gives_the_same_values(pairs: list[tuple[float, float]]) -> None:
    once, thrice = regression.errors(pairs), regression.errors(pairs * 3)
    assert (thrice.rmse, thrice.r2) == pytest.approx((once.rmse, once.r2))


def test_chunks_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    pairs = [(float(p), float(t)) for p, t in random.normal(5, 2, (1000, 2))]
    whole = regression.errors(pairs)
    monkeypatch.setattr(regression, "CHUNK", 7)
    parts = regression.errors(pairs)
    assert (parts.rmse, parts.r2) == pytest.approx((whole.rmse, whole.r2))


def test_large_numbers_that_are_close_to_each_other_lose_nothing() -> None:
    random = np.random.default_rng(2)
    true = 1e9 + random.normal(size=5000)
    pairs = list(zip((true + random.normal(0, 0.5, 5000)).tolist(), true.tolist(), strict=True))
    assert regression.errors(pairs).r2 == pytest.approx(0.75, abs=0.05)


LARGE: list[list[tuple[float, float]]] = [
    [(1e60, 1.1e60), (1e60, 3e60), (2e60, 0.7e60)],
    [(1e308, 1.7e308)] * 3,
    [(1.0, 1.0), (2.0, 2.0), (1e40, 1e40)],
    [(1.0, 1.0), (2.0, 2.0), (1e308, -1e308)],
]


@pytest.mark.parametrize("pairs", LARGE, ids=["all", "sums", "later", "apart"])
def test_numbers_too_large_for_their_powers_have_an_answer_in_words(
    ctx: FakeContext, monkeypatch: pytest.MonkeyPatch, pairs: list[tuple[float, float]]
) -> None:
    monkeypatch.setattr(regression, "CHUNK", 2)  # so that the mean moves with a later chunk
    predicted(ctx, list(pairs))
    for monitor in (R2Monitor(), RmseMonitor()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(Hopeless, match="so large that their squares are no numbers"):
                monitor.measure(ctx, WINDOW, SOME)


def test_errors_far_larger_than_the_true_values_differ_have_an_interval() -> None:
    found = regression.errors([(1e38, 1e-10), (1e38, 2e-10), (0.0, 3e-10)])
    low, high = regression.r2_interval(found)
    assert low < found.r2 < high
    assert found.r2 == pytest.approx(-1e96)


def test_r2_needs_true_values_that_differ(ctx: FakeContext) -> None:
    predicted(ctx, [(1.0, 2.0), (3.0, 2.0)])
    found = R2Monitor().measure(ctx, WINDOW, SOME)
    assert found.value is None
    assert "all true values are 2, so there is no variance to explain" in found.insufficient
    assert RmseMonitor().measure(ctx, WINDOW, SOME).value == 1


def test_predictions_without_a_true_value_are_counted_and_left_out(ctx: FakeContext) -> None:
    predicted(ctx, [(2.5, 3.0), (0.0, -0.5), (2.0, 2.0), (8.0, 7.0), (None, 4.0), (9.0, None)])
    found = R2Monitor().measure(ctx, WINDOW, SOME)
    assert found.value == pytest.approx(0.948608137)
    assert found.counts == {"rows": 6, "labelled": 5, "excluded": 1, "usable": 4}
    assert found.notes["coverage"] == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("pairs", "minimum", "why"),
    [
        ([], Minimum(), "there is no scored request"),
        ([(1.0, None)] * 4, Minimum(), r"0 of 4 requests \(0\.0%\) have a score and a true value"),
        ([(1.0, 2.0)] * 4, Minimum(), "4 requests with a true value are fewer than the 200 needed"),
        ([(1.0, 2.0)] * 4, Minimum(rows=5), "fewer than the 5 needed"),
        ([(1.0, 2.0)], Minimum(rows=1), "fewer than the 2 needed"),
    ],
)
def test_too_few_true_values_are_insufficient(
    ctx: FakeContext,
    pairs: list[tuple[float | None, float | None]],
    minimum: Minimum,
    why: str,
) -> None:
    predicted(ctx, pairs)
    for monitor in (R2Monitor(), RmseMonitor()):
        found = monitor.measure(ctx, WINDOW, minimum)
        assert found.value is None
        with pytest.raises(AssertionError, match=why):
            raise AssertionError(found.insufficient)


def test_a_measurement_that_nobody_wants_any_more_ends_early(ctx: FakeContext) -> None:
    predicted(ctx, [(1.0, None)] * 10_000)
    ctx.cancelled = True
    with pytest.raises(Retryable, match="cancelled"):
        RmseMonitor().measure(ctx, WINDOW, SOME)


def test_intervals_hold_their_values() -> None:
    random = np.random.default_rng(3)
    true = random.normal(size=500)
    pairs = list(zip((true + random.normal(size=500)).tolist(), true.tolist(), strict=True))
    found = regression.errors(pairs)
    for value, (low, high) in (
        (found.r2, regression.r2_interval(found)),
        (found.rmse, regression.rmse_interval(found)),
    ):
        assert low < value < high
