"""What describers draw is held against plain counting, and against the monitors' numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf, nextafter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.plugin import (
    Column,
    Deployed,
    Describer,
    JsonObject,
    Label,
    Measurement,
    Minimum,
    Monitor,
    Outcome,
    Placement,
    ScoredRow,
    Section,
    Snapshot,
    Watched,
    Window,
)
from waystage.report.plot import svg
from waystage.testing import FakeContext
from waystage_plugins.describers import (
    CalibrationDescriber,
    MaturityDescriber,
    PopulationDescriber,
    RankingDescriber,
    RegressionDescriber,
)
from waystage_plugins.describers.maturity import MOST, spans
from waystage_plugins.describers.moved import _spans
from waystage_plugins.monitors import (
    AucMonitor,
    CalibrationMonitor,
    DriftKsMonitor,
    KsMonitor,
    LiftMonitor,
    PsiMonitor,
    R2Monitor,
    RmseMonitor,
)
from waystage_plugins.monitors.statistics import curves
from waystage_plugins.monitors.statistics.counts import raw
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NEXT = Window(start=START + 30 * DAY, end=START + 60 * DAY)
LEAST = Minimum(rows=1, events=1, nonevents=1, label_coverage=0)
SNAPSHOT = Snapshot(
    name="credit", version="1", digest="sha256:" + "1" * 64,
    inputs=(Column(name="age"), Column(name="town", type="string")),
)  # fmt: skip
Labelled = Sequence[tuple[float, int]]


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    found = FakeContext(tmp_path, stage="PROD", snapshot=SNAPSHOT)
    found.scoring_log = SqliteScoringLog(path=tmp_path / "scores.db")
    deployed = Deployed(stage="PROD", runtime="prod", mode="online")
    found.inventory = [Placement("credit-risk", SNAPSHOT, deployed, "credit-risk-1", START)]
    found.clock.turn(timedelta(days=365))
    return found


def fill(ctx: FakeContext, scores: Labelled, day: int = 31, old: bool = False) -> None:
    """Log requests with their outcomes; of an old one the inputs are those of older people."""
    rows, labels = [], []
    for number, (score, event) in enumerate(scores):
        name, at = f"{day}-{number}", START + day * DAY + timedelta(seconds=number)
        inputs: JsonObject = {"age": 20 + number % 40 + 10 * old, "town": "ab"[number % 2]}
        rows.append(ScoredRow(name, at, "credit-risk", "PROD", "credit/1", "champion", score,
                              inputs))  # fmt: skip
        if event >= 0:
            labels.append(Label(name, event, at + DAY))
    ctx.scoring_log.append(rows)
    ctx.scoring_log.label(labels)


def some(seed: int = 1, size: int = 800, digits: int = 2) -> Labelled:
    random = Random(seed)
    scores = [round(random.random(), digits) for _ in range(size)]
    return [(score, int(random.random() < score**2)) for score in scores]


def section(kind: type[Describer], ctx: FakeContext, name: str, window: Window = NEXT) -> Section:
    return next(each for each in kind().describe(ctx, window, ()) if each.id == name)


def measured(kind: type[Monitor], ctx: FakeContext) -> Measurement:
    return kind().measure(ctx, NEXT, LEAST)


def below(points: list[tuple[float, float]]) -> float:
    """Give the area below a curve by trapezoids."""
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))


def test_the_area_below_the_drawn_roc_is_the_auc_of_pairs_and_of_the_monitor(
    ctx: FakeContext,
) -> None:
    data = some()
    fill(ctx, data)
    found = section(RankingDescriber, ctx, "roc")
    curve = found.figures[0].series[1]
    events = [score for score, event in data if event]
    others = [score for score, event in data if not event]
    pairs = sum((a > b) + (a == b) / 2 for a in events for b in others)
    area = below(list(zip(curve.x, curve.y, strict=True)))
    assert area == pytest.approx(pairs / len(events) / len(others), abs=1e-12)
    auc = measured(AucMonitor, ctx)
    assert (found.facts["auc"], found.facts["low"], found.facts["high"]) == (
        auc.value, auc.low, auc.high)  # fmt: skip
    assert auc.value == pytest.approx(area, abs=1e-12)


def test_every_point_of_the_roc_is_a_cut_off_of_the_data(ctx: FakeContext) -> None:
    data = some(2, 300)
    fill(ctx, data)
    curve = section(RankingDescriber, ctx, "roc").figures[0].series[1]
    sizes = [sum(event == kind for _, event in data) for kind in (0, 1)]
    cuts = [*sorted({score for score, _ in data}), 2.0]
    expected = sorted(
        tuple(sum(score >= cut and event == kind for score, event in data) / sizes[kind]
              for kind in (0, 1))
        for cut in cuts
    )  # fmt: skip
    assert list(zip(curve.x, curve.y, strict=True)) == [pytest.approx(each) for each in expected]


def test_the_marked_gap_is_the_largest_there_is_and_the_monitors_ks(ctx: FakeContext) -> None:
    data = some(3)
    fill(ctx, data)
    found = section(RankingDescriber, ctx, "ks")
    mark = found.figures[0].marks[0]
    sizes = [sum(event == kind for _, event in data) for kind in (0, 1)]

    def gap(cut: float) -> float:
        shares = [sum(score <= cut and event == kind for score, event in data) / sizes[kind]
                  for kind in (0, 1)]  # fmt: skip
        return shares[0] - shares[1]

    assert max(map(gap, {score for score, _ in data})) == pytest.approx(gap(mark.start[0]))
    assert mark.end[1] - mark.start[1] == pytest.approx(gap(mark.start[0]))
    ks = measured(KsMonitor, ctx)
    assert found.facts["ks"] == ks.value == pytest.approx(mark.end[1] - mark.start[1])
    assert (found.facts["low"], found.facts["high"]) == (ks.low, ks.high)


def test_gain_and_lift_are_those_of_the_monitor(ctx: FakeContext) -> None:
    fill(ctx, some(4))
    found = section(RankingDescriber, ctx, "lift")
    lift = measured(LiftMonitor, ctx)
    row = next(row for row in found.tables[0].rows if row[0] == 0.1)
    assert row[1:] == (lift.notes["captured"], lift.value, lift.low, lift.high)
    gain = found.figures[0].series[-1]
    assert (gain.x[0], gain.y[0], gain.x[-1], gain.y[-1]) == (0, 0, 1, 1)
    assert np.interp(0.1, gain.x, gain.y) == pytest.approx(lift.notes["captured"])


def test_a_model_that_ranks_backwards_is_told_so(ctx: FakeContext) -> None:
    fill(ctx, [(score, 1 - event) for score, event in some(5)])
    assert "ranks backwards" in section(RankingDescriber, ctx, "roc").about
    assert "inverted" in section(RankingDescriber, ctx, "ks").about


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans()), min_size=2, max_size=300),
       st.integers(3, 40))  # fmt: skip
def test_a_curve_with_fewer_corners_lies_on_the_whole_one(
    rows: list[tuple[int, bool]], at_most: int
) -> None:
    counts = raw([score for score, _ in rows], [int(event) for _, event in rows])
    if counts.one_class:
        with pytest.raises(ValueError, match="need events and non-events"):
            curves.roc(counts, at_most)
        return
    whole, thin = curves.roc(counts, 10**6), curves.roc(counts, at_most)
    assert len(thin.x) <= at_most + 2
    corners = set(zip(whole.x.tolist(), whole.y.tolist(), strict=True))
    assert set(zip(thin.x.tolist(), thin.y.tolist(), strict=True)) <= corners
    assert (thin.x[0], thin.y[0], thin.x[-1], thin.y[-1]) == (0, 0, 1, 1)
    assert (thin.y - thin.x).max() == pytest.approx((whole.y - whole.x).max())


def test_the_calibration_is_that_of_the_monitor_and_counts_every_request(ctx: FakeContext) -> None:
    fill(ctx, some(6, digits=4))
    found = section(CalibrationDescriber, ctx, "calibration")
    ece = measured(CalibrationMonitor, ctx)
    assert (found.facts["ece"], found.facts["noise"]) == (ece.value, ece.noise)
    points = found.figures[0].series[1]
    assert all(low <= y <= high for low, y, high in zip(points.low, points.y, points.high,
                                                        strict=True))  # fmt: skip
    assert sum(row[5] for row in found.tables[0].rows if isinstance(row[5], int)) == 800
    weighted = sum(abs(row[1] - row[2]) * row[5] for row in found.tables[0].rows)  # type: ignore[operator]  # numbers all
    assert weighted / 800 == pytest.approx(ece.value)


RMSE = Watched(name="error", use="performance.rmse", settings={}, kept={})
KS = Watched(name="ks", use="performance.ks", settings={}, kept={})


def priced(ctx: FakeContext, values: Sequence[tuple[float, float | None]]) -> None:
    """Log predictions, and the true values that are known."""
    fill(ctx, [(predicted, -1) for predicted, _ in values])
    ctx.scoring_log.outcomes(
        Outcome(f"31-{number}", true, START + 40 * DAY)
        for number, (_, true) in enumerate(values)
        if true is not None
    )


def test_a_regression_is_drawn_as_its_monitors_measure_it(ctx: FakeContext) -> None:
    random = Random(11)
    values = [(100 * random.random(), 0.0) for _ in range(900)]
    priced(ctx, [(p, None if p < 5 else 2 + p + random.gauss(0, 10)) for p, _ in values])
    (found,) = RegressionDescriber().describe(ctx, NEXT, [RMSE])
    rmse, r2 = measured(RmseMonitor, ctx), measured(R2Monitor, ctx)
    assert (found.facts["rmse"], found.facts["low"]) == (rmse.value, rmse.low)
    assert (found.facts["r2"], found.facts["rows"]) == (r2.value, 900)
    assert found.facts["bias"] == pytest.approx(2, abs=1)
    assert "True values lie" in found.about
    assert "above the predictions" in found.about
    points = found.figures[0].series[1]
    assert len(points.x) == 10
    assert list(points.x) == sorted(points.x)
    assert sum(low <= x + 2 <= high for x, low, high in zip(points.x, points.low, points.high,
                                                            strict=True)) >= 8  # fmt: skip
    rows = found.tables[0].rows
    assert sum(row[5] for row in rows if isinstance(row[5], int)) == found.facts["usable"] < 900
    stairs = found.figures[1].series[0]
    assert sum(stairs.y[1:-1:2]) == pytest.approx(1), "every request is in one step"


def test_who_watches_no_regression_has_no_section_of_one(ctx: FakeContext) -> None:
    assert RegressionDescriber().describe(ctx, NEXT, [KS]) == []


def test_who_watches_true_values_alone_has_no_empty_curves_of_events(ctx: FakeContext) -> None:
    priced(ctx, [(1.0, 2.0), (2.0, None), (3.0, 2.5)])
    inner: JsonObject = {"metric": {"use": RMSE.use}}
    worse = Watched(name="worse", use="decay", settings=inner, kept={})
    for made in (RankingDescriber(), CalibrationDescriber()):
        assert made.describe(ctx, NEXT, [RMSE, worse]) == []
        assert all(each.missing for each in made.describe(ctx, NEXT, [RMSE, KS]))
    about = MaturityDescriber().describe(ctx, NEXT, [worse])[0].about
    assert "of 2 (66.7%) the outcome is known" in about
    assert MaturityDescriber().describe(ctx, NEXT, [RMSE, KS])[0].facts["labelled"] == 0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([], "0 requests were scored; of none of them"),
        ([(1.0, None), (2.0, None)], "2 requests were scored; of none of them"),
        ([(1e200, 1.0), (1.0, 1e200)], "so large that no curve can be drawn"),
    ],
)
def test_what_a_regression_lacks_is_said(
    ctx: FakeContext, values: Sequence[tuple[float, float | None]], says: str
) -> None:
    priced(ctx, values)
    (found,) = RegressionDescriber().describe(ctx, NEXT, [RMSE])
    assert says in found.missing


@pytest.mark.parametrize(
    "values",
    [[(1.0, 3.0)], [(2.0, 5.0)] * 40, [(0.0, 0.0), (0.0, 0.0)], [(1e-300, 1e-300), (5e150, 1.0)]],
)
def test_a_regression_of_few_or_equal_values_is_drawn(
    ctx: FakeContext, values: Sequence[tuple[float, float | None]]
) -> None:
    priced(ctx, values)
    (found,) = RegressionDescriber().describe(ctx, NEXT, [RMSE])
    assert found.missing or [svg(each, "f") for each in found.figures]
    if not found.missing:
        assert f"It stands on {len(values)} requests only." in found.about


def test_scores_that_are_no_probabilities_have_no_calibration(ctx: FakeContext) -> None:
    fill(ctx, [(400 + 300 * score, event) for score, event in some(7)])
    found = section(CalibrationDescriber, ctx, "calibration")
    assert "they are no probabilities" in found.missing
    assert not section(RankingDescriber, ctx, "roc").missing


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "No request was scored by credit/1 in PROD, 2026-01-31 to 2026-03-02"),
        ([(0.2, -1), (0.4, -1)], "2 requests were scored .* of none of them is the outcome known"),
        ([(0.2, 0), (0.4, 0)], "All 2 known outcomes .* are non-events: without events"),
        ([(0.2, 1), (0.4, 1)], "All 2 known outcomes .* are events: without non-events"),
    ],
)
def test_what_is_not_there_is_said_and_not_drawn(
    ctx: FakeContext, data: Labelled, says: str
) -> None:
    fill(ctx, data)
    for kind in (RankingDescriber, CalibrationDescriber):
        for each in kind().describe(ctx, NEXT, ()):
            assert not each.figures
            assert re.match(says, each.missing), each.missing


def test_the_parts_of_psi_add_up_to_the_monitors(ctx: FakeContext) -> None:
    fill(ctx, some(8), day=2, old=True)
    fill(ctx, some(9))
    found = section(PopulationDescriber, ctx, "inputs")
    psi = PsiMonitor().measure(ctx, NEXT, LEAST)
    for name in ("age", "town"):
        assert found.facts[f"psi {name}"] == pytest.approx(psi.notes[f"column {name}"])
        table = next(each for each in found.tables if each.title == f"{name}: shares by bin")
        assert sum(row[-1] for row in table.rows) == pytest.approx(found.facts[f"psi {name}"])  # type: ignore[misc]  # numbers all
        assert sum(row[1] for row in table.rows) == pytest.approx(1)  # type: ignore[misc]  # numbers all
    assert "counted for this report" in found.about
    assert found.figures[0].title.startswith("age, PSI")
    assert found.tables[0].rows[0][3] == "moved far"


def test_a_baseline_that_a_monitor_keeps_is_taken_and_named(ctx: FakeContext) -> None:
    fill(ctx, some(8), day=2, old=True)
    fill(ctx, some(9))
    kept = PsiMonitor().measure(ctx, NEXT, LEAST).keep
    assert kept is not None
    watched = Watched(name="shift", use="drift.psi", kept=kept)
    found = {each.id: each for each in PopulationDescriber().describe(ctx, NEXT, (watched,))}
    assert "frozen by the monitor shift" in found["inputs"].about
    other = watched.model_copy(update={"kept": kept | {"version": "credit/0"}})
    (again, _) = PopulationDescriber().describe(ctx, NEXT, (other,))
    assert "counted for this report" in again.about


def test_a_baseline_of_many_cells_is_put_together(ctx: FakeContext) -> None:
    fill(ctx, some(8, digits=6), day=2)
    fill(ctx, some(9, digits=6))
    kept = DriftKsMonitor().measure(ctx, NEXT, LEAST).keep
    assert kept is not None
    watched = Watched(name="far", use="drift.ks", kept=kept)
    score, _ = PopulationDescriber().describe(ctx, NEXT, (watched,))
    rows = score.tables[0].rows
    assert len(rows) == 10
    assert sum(row[3] for row in rows) == 800  # type: ignore[misc]  # numbers all
    assert all(0.05 < row[1] < 0.15 for row in rows)  # type: ignore[operator]  # numbers all


def test_without_a_baseline_nothing_is_compared(ctx: FakeContext) -> None:
    fill(ctx, some(9))
    for each in PopulationDescriber().describe(ctx, NEXT, ()):
        assert each.missing.startswith("There is no baseline to compare with")
    first = Window(start=START, end=START + 30 * DAY)
    for each in PopulationDescriber().describe(ctx, first, ()):
        assert "is not over when this one begins" in each.missing


def test_requests_and_outcomes_are_counted_part_by_part(ctx: FakeContext) -> None:
    fill(ctx, [(0.5, -1)] * 10 + [(0.5, 1)] * 30)
    found = section(MaturityDescriber, ctx, "maturity")
    assert (found.facts["rows"], found.facts["labelled"], found.facts["coverage"]) == (40, 30, 0.75)
    assert sum(found.figures[0].series[0].y) == 40
    assert sum(found.figures[0].series[1].y) == 30


@given(st.integers(1, 10**9))
def test_a_window_is_parted_without_gaps_into_few_parts(seconds: int) -> None:
    window = Window(start=START, end=START + timedelta(seconds=seconds))
    parts = list(spans(window))
    assert 1 <= len(parts) <= MOST + 1
    assert (parts[0][0], parts[-1][1]) == (window.start, window.end)
    assert all(a[1] == b[0] for a, b in pairwise(parts))


@pytest.mark.parametrize(
    ("edges", "names"),
    [
        ([], ["any number"]),
        ([2.0], ["up to 2", "above 2"]),
        ([nextafter(1, -inf), 1, 5, 12.5], ["below 1", "1", "1 to 5", "5 to 12.5", "above 12.5"]),
        ([3, nextafter(4, -inf), 4, 25000],
         ["up to 3", "3 to below 4", "4", "4 to 25,000", "above 25,000"]),
        ([0.12345, 0.12346], ["up to 0.12345", "0.12345 to 0.12346", "above 0.12346"]),
    ],
)  # fmt: skip
def test_bins_of_numbers_are_named_as_people_would(edges: list[float], names: list[str]) -> None:
    assert _spans(edges) == names
