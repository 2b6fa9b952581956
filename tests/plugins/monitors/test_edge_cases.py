"""Bad input, one test each: the answer that is right, with a reason that a person understands."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from waystage.errors import Hopeless
from waystage.plugin import Label, Minimum, Monitor, ScoredRow, Snapshot, Window
from waystage.testing import FakeContext
from waystage_plugins.monitors import (
    AccuracyMonitor,
    AucMonitor,
    BrierMonitor,
    CalibrationMonitor,
    F1Monitor,
    GiniMonitor,
    KsMonitor,
    LiftMonitor,
)
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = Window(start=START, end=START + timedelta(days=7))
FEW = Minimum(events=1, nonevents=1, label_coverage=0)
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5)
SNAPSHOT = Snapshot(name="fraud", version="1", digest="sha256:" + "0" * 64)
LABELLED: list[Monitor] = [
    KsMonitor(), AucMonitor(), GiniMonitor(), LiftMonitor(), BrierMonitor(), CalibrationMonitor(),
    F1Monitor(), AccuracyMonitor(),
]  # fmt: skip
every_monitor = pytest.mark.parametrize("monitor", LABELLED, ids=lambda each: each.use)


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    log = SqliteScoringLog(path=tmp_path / "scores.db")
    return FakeContext(
        tmp_path, service="cc-fraud", stage="PROD", snapshot=SNAPSHOT, scoring_log=log
    )


def answered(
    ctx: FakeContext, scores: list[float | None], events: list[int | None], **other: str
) -> None:
    """Keep requests with these scores and, where there is one, their labels."""
    numbered = list(enumerate(zip(scores, events, strict=True)))
    prefix = other.pop("prefix", "r")
    ctx.scoring_log.append(
        replace(ROW, request_id=f"{prefix}{n}", score=s, **other)  # type: ignore[arg-type]  # texts all
        for n, (s, _) in numbered
    )
    ctx.scoring_log.label(
        Label(f"{prefix}{n}", event, START) for n, (_, event) in numbered if event is not None
    )


def population(ctx: FakeContext, **other: str) -> None:
    """Keep 300 events and 700 non-events, each kind with scores of its own."""
    random = np.random.default_rng(1)
    outcome = np.repeat([1, 0], [300, 700])
    scores = 1 / (1 + np.exp(-random.normal(size=1000) - outcome))
    answered(ctx, scores.tolist(), outcome.tolist(), **other)


@every_monitor
def test_a_value_comes_with_interval_and_coverage(ctx: FakeContext, monitor: Monitor) -> None:
    population(ctx)
    found = monitor.measure(ctx, WINDOW, Minimum())
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    assert found.low < found.high
    assert found.notes["coverage"] == 1
    low, high = monitor.values
    assert low is None or low <= found.low
    assert high is None or found.high <= high


@every_monitor
def test_an_empty_window_is_insufficient(ctx: FakeContext, monitor: Monitor) -> None:
    found = monitor.measure(ctx, WINDOW, FEW)
    assert found.value is None
    assert found.insufficient == (
        "fraud/1 in PROD, 2026-01-05 to 2026-01-12: there is no scored request"
    )


@every_monitor
@pytest.mark.parametrize(("event", "why"), [(1, "0 non-events"), (0, "0 events")])
def test_one_class_only_is_insufficient(
    ctx: FakeContext, monitor: Monitor, event: int, why: str
) -> None:
    answered(ctx, [0.1] * 300, [event] * 300)
    found = monitor.measure(ctx, WINDOW, Minimum(events=0, nonevents=0))
    assert found.value is None
    assert why in found.insufficient


@every_monitor
def test_a_window_in_the_future_is_insufficient(ctx: FakeContext, monitor: Monitor) -> None:
    population(ctx)
    later = Window(start=WINDOW.start + timedelta(days=365), end=WINDOW.end + timedelta(days=365))
    assert "there is no scored request" in monitor.measure(ctx, later, Minimum()).insufficient


@every_monitor
def test_scores_that_are_no_numbers_are_left_out_and_counted(
    ctx: FakeContext, monitor: Monitor
) -> None:
    population(ctx)
    clean = monitor.measure(ctx, WINDOW, Minimum())
    answered(ctx, [math.nan, math.inf, -math.inf, None], [1, 1, 0, 0], prefix="bad")
    found = monitor.measure(ctx, WINDOW, Minimum())
    assert found.value == clean.value
    assert found.counts["excluded"] == 4
    assert found.counts["rows"] == 1004


@every_monitor
def test_so_many_unusable_scores_that_the_rest_may_mislead_are_insufficient(
    ctx: FakeContext, monitor: Monitor
) -> None:
    population(ctx)
    answered(ctx, [math.nan] * 400, [1] * 400, prefix="bad")
    found = monitor.measure(ctx, WINDOW, Minimum())
    assert found.value is None
    assert "1000 of 1400 requests (71.4%) have a label and a score" in found.insufficient


@every_monitor
def test_requests_without_a_label_are_not_taken_for_non_events(
    ctx: FakeContext, monitor: Monitor
) -> None:
    population(ctx)
    clean = monitor.measure(ctx, WINDOW, Minimum())
    answered(ctx, [0.99] * 200, [None] * 200, prefix="young")
    assert monitor.measure(ctx, WINDOW, Minimum()).value == clean.value


@every_monitor
def test_rows_of_another_version_or_role_stay_out(ctx: FakeContext, monitor: Monitor) -> None:
    population(ctx)
    clean = monitor.measure(ctx, WINDOW, Minimum())
    population(ctx, prefix="v2-", snapshot="fraud/2")
    answered(ctx, [0.01] * 50, [1] * 50, prefix="shadow-", role="challenger")
    assert monitor.measure(ctx, WINDOW, Minimum()) == clean


@every_monitor
def test_a_request_that_is_told_twice_counts_once(ctx: FakeContext, monitor: Monitor) -> None:
    population(ctx)
    clean = monitor.measure(ctx, WINDOW, Minimum())
    population(ctx)
    assert monitor.measure(ctx, WINDOW, Minimum()) == clean


@every_monitor
def test_constant_scores_have_a_value_that_praises_nobody(
    ctx: FakeContext, monitor: Monitor
) -> None:
    answered(ctx, [0.3] * 1000, [1] * 300 + [0] * 700)
    useless = {
        "performance.ks": 0, "performance.auc": 0.5, "performance.gini": 0, "performance.lift": 1,
        "performance.brier": 0.21, "performance.calibration": 0, "performance.f1": 0,
        "performance.accuracy": 0.7,
    }  # fmt: skip
    found = monitor.measure(ctx, WINDOW, Minimum())
    assert found.value == pytest.approx(useless[monitor.use])


@pytest.mark.parametrize("monitor", [BrierMonitor(), CalibrationMonitor()], ids=lambda m: m.use)
def test_scores_outside_0_to_1_are_no_probabilities(ctx: FakeContext, monitor: Monitor) -> None:
    population(ctx)
    answered(ctx, [640.0, -0.5], [1, 0], prefix="points")
    why = r"2 scores lie outside 0\.\.1 \(-0\.5 to 640\), so they are no probabilities"
    with pytest.raises(Hopeless, match=why):
        monitor.measure(ctx, WINDOW, Minimum())


def test_scores_outside_0_to_1_can_be_ranked(ctx: FakeContext) -> None:
    random = np.random.default_rng(1)
    outcome = np.repeat([1, 0], [300, 700])
    scores = 600 + 50 * random.normal(size=1000) + 40 * outcome
    answered(ctx, scores.tolist(), outcome.tolist())
    for monitor in (KsMonitor(), AucMonitor(), GiniMonitor(), LiftMonitor()):
        assert (monitor.measure(ctx, WINDOW, Minimum()).value or 0) > 0.2


@pytest.mark.parametrize("event", [2, -1, "yes"])
def test_a_label_of_an_unknown_vocabulary_is_refused_by_name(
    ctx: FakeContext, event: object
) -> None:
    with pytest.raises(Hopeless, match=re.escape(f"request 'r0' is {event!r}, not 0 or 1")):
        ctx.scoring_log.label([Label("r0", event, START)])  # type: ignore[arg-type]  # that is the test


def test_a_top_of_a_few_rows_has_no_lift(ctx: FakeContext) -> None:
    population(ctx)
    found = LiftMonitor(at=0.01).measure(ctx, WINDOW, Minimum())
    assert found.value is None
    assert "the top 0.01 of 1000 requests are fewer than 50" in found.insufficient


@every_monitor
def test_a_request_of_a_clock_that_is_ahead_is_in_the_window_of_its_own_time(
    ctx: FakeContext, monitor: Monitor
) -> None:
    population(ctx)
    clean = monitor.measure(ctx, WINDOW, Minimum())
    ctx.scoring_log.append([replace(ROW, request_id="ahead", at=WINDOW.end)])
    ctx.scoring_log.label([Label("ahead", 1, START)])
    assert monitor.measure(ctx, WINDOW, Minimum()) == clean
