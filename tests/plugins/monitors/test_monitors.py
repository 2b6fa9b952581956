"""The monitors: which rows they look at, when they say nothing, what they tell with a value."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    Column,
    JsonObject,
    Label,
    Measurement,
    Minimum,
    Monitor,
    ScoredRow,
    Snapshot,
    Window,
)
from waystage.testing import FakeContext
from waystage_plugins.monitors import (
    MONITORS,
    AucMonitor,
    DecayMonitor,
    ExpressionMonitor,
    GiniMonitor,
    HttpMonitor,
    KsMonitor,
    QualityMonitor,
    SqlMonitor,
    VolumeMonitor,
)
from waystage_plugins.monitors.drifting import DriftMonitor
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = Window(start=START, end=START + timedelta(days=7))
SOME = Minimum(events=1, nonevents=1, label_coverage=0)
PERFORMANCE = [KsMonitor(), AucMonitor(), GiniMonitor()]
BEFORE = {"since": START - timedelta(days=7)}  # of the baseline
NEEDED: dict[str, dict[str, Any]] = {"fairness": {"group": "city"}}
READY = [
    kind(**(BEFORE if issubclass(kind, DriftMonitor) else NEEDED.get(kind.use, {})))
    for kind in MONITORS
    if kind not in (DecayMonitor, ExpressionMonitor, SqlMonitor, HttpMonitor)  # of others' numbers
]
SNAPSHOT = Snapshot(
    name="fraud",
    version="1",
    digest="sha256:" + "0" * 64,
    inputs=(
        Column(name="income"),
        Column(name="children", type="integer"),
        Column(name="city", type="string"),
        Column(name="member", type="boolean"),
    ),
)
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5)
GOOD: JsonObject = {"income": 1.5, "children": 2, "city": "Ulm", "member": True}


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    log = SqliteScoringLog(path=tmp_path / "scores.db")
    return FakeContext(
        tmp_path, service="cc-fraud", stage="PROD", snapshot=SNAPSHOT, scoring_log=log
    )


def answered(ctx: FakeContext, scores: list[float | None], events: list[int | None]) -> None:
    """Keep requests with these scores and, where there is one, their labels."""
    numbered = list(enumerate(zip(scores, events, strict=True)))
    ctx.scoring_log.append(replace(ROW, request_id=f"r{n}", score=s) for n, (s, _) in numbered)
    ctx.scoring_log.label(
        Label(f"r{n}", event, START) for n, (_, event) in numbered if event is not None
    )


def asked(ctx: FakeContext, *inputs: JsonObject) -> None:
    """Keep requests with these inputs."""
    ctx.scoring_log.append(
        replace(ROW, request_id=f"r{n}", inputs=each) for n, each in enumerate(inputs)
    )


def population(ctx: FakeContext, events: int = 300, nonevents: int = 700) -> None:
    random = np.random.default_rng(1)
    outcome = np.repeat([1, 0], [events, nonevents])
    scores = 1 / (1 + np.exp(-random.normal(size=len(outcome)) - outcome))
    answered(ctx, scores.tolist(), outcome.tolist())


@pytest.mark.parametrize("monitor", PERFORMANCE, ids=lambda each: each.use)
def test_performance_comes_with_interval_counts_and_coverage(
    ctx: FakeContext, monitor: Monitor
) -> None:
    population(ctx)
    ctx.scoring_log.append(
        [replace(ROW, request_id="nan", score=math.nan), replace(ROW, request_id="new")]
    )
    found = monitor.measure(ctx, WINDOW, Minimum())
    assert found.insufficient == ""
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found.counts == {
        "rows": 1002,
        "labelled": 1000,
        "excluded": 1,
        "usable": 1000,
        "events": 300,
        "nonevents": 700,
    }
    assert found.notes["coverage"] == pytest.approx(1000 / 1002)
    assert found.notes["inverted"] is False


def test_the_values_are_those_of_the_rows(ctx: FakeContext) -> None:
    answered(ctx, [0.101, 0.4, 0.35, 0.8, 0.103], [0, 0, 1, 1, 1])
    values = [monitor.measure(ctx, WINDOW, SOME).value for monitor in PERFORMANCE]
    assert values == pytest.approx([1 / 2, 2 / 3, 1 / 3])
    # 0.101 and 0.103 lie between the same two hundredths
    assert KsMonitor(method="grid").measure(ctx, WINDOW, SOME).value == pytest.approx(1 / 3)


def test_measuring_again_gives_the_same_measurement(ctx: FakeContext) -> None:
    population(ctx)
    first, second = (KsMonitor().measure(ctx, WINDOW, Minimum()) for _ in range(2))
    assert first == second


def test_a_model_that_ranks_backwards_is_told_apart_from_a_useless_one(ctx: FakeContext) -> None:
    answered(ctx, [0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0])
    ks, auc, gini = (monitor.measure(ctx, WINDOW, SOME) for monitor in PERFORMANCE)
    assert (ks.value, auc.value, gini.value) == (0, 0, -1)
    assert ks.notes["inverted"] is True
    assert auc.notes["inverted"] is True
    assert gini.low == -1


@pytest.mark.parametrize(
    ("scores", "events", "minimum", "why"),
    [
        ([], [], SOME, "there is no scored request"),
        ([0.5], [1], Minimum(rows=2), "1 scored requests are fewer than the 2 needed"),
        ([0.1, 0.2], [1, None], Minimum(), "1 of 2 requests (50.0%) have a label and a score"),
        ([0.1, None], [1, 0], Minimum(), "1 of 2 requests (50.0%) have a label and a score"),
        ([0.1, 0.2], [1, 0], Minimum(), "1 events are fewer than the 200 needed"),
        ([0.1, 0.2], [1, 0], Minimum(events=1), "1 non-events are fewer than the 200 needed"),
        ([0.1, 0.2], [1, 1], Minimum(events=0, nonevents=0), "0 non-events are fewer than the 1"),
        ([0.1, 0.2], [0, 0], Minimum(events=0, nonevents=0), "0 events are fewer than the 1"),
        ([None], [1], Minimum(events=0, label_coverage=0), "0 events are fewer than the 1"),
    ],
)
@pytest.mark.parametrize("monitor", PERFORMANCE, ids=lambda each: each.use)
def test_too_little_data_give_a_reason_and_no_value(
    ctx: FakeContext,
    monitor: Monitor,
    scores: list[float | None],
    events: list[int | None],
    minimum: Minimum,
    why: str,
) -> None:
    answered(ctx, scores, events)
    found = monitor.measure(ctx, WINDOW, minimum)
    assert found.insufficient.startswith("fraud/1 in PROD, 2026-01-05 to 2026-01-12: ")
    assert why in found.insufficient
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.counts["rows"] == len(scores)


@pytest.mark.parametrize(
    "other",
    [
        {"service": "cc-other"},
        {"stage": "UAT"},
        {"snapshot": "fraud/2"},
        {"role": "challenger"},
        {"at": WINDOW.end},
        {"at": START - timedelta(microseconds=1)},
    ],
    ids=str,
)
@pytest.mark.parametrize("monitor", READY, ids=lambda each: each.use)
def test_only_the_runs_own_rows_count(
    ctx: FakeContext, monitor: Monitor, other: dict[str, object]
) -> None:
    ctx.scoring_log.append([replace(ROW, **other)])  # type: ignore[arg-type]  # one field each
    found = monitor.measure(ctx, WINDOW, Minimum())
    assert found.counts.get("rows", 0) == 0


@pytest.mark.parametrize("monitor", READY, ids=lambda each: each.use)
def test_a_state_without_a_stage_has_nothing_to_measure(ctx: FakeContext, monitor: Monitor) -> None:
    ctx.stage = None
    with pytest.raises(Hopeless, match="belongs to no stage"):
        monitor.measure(ctx, WINDOW, SOME)


@pytest.mark.parametrize("monitor", READY, ids=lambda each: each.use)
def test_a_measurement_is_json(ctx: FakeContext, monitor: Monitor) -> None:
    population(ctx)
    found = monitor.measure(ctx, WINDOW, Minimum())
    assert Measurement.model_validate_json(found.model_dump_json()) == found


def test_no_volume_is_a_value_like_any_other(ctx: FakeContext) -> None:
    found = VolumeMonitor().measure(ctx, WINDOW, Minimum(rows=100))
    assert (found.value, found.insufficient) == (0, "")


def test_volume_counts_requests_once(ctx: FakeContext) -> None:
    answered(ctx, [0.1, None, 0.3], [1, None, None])
    answered(ctx, [0.1], [1])
    found = VolumeMonitor().measure(ctx, WINDOW, Minimum())
    assert (found.value, found.low, found.high) == (3, 3, 3)
    assert found.counts == {"rows": 3, "labelled": 1}


def test_a_clean_log_has_no_bad_rows(ctx: FakeContext) -> None:
    asked(ctx, GOOD, GOOD | {"income": 3, "children": 2.0})
    found = QualityMonitor().measure(ctx, WINDOW, Minimum())
    assert (found.value, found.low) == (0, 0)
    assert found.counts == {"rows": 2, "bad": 0}
    assert found.notes == {"columns_checked": 4}


@pytest.mark.parametrize(
    ("wrong", "place", "fault"),
    [
        ({"income": None}, "income", "missing"),
        ({"income": "1.5"}, "income", "wrong_type"),
        ({"income": True}, "income", "wrong_type"),
        ({"children": 2.5}, "children", "wrong_type"),
        ({"children": "two"}, "children", "wrong_type"),
        ({"city": 7}, "city", "wrong_type"),
        ({"member": 1}, "member", "wrong_type"),
        ({"member": "true"}, "member", "wrong_type"),
        ({"salary": 1}, "salary", "unknown"),
    ],
    ids=str,
)
def test_a_wrong_input_makes_a_bad_row(
    ctx: FakeContext, wrong: JsonObject, place: str, fault: str
) -> None:
    asked(ctx, GOOD, GOOD | wrong)
    found = QualityMonitor().measure(ctx, WINDOW, Minimum())
    assert found.value == 0.5
    assert found.counts == {"rows": 2, "bad": 1, f"input_{fault}": 1}
    assert (found.notes["worst_column"], found.notes["worst_fault"]) == (place, fault)
    assert found.notes["worst_share"] == 0.5


def test_an_absent_input_is_missing_unless_it_is_optional(ctx: FakeContext) -> None:
    asked(ctx, {name: value for name, value in GOOD.items() if name != "city"})
    assert QualityMonitor().measure(ctx, WINDOW, Minimum()).value == 1
    lenient = QualityMonitor(optional=frozenset({"city"}))
    assert lenient.measure(ctx, WINDOW, Minimum()).value == 0


@pytest.mark.parametrize(
    ("score", "fault"),
    [
        (None, "missing"),
        (math.nan, "missing"),  # kept as no score at all
        (math.inf, "not_finite"),
        (1.0001, "out_of_range"),
        (-0.1, "out_of_range"),
    ],
)
def test_a_wrong_score_makes_a_bad_row(ctx: FakeContext, score: float | None, fault: str) -> None:
    ctx.scoring_log.append([replace(ROW, score=score, inputs=GOOD)])
    found = QualityMonitor().measure(ctx, WINDOW, Minimum())
    assert found.counts == {"rows": 1, "bad": 1, f"score_{fault}": 1}
    assert found.notes["worst_column"] == "(score)"


def test_the_range_of_scores_is_the_authors(ctx: FakeContext) -> None:
    ctx.scoring_log.append([replace(ROW, score=640, inputs=GOOD)])
    assert QualityMonitor(score=(300, 850)).measure(ctx, WINDOW, Minimum()).value == 0


def test_a_row_with_several_faults_is_one_bad_row(ctx: FakeContext) -> None:
    asked(ctx, {}, GOOD, GOOD | {"city": None})
    found = QualityMonitor().measure(ctx, WINDOW, Minimum())
    assert found.counts == {"rows": 3, "bad": 2, "input_missing": 5}
    assert found.notes["worst_column"] == "city"


def test_without_a_schema_the_scores_alone_are_looked_at(ctx: FakeContext) -> None:
    ctx.snapshot = SNAPSHOT.model_copy(update={"inputs": ()})
    asked(ctx, {"anything": 1})
    found = QualityMonitor().measure(ctx, WINDOW, Minimum())
    assert (found.value, found.notes["columns_checked"]) == (0, 0)


def test_the_quality_of_nothing_is_insufficient(ctx: FakeContext) -> None:
    found = QualityMonitor().measure(ctx, WINDOW, Minimum())
    assert found.value is None
    assert "0 scored requests are fewer than the 1 needed" in found.insufficient
    asked(ctx, GOOD)
    found = QualityMonitor().measure(ctx, WINDOW, Minimum(rows=2))
    assert "1 scored requests are fewer than the 2 needed" in found.insufficient


def test_the_interval_of_quality_is_wilsons(ctx: FakeContext) -> None:
    asked(ctx, *[GOOD] * 8, {}, {})
    found = QualityMonitor().measure(ctx, WINDOW, Minimum())
    # by hand: (0.2 + 1.92/10 ± 1.96·√(0.016 + 0.96/100)) / (1 + 3.84/10)
    assert (found.low, found.high) == pytest.approx((0.0567, 0.5098), abs=1e-4)


def test_a_measurement_that_nobody_wants_any_more_ends_early(ctx: FakeContext) -> None:
    ctx.scoring_log.append(replace(ROW, request_id=f"r{n}") for n in range(10_000))
    ctx.cancelled = True
    with pytest.raises(Retryable, match="cancelled"):
        QualityMonitor().measure(ctx, WINDOW, Minimum())


def test_each_monitor_says_which_way_is_better() -> None:
    assert {monitor.use: monitor.better for monitor in MONITORS} == {
        "performance.ks": "higher",
        "performance.auc": "higher",
        "performance.gini": "higher",
        "performance.lift": "higher",
        "performance.brier": "lower",
        "performance.calibration": "lower",
        "performance.f1": "higher",
        "performance.accuracy": "higher",
        "performance.r2": "higher",
        "performance.rmse": "lower",
        "drift.psi": "lower",
        "drift.ks": "lower",
        "drift.js": "lower",
        "drift.wasserstein": "lower",
        "drift.chi2": "lower",
        "volume": "neither",
        "staleness": "lower",
        "quality.log": "lower",
        "fairness": "higher",
        "decay": "lower",
        "expression": "lower",
        "sql": "neither",
        "http": "neither",
    }
