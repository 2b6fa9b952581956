"""Decay against a frozen baseline, and conditions over several metrics."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from waystage.errors import Hopeless
from waystage.plugin import (
    Deployed,
    Label,
    Measurement,
    Minimum,
    Monitor,
    Placement,
    ScoredRow,
    Snapshot,
    Window,
)
from waystage.testing import FakeContext
from waystage_plugins.monitors import (
    AucMonitor,
    DecayMonitor,
    ExpressionMonitor,
    LiftMonitor,
)
from waystage_plugins.monitors.statistics.mover import Estimate, difference, ratio
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5)
SNAPSHOT = Snapshot(
    name="fraud", version="1", digest="sha256:" + "0" * 64, metrics={"auc": 0.8, "rmse": 2.0}
)
AUC: dict[str, Any] = {"use": "performance.auc"}


def week(number: int) -> Window:
    return Window(start=START + number * WEEK, end=START + (number + 1) * WEEK)


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    log = SqliteScoringLog(path=tmp_path / "scores.db")
    made = FakeContext(
        tmp_path, service="cc-fraud", stage="PROD", snapshot=SNAPSHOT, scoring_log=log
    )
    here = Deployed(stage="PROD", runtime="okd", mode="online")
    made.inventory = [Placement("cc-fraud", SNAPSHOT, here, "cc-fraud-1", START)]
    made.clock.turn(START + 10 * WEEK - made.now)
    return made


def scored(ctx: FakeContext, number: int, shift: float, size: int = 2000) -> None:
    """Keep a week of labelled requests whose events lie `shift` above the others."""
    random = np.random.default_rng(number)
    event = (random.random(size) < 0.3).astype(int)
    score = 1 / (1 + np.exp(-random.normal(size=size) - shift * event))
    ctx.scoring_log.append(
        replace(ROW, request_id=f"{number}-{n}", at=START + number * WEEK, score=float(score[n]))
        for n in range(size)
    )
    ctx.scoring_log.label(Label(f"{number}-{n}", int(event[n]), START) for n in range(size))


def measured(monitor: Monitor, ctx: FakeContext, number: int) -> Measurement:
    found = monitor.measure(ctx, week(number), Minimum())
    if found.keep is not None:
        ctx.memo = found.keep
    return found


def decay(**settings: Any) -> DecayMonitor:
    return DecayMonitor.model_validate({"metric": AUC} | settings)


def test_decay_is_the_part_of_the_first_weeks_value_that_is_lost(ctx: FakeContext) -> None:
    scored(ctx, 0, 1.5)
    scored(ctx, 1, 0.5)
    then, now = (AucMonitor().measure(ctx, week(n), Minimum()) for n in (0, 1))
    found = measured(decay(), ctx, 1)
    assert found.value == pytest.approx(1 - (now.value or 0) / (then.value or 1))
    assert (found.notes["then"], found.notes["now"]) == (then.value, now.value)
    assert found.notes["baseline"] == "2026-01-05 to 2026-01-12"
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < (found.value or 0) < found.high
    absolute = measured(decay(of="absolute"), ctx, 1)
    assert absolute.value == pytest.approx((then.value or 0) - (now.value or 0))


def test_a_metric_that_is_better_when_lower_decays_upwards(ctx: FakeContext) -> None:
    scored(ctx, 0, 1.5)
    scored(ctx, 1, 0.5)
    found = measured(decay(metric={"use": "performance.brier"}), ctx, 1)
    assert found.low is not None
    assert found.high is not None
    assert (found.value or 0) > 0
    assert found.low < (found.value or 0) < found.high


def test_a_better_week_is_a_decay_below_zero(ctx: FakeContext) -> None:
    scored(ctx, 0, 0.5)
    scored(ctx, 1, 1.5)
    assert (measured(decay(), ctx, 1).value or 0) < 0


def test_the_baseline_may_be_a_metric_of_the_snapshot(ctx: FakeContext) -> None:
    scored(ctx, 1, 1.0)
    now = AucMonitor().measure(ctx, week(1), Minimum()).value or 0
    found = measured(decay(baseline="snapshot", key="auc"), ctx, 1)
    assert found.value == pytest.approx(1 - now / 0.8)
    assert found.notes["baseline"] == "metric auc of fraud/1"
    with pytest.raises(Hopeless, match="fraud/1 has no metric 'gini'; it has auc, rmse"):
        measured(decay(baseline="snapshot", key="gini"), ctx, 1)


def test_the_frozen_value_stays_and_is_of_this_version_alone(ctx: FakeContext) -> None:
    scored(ctx, 0, 1.5)
    scored(ctx, 1, 0.5)
    first = measured(decay(), ctx, 1)
    ctx.scoring_log.label([Label(f"0-{n}", 0, START + 9 * WEEK) for n in range(1000)])
    again = measured(decay(), ctx, 1)
    assert again.keep is None  # the run has it already
    assert again == first.model_copy(update={"keep": None})
    ctx.snapshot = SNAPSHOT.model_copy(update={"version": "2"})
    with pytest.raises(Hopeless, match=r"stored baseline is of fraud/1 .*, not of fraud/2"):
        measured(decay(), ctx, 1)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (0, "the window begins before the baseline (2026-01-05 to 2026-01-12) ends"),
        (-1, "the baseline (2026-01-05 to 2026-01-12) is not over yet"),
        (1, "there is no scored request"),
    ],
)
def test_without_then_or_now_there_is_no_decay(ctx: FakeContext, number: int, why: str) -> None:
    scored(ctx, 0, 1.5)
    found = measured(decay(), ctx, number)
    assert found.value is None
    assert why in found.insufficient


def test_a_baseline_without_enough_labels_is_none(ctx: FakeContext) -> None:
    scored(ctx, 0, 1.5, size=100)
    scored(ctx, 1, 1.5)
    found = measured(decay(), ctx, 1)
    assert "there is no baseline: fraud/1 in PROD, 2026-01-05 to 2026-01-12" in found.insufficient
    assert found.keep is None


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"metric": {"use": "volume"}}, "neither better nor worse"),
        ({"metric": {"use": "drift.psi"}}, "neither better nor worse"),
        ({"metric": {"use": "performance.acu"}}, "no built-in monitor 'performance.acu'"),
        ({"metric": {"use": "performance.lift", "with": {"at": 2}}}, "less than or equal to 1"),
        ({"baseline": "snapshot"}, "key: names the metric"),
    ],
)
def test_a_decay_that_makes_no_sense_is_refused(settings: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        decay(**settings)


def test_no_part_of_a_baseline_of_nothing_can_be_lost(ctx: FakeContext) -> None:
    ctx.snapshot = SNAPSHOT.model_copy(update={"metrics": {"gini": 0.0}})
    scored(ctx, 1, 1.0)
    gini: Any = {"metric": {"use": "performance.gini"}, "baseline": "snapshot", "key": "gini"}
    with pytest.raises(Hopeless, match="of which no part can be lost; say of: absolute"):
        measured(decay(**gini), ctx, 1)
    assert measured(decay(**gini, of="absolute"), ctx, 1).value is not None


@pytest.mark.slow
def test_the_intervals_of_differences_and_ratios_cover_the_truth() -> None:
    random, hits = np.random.default_rng(1), np.zeros(2)
    first, second = random.normal(0.75, 0.02, 10_000), random.normal(0.8, 0.01, 10_000)
    for a, b in zip(first, second, strict=True):
        one = Estimate(a, a - 1.96 * 0.02, a + 1.96 * 0.02)
        other = Estimate(b, b - 1.96 * 0.01, b + 1.96 * 0.01)
        low, high = difference(one, other)
        hits[0] += low <= -0.05 <= high
        found = ratio(one, other)
        assert found
        hits[1] += found[0] <= 0.75 / 0.8 <= found[1]
    assert (hits / 10_000 >= 0.94).all()


def test_nothing_bounds_a_ratio_to_what_may_be_nothing() -> None:
    assert ratio(Estimate(1, 0.9, 1.1), Estimate(0.1, -0.1, 0.3)) is None


def expression(when: str, **metrics: Any) -> ExpressionMonitor:
    return ExpressionMonitor.model_validate({"metrics": metrics or {"auc": AUC}, "when": when})


def test_an_expression_over_decays_is_yes_or_no(ctx: FakeContext) -> None:
    scored(ctx, 0, 2.0)
    scored(ctx, 1, 0.3)
    scored(ctx, 2, 2.0)
    lifts: Any = {
        f"lift{at}_decay": {
            "use": "decay",
            "with": {"metric": {"use": "performance.lift", "with": {"at": at / 100}}},
        }
        for at in (5, 10)
    }
    monitor = expression("lift5_decay > 0.15 && lift10_decay > 0.12", **lifts)
    worse, same = measured(monitor, ctx, 1), measured(monitor, ctx, 2)
    assert (worse.value, same.value) == (1, 0)
    alone = LiftMonitor(at=0.05).measure(ctx, week(1), Minimum()).value or 0
    then = LiftMonitor(at=0.05).measure(ctx, week(0), Minimum()).value or 1
    assert worse.notes["lift5_decay"] == pytest.approx(1 - alone / then)
    assert same.keep is None
    kept: Any = worse.keep
    assert set(kept["parts"]) == {"lift5_decay", "lift10_decay"}


def test_bounds_of_the_intervals_may_be_named(ctx: FakeContext) -> None:
    scored(ctx, 0, 1.5)
    assert measured(expression("auc_low > 0.7 && auc_high < 0.95"), ctx, 0).value == 1


def test_an_expression_is_insufficient_when_one_of_its_metrics_is(ctx: FakeContext) -> None:
    scored(ctx, 0, 1.5)
    found = measured(expression("auc > 0 || late > 0", auc=AUC, late={"use": "performance.r2"}),
                     ctx, 0)  # fmt: skip
    assert found.value is None
    assert found.insufficient.startswith("late: fraud/1 in PROD")


@pytest.mark.parametrize(
    ("when", "why"),
    [("auc", "gives 0.8.*, and a condition gives yes or no"), ("acu > 0.1", "no name 'acu'"),
     ("auc >", "auc >")],
)  # fmt: skip
def test_a_condition_that_is_none_is_an_error(ctx: FakeContext, when: str, why: str) -> None:
    scored(ctx, 0, 1.5)
    with pytest.raises(Hopeless, match=why):
        measured(expression(when), ctx, 0)


def test_an_expression_holds_no_expression() -> None:
    with pytest.raises(ValidationError, match="write it into when:"):
        expression(
            "a > 0", a={"use": "expression", "with": {"metrics": {"b": AUC}, "when": "b > 0"}}
        )
