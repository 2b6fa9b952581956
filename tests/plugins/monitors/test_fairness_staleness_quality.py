"""Groups of people, signs of life, and the finer rules of the log's quality."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from waystage.errors import Hopeless
from waystage.plugin import (
    Column,
    Deployed,
    JsonObject,
    Label,
    Minimum,
    Placement,
    ScoredRow,
    Snapshot,
    Window,
)
from waystage.testing import FakeContext
from waystage_plugins.monitors import FairnessMonitor, QualityMonitor, StalenessMonitor
from waystage_plugins.monitors.statistics.rates import difference_p, ratio_interval
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = Window(start=START, end=START + timedelta(days=7))
ROW = ScoredRow("r0", START, "loan", "PROD", "loan/1", "champion", 0.5)
SNAPSHOT = Snapshot(
    name="loan", version="1", digest="sha256:" + "0" * 64,
    inputs=(Column(name="sex", type="string"), Column(name="age", type="integer")),
)  # fmt: skip


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    log = SqliteScoringLog(path=tmp_path / "scores.db")
    return FakeContext(tmp_path, service="loan", stage="PROD", snapshot=SNAPSHOT, scoring_log=log)


def asked(ctx: FakeContext, rows: list[tuple[float | None, JsonObject, int | None]]) -> None:
    ctx.scoring_log.append(
        replace(ROW, request_id=f"r{n}", score=score, inputs=inputs)
        for n, (score, inputs, _) in enumerate(rows)
    )
    ctx.scoring_log.label(
        Label(f"r{n}", event, START) for n, (*_, event) in enumerate(rows) if event is not None
    )


def group(sex: Any, size: int, favoured: int, event: int | None = None) -> list[Any]:
    """Give requests of a group of which so many have a high score."""
    return [(0.9 if n < favoured else 0.1, {"sex": sex, "age": 20 + n % 50}, event)
            for n in range(size)]  # fmt: skip


def test_the_value_is_the_lowest_rate_over_the_highest(ctx: FakeContext) -> None:
    asked(ctx, group("f", 200, 60) + group("m", 400, 200))
    found = FairnessMonitor(group="sex").measure(ctx, WINDOW, Minimum())
    assert found.value == pytest.approx(0.3 / 0.5)
    assert (found.notes["lowest"], found.notes["highest"]) == ("f", "m")
    assert found.notes["difference"] == pytest.approx(0.2)
    assert found.notes["four_fifths"] is False
    assert found.notes["group f"] == "0.3000 (0.2407 to 0.3668), 200 requests"
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.6 < found.high < 0.8
    assert float(found.notes["p"]) < 0.001


def test_the_rates_of_the_uniform_guidelines_break_the_four_fifths_rule(ctx: FakeContext) -> None:
    # the example of the EEOC's questions and answers (1979): 48 of 80 and 12 of 40, 30 % / 60 %
    asked(ctx, group("white", 80, 48) + group("black", 40, 12))
    found = FairnessMonitor(group="sex", least=20).measure(ctx, WINDOW, Minimum())
    assert found.value == pytest.approx(0.5)
    assert found.notes["four_fifths"] is False


def test_who_is_favoured_below_the_threshold_is_said(ctx: FakeContext) -> None:
    asked(ctx, group("f", 200, 60) + group("m", 400, 200))
    found = FairnessMonitor(group="sex", favourable="below").measure(ctx, WINDOW, Minimum())
    assert found.value == pytest.approx(0.5 / 0.7)
    assert found.notes["lowest"] == "m"


def test_rates_among_events_need_labels(ctx: FakeContext) -> None:
    rows = group("f", 200, 100, 1) + group("f", 200, 20, 0) + group("m", 200, 160, 1)
    asked(ctx, rows + group("m", 200, 20, 0))
    found = FairnessMonitor(group="sex", rate="events").measure(ctx, WINDOW, Minimum())
    assert found.value == pytest.approx(0.5 / 0.8)
    equal = FairnessMonitor(group="sex", rate="nonevents").measure(ctx, WINDOW, Minimum())
    assert (equal.value, equal.notes["four_fifths"]) == (1, True)


def test_without_labels_rates_among_events_are_insufficient(ctx: FakeContext) -> None:
    asked(ctx, group("f", 200, 100) + group("m", 200, 100, 1))
    found = FairnessMonitor(group="sex", rate="events").measure(ctx, WINDOW, Minimum())
    assert "50.0% have a label; 80.0% are needed" in found.insufficient


def test_numbers_are_grouped_by_cuts(ctx: FakeContext) -> None:
    asked(ctx, [(0.9, {"age": 18 + n % 60}, None) for n in range(600)])
    found = FairnessMonitor(group="age", cuts=(25, 60), least=50).measure(ctx, WINDOW, Minimum())
    told = {name for name in found.notes if name.startswith("group ")}
    assert told == {"group below 25", "group 25 to 60", "group 60 and more"}
    with pytest.raises(ValidationError, match="larger than the one before"):
        FairnessMonitor(group="age", cuts=(60, 25))


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "0 scored requests are fewer than the 1 needed"),
        (group("f", 200, 60) + group("m", 99, 50), "have 100 requests (f: 200, m: 99)"),
        (group(None, 300, 60), "have 100 requests (300 tell no group)"),
    ],
    ids=["empty", "small", "missing"],
)
def test_one_group_alone_is_insufficient(ctx: FakeContext, rows: list[Any], why: str) -> None:
    asked(ctx, rows)
    found = FairnessMonitor(group="sex").measure(ctx, WINDOW, Minimum())
    assert found.value is None
    assert why in found.insufficient


def test_unusable_scores_and_missing_groups_are_counted(ctx: FakeContext) -> None:
    asked(ctx, [*group("f", 200, 60), *group("m", 400, 200), (None, {"sex": "f"}, None),
                (math.inf, {"sex": "f"}, None), (0.5, {}, None)])  # fmt: skip
    counts = FairnessMonitor(group="sex").measure(ctx, WINDOW, Minimum()).counts
    assert (counts["rows"], counts["unscored"], counts["ungrouped"]) == (603, 2, 1)


def test_nobody_favoured_is_no_disparity(ctx: FakeContext) -> None:
    asked(ctx, group("f", 200, 0) + group("m", 400, 0))
    found = FairnessMonitor(group="sex").measure(ctx, WINDOW, Minimum())
    assert (found.value, found.notes["p"]) == (1, 1)


def test_an_id_is_no_group(ctx: FakeContext) -> None:
    asked(ctx, [(0.5, {"sex": f"customer {n}"}, None) for n in range(300)])
    with pytest.raises(Hopeless, match="more than 200 values"):
        FairnessMonitor(group="sex").measure(ctx, WINDOW, Minimum())


@given(st.integers(0, 50), st.integers(0, 50))
def test_the_ratios_interval_turns_with_the_groups(hits: int, other: int) -> None:
    low, high = ratio_interval(hits, 50, other, 50)
    turned = ratio_interval(other, 50, hits, 50)
    assert (low, high) == pytest.approx((1 / turned[1], 1 / turned[0]))
    assert difference_p(hits, 50, other, 50) == pytest.approx(difference_p(other, 50, hits, 50))


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "other"), [(0.3, 0.5), (0.05, 0.06), (0.9, 0.95)])
def test_the_ratios_interval_covers_the_truth(rate: float, other: float) -> None:
    random = np.random.default_rng(1)
    hits, others = random.binomial(200, rate, 10_000), random.binomial(400, other, 10_000)
    bounds = np.array([ratio_interval(int(a), 200, int(b), 400)
                       for a, b in zip(hits, others, strict=True)])  # fmt: skip
    inside = (bounds[:, 0] <= rate / other) & (rate / other <= bounds[:, 1])
    assert inside.mean() >= 0.94


def test_staleness_is_the_time_since_the_newest_sign(ctx: FakeContext) -> None:
    asked(ctx, [(0.5, {}, None), (0.6, {}, None)])
    ctx.scoring_log.append([replace(ROW, request_id="old", at=START + timedelta(days=5))])
    ctx.scoring_log.label([Label("r0", 1, START + timedelta(days=1))])
    here = Deployed(stage="PROD", runtime="okd", mode="online")
    ctx.inventory = [Placement("loan", SNAPSHOT, here, "loan-1", START - timedelta(days=3))]
    ages = {of: StalenessMonitor(of=of).measure(ctx, WINDOW, Minimum()).value  # type: ignore[arg-type]  # its three words
            for of in ("requests", "labels", "model")}  # fmt: skip
    assert ages == {"requests": 2, "labels": 6, "model": 10}


def test_no_sign_at_all_is_insufficient_and_never_fresh(ctx: FakeContext) -> None:
    for of in ("requests", "labels", "model"):
        found = StalenessMonitor(of=of).measure(ctx, WINDOW, Minimum())  # type: ignore[arg-type]  # see above
        assert found.value is None
        assert f"none of its {of} are known since 2025-01-11" in found.insufficient


def test_a_label_of_a_clock_that_is_ahead_is_not_from_the_future(ctx: FakeContext) -> None:
    asked(ctx, [(0.5, {}, None)])
    ctx.scoring_log.label([Label("r0", 1, START + timedelta(days=300))])
    assert StalenessMonitor(of="labels").measure(ctx, WINDOW, Minimum()).value == 0


GOOD: JsonObject = {"sex": "f", "age": 30}


@pytest.mark.parametrize(
    ("settings", "inputs", "place", "fault"),
    [
        ({"ranges": {"age": [18, 120]}}, {"age": 17}, "age", "out_of_range"),
        ({"categories": {"sex": ["f", "m"]}}, {"sex": "x"}, "sex", "unseen_category"),
        ({"probabilities": ["p", "q"]}, {"p": 0.4, "q": 0.5}, "(probabilities)", "not_one_in_all"),
        ({"probabilities": ["p", "q"]}, {"p": 1.4, "q": -0.4}, "(probabilities)", "no_probability"),
        ({"probabilities": ["p", "q"]}, {"p": 1}, "(probabilities)", "no_probability"),
        ({"class": {"column": "c"}}, {"c": 0}, "(class)", "contradicts_score"),
        ({"class": {"column": "c", "event": "bad", "threshold": 0.6}}, {"c": "bad"}, "(class)",
         "contradicts_score"),
        ({"class": {"column": "c"}}, {}, "(class)", "missing"),
    ],
)  # fmt: skip
def test_a_broken_rule_makes_a_bad_row(
    ctx: FakeContext, settings: Any, inputs: JsonObject, place: str, fault: str
) -> None:
    asked(ctx, [(0.5, GOOD | inputs, None)])
    found = QualityMonitor.model_validate(settings).measure(ctx, WINDOW, Minimum())
    assert (found.value, found.counts["bad"]) == (1, 1)
    assert (found.notes["worst_column"], found.notes["worst_fault"]) == (place, fault)


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        ({"ranges": {"age": [18, 120]}}, {"age": 18}),
        ({"categories": {"sex": ["f", "m"]}}, {}),
        ({"probabilities": ["p", "q"]}, {"p": 0.1, "q": 0.9}),
        ({"class": {"column": "c"}}, {"c": 1}),
        ({"class": {"column": "c", "event": "true"}}, {"c": True}),
    ],
)
def test_a_rule_that_is_kept_says_nothing(
    ctx: FakeContext, settings: Any, inputs: JsonObject
) -> None:
    asked(ctx, [(0.5, GOOD | inputs, None)])
    assert QualityMonitor.model_validate(settings).measure(ctx, WINDOW, Minimum()).value == 0


def test_a_constant_input_is_told_and_may_not_be_one_that_varies(ctx: FakeContext) -> None:
    asked(ctx, [(0.5, GOOD | {"age": 20 + n}, None) for n in range(100)])
    told = QualityMonitor().measure(ctx, WINDOW, Minimum())
    assert (told.value, told.notes["constant"]) == (0, "sex")
    wrong = QualityMonitor(varying=frozenset({"sex", "age"})).measure(ctx, WINDOW, Minimum())
    assert wrong.value == 1
    assert wrong.counts["input_constant"] == 100
    assert wrong.notes["worst_column"] == "sex"
