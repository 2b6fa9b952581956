"""Where a challenger's scores come from, how often it is looked at, and its guardrails."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from challenged import (
    DAY,
    REQUESTS,
    ask,
    compared,
    contested,
    forget_looks,
    later,
    place,
)
from pydantic import ValidationError

from waystage.errors import Hopeless
from waystage.plugin import (
    Label,
    ScoredRow,
)
from waystage.testing import FakeContext
from waystage_plugins.monitors import ChallengerCompare
from waystage_plugins.scoring import SqliteScoringLog


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return contested(tmp_path)


def test_copies_of_requests_are_joined_by_their_ids(ctx: FakeContext) -> None:
    ask(ctx)
    found = compared(ctx)
    assert (found.verdict, found.mode, found.paired) == ("promote", "shadow", True)
    assert (found.rows, found.coverage, found.unscored) == (REQUESTS, 1.0, 0)
    assert found.start == ctx.now - timedelta(days=30)


def test_the_window_begins_no_sooner_than_the_challenger_had_copies(ctx: FakeContext) -> None:
    ask(ctx, seed=2, challenger=None)
    later(ctx, 3)
    ctx.inventory.clear()
    place(ctx, "1", "champion", 0.05, days=100)
    place(ctx, "2", "challenger", 2.0, days=2)
    ask(ctx)
    found = compared(ctx)
    assert (found.verdict, found.rows) == ("promote", REQUESTS)
    assert found.start == ctx.now - timedelta(days=2)


def test_copies_of_too_few_requests_are_nothing_to_judge_by(ctx: FakeContext) -> None:
    ask(ctx, of=0.7)
    found = compared(ctx)
    assert (found.verdict, found.gain, found.looked) == ("wait", None, [])
    assert "of the champion's requests; 90.0% are needed" in found.why


def test_the_same_model_beside_itself_gains_nothing(ctx: FakeContext) -> None:
    ask(ctx, champion=2.0)
    for metric in ("auc", "gini", "ks", "brier"):
        ctx.key = f"cc-fraud-1/{metric}/step"
        found = compared(ctx, metric=metric, guardrails={"psi": 0.2, "errors": 0, "latency": 2})
        assert (found.verdict, found.gain, found.low, found.high) == ("keep", 0, 0, 0)
        assert all(rail.passed for rail in found.guardrails)


def test_one_kind_of_outcome_alone_is_nothing_to_judge_by(ctx: FakeContext) -> None:
    ask(ctx, events=0.0)
    found = compared(ctx, minimum={"events": 0, "nonevents": 0})
    assert (found.verdict, found.gain) == ("wait", None)
    assert found.why == "0 events are fewer than the 1 needed"


def test_requests_of_its_own_are_compared_without_pairs(ctx: FakeContext) -> None:
    ask(ctx, apart=True)
    found = compared(ctx, mode="split")
    assert (found.verdict, found.paired) == ("promote", False)
    assert "nothing was paired" in found.why
    assert found.low is not None
    later(ctx, 0)
    ctx.key = "cc-fraud-1/paired/step"
    forget_looks(ctx)
    ask(ctx, seed=1)
    assert float(compared(ctx).low or 0) > found.low, "pairs tell more"


def test_a_challenger_with_few_requests_of_its_own_waits(ctx: FakeContext) -> None:
    ask(ctx, apart=True, of=0.2)
    found = compared(ctx, mode="split")
    assert found.verdict == "wait"
    assert found.why.startswith("the challenger: ")


def test_labels_for_one_of_both_alone_are_nothing_to_judge_by(ctx: FakeContext) -> None:
    ask(ctx, apart=True)
    strays = [
        ScoredRow(f"x{n}", ctx.now - DAY, "cc-fraud", "PROD", "fraud/2", "challenger", 0.5)
        for n in range(REQUESTS)
    ]
    ctx.scoring_log.append(strays)
    found = compared(ctx, mode="split")
    assert found.verdict == "wait"
    assert found.why.startswith(f"the challenger: {REQUESTS} of {2 * REQUESTS} requests (50.0%)")


def test_scores_that_are_no_probabilities_have_no_brier(ctx: FakeContext) -> None:
    ask(ctx)
    strange = ScoredRow("x", ctx.now - DAY, "cc-fraud", "PROD", "fraud/1", "champion", 3.5)
    both = [strange, replace(strange, snapshot="fraud/2", role="challenger")]
    ctx.scoring_log.append(both)
    ctx.scoring_log.label([Label("x", 1, ctx.now)])
    with pytest.raises(Hopeless, match="which brier needs"):
        compared(ctx, metric="brier")


def test_looks_are_counted_by_their_data_over_crashes_and_repeats(ctx: FakeContext) -> None:
    ask(ctx, count=450, challenger=0.05)
    first = compared(ctx, looks=3, before=[])
    assert (first.verdict, first.look, len(first.looked)) == ("keep", 1, 1)
    told = [look.model_dump(mode="json") for look in first.looked]

    ctx.memo, ctx.attempt = {}, 2  # the same step, called again after a crash
    assert compared(ctx, looks=3, before=[]) == first
    ctx.key = "cc-fraud-1/again/step"  # a person has the same window compared anew
    again = compared(ctx, looks=3, before=told)
    assert (again.look, again.looked, again.low) == (1, first.looked, first.low)

    later(ctx)
    ask(ctx, seed=2, challenger=0.05)
    second = compared(ctx, looks=3, before=told)
    assert (second.look, len(second.looked)) == (2, 2)
    assert second.start == first.start, "the window has grown"
    assert second.rows == first.rows + REQUESTS
    assert second.level is not None
    assert first.level is not None
    assert first.level > second.level > 0.95

    later(ctx)
    ask(ctx, seed=3, challenger=0.05)
    third = compared(ctx, looks=3, before=[each.model_dump() for each in second.looked])
    later(ctx)
    ask(ctx, seed=4)
    last = compared(ctx, looks=3, before=[each.model_dump() for each in third.looked])
    assert (last.verdict, last.gain, last.looked) == ("keep", None, third.looked)
    assert last.why == "all 3 declared looks were taken and none was enough"


def test_waiting_is_no_look(ctx: FakeContext) -> None:
    ask(ctx, count=50)
    assert compared(ctx, looks=2, before=[]).looked == []


def test_pocock_needs_to_know_the_looks_before(ctx: FakeContext) -> None:
    with pytest.raises(ValidationError, match="before: spending pocock needs"):
        ChallengerCompare(looks=4, spending="pocock")
    ask(ctx)
    assert compared(ctx, looks=4, spending="pocock", before=[]).verdict == "promote"


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"latency": 1.2}, "times the champion's"),
        ({"psi": 0.05}, "the PSI between both models' scores is"),
        ({"fairness": {"group": "region", "at_least": 0.999}}, "of region has"),
        ({"fairness": {"group": "sex"}}, "fairness cannot be measured: fewer than two groups"),
    ],
)
def test_a_better_challenger_that_breaks_a_limit_is_kept_out(
    ctx: FakeContext, limits: dict[str, Any], told: str
) -> None:
    ask(ctx, took=(2.0, 4.0))
    found = compared(ctx, guardrails=limits)
    assert (found.verdict, [rail.passed for rail in found.guardrails]) == ("keep", [False])
    assert found.low is not None
    assert found.low > 0, "better it is"
    assert told in found.why
    assert "not passed: " in found.why


def test_requests_that_the_challenger_could_not_answer_are_errors(ctx: FakeContext) -> None:
    ask(ctx)
    failed = [
        ScoredRow(f"f{n}", ctx.now - DAY, "cc-fraud", "PROD", "fraud/2", "challenger", None)
        for n in range(8)
    ]
    ctx.scoring_log.append(failed)
    found = compared(ctx, guardrails={"errors": 0.005})
    assert found.verdict == "keep"
    (rail,) = found.guardrails
    assert rail.value == pytest.approx(8 / (REQUESTS + 8))


def test_what_cannot_be_measured_is_not_passed(ctx: FakeContext) -> None:
    ask(ctx)
    ctx.scoring_log = Silent(path=ctx.root / "scores.db")
    found = compared(ctx, guardrails={"latency": 100})
    assert (found.verdict, found.guardrails[0].value) == ("keep", None)
    assert "latency cannot be measured: test.silent does not tell" in found.why
    ctx.key = "cc-fraud-1/psi/step"
    found = compared(ctx, guardrails={"psi": 0.001})
    assert "chance alone makes it" in found.why
    assert found.verdict == "keep"


class Silent(SqliteScoringLog):
    """Keep no times."""

    use: ClassVar[str] = "test.silent"

    def latencies(self, which: Any) -> Any:
        raise Hopeless(f"{self.use} does not tell how long requests took")


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, "batch"),
        ({"by": "endpoint"}, "online"),
        ({"mode": "shadow"}, None),
        ({"mode": "split"}, None),
        ({"mode": "{{ params.mode }}"}, "any"),
    ],
    ids=str,
)
def test_only_a_replay_asks_for_a_runtime(settings: dict[str, str], asked: str | None) -> None:
    assert ChallengerCompare.asks_of_runtime(settings) == (asked, frozenset())
