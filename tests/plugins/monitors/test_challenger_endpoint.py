"""A challenger that is asked for the champion's requests where it is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from challenged import REQUESTS, Formula, ask, compared, contested

from waystage.errors import NotFound, Retryable
from waystage.plugin import (
    Handle,
    JsonObject,
    Services,
)
from waystage.testing import FakeContext
from waystage_plugins.runtimes import RUNTIMES


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return contested(tmp_path)


def test_an_endpoint_is_asked_for_the_requests_of_the_window(ctx: FakeContext) -> None:
    ask(ctx, challenger=None)
    found = compared(ctx, mode="replay", by="endpoint", guardrails={"latency": 1000, "errors": 0})
    assert (found.verdict, found.rows, found.unscored) == ("promote", REQUESTS, 0)
    assert [rail.name for rail in found.guardrails] == ["latency", "errors"]
    assert all(rail.value is not None for rail in found.guardrails)


def test_one_request_that_cannot_be_read_does_not_spoil_the_others(ctx: FakeContext) -> None:
    ask(ctx, challenger=None)
    ctx.runtimes = {"serving": Formula(blind_above=2.6)}
    found = compared(ctx, mode="replay", by="endpoint", guardrails={"errors": 0.0001})
    assert 0 < found.unscored < 9
    assert (found.verdict, found.rows) == ("keep", REQUESTS - found.unscored)
    assert "not passed: " in found.why


def test_an_endpoint_that_is_down_is_no_evidence(ctx: FakeContext) -> None:
    ask(ctx, challenger=None)
    ctx.runtimes = {"serving": Formula(ready=False)}
    with pytest.raises(Retryable):
        compared(ctx, mode="replay", by="endpoint")
    ctx.inventory.pop(0)
    with pytest.raises(NotFound, match="fraud/2 answers no requests in PROD"):
        compared(ctx, mode="replay", by="endpoint")


def test_who_does_not_answer_in_time_is_asked_again_and_never_counted_as_an_error(
    ctx: FakeContext,
) -> None:
    ask(ctx, challenger=None)
    Formula.hiccups["left"] = 1
    found = compared(ctx, mode="replay", by="endpoint", guardrails={"errors": 0})
    assert (found.verdict, found.unscored) == ("promote", 0)
    ctx.key = "cc-fraud-1/again/step"
    Formula.hiccups["left"], Formula.calls[:] = 10_000, []
    with pytest.raises(Retryable, match="no answer in time"):
        compared(ctx, mode="replay", by="endpoint")
    assert Formula.calls == [100, 100], "nor is each of the others waited for"


@pytest.mark.parametrize("after", [1, 5, 9 + 50])
def test_a_comparison_that_is_cancelled_asks_nothing_more(ctx: FakeContext, after: int) -> None:
    ask(ctx, challenger=None)
    ctx.runtimes = {"serving": Cancelling(context=ctx, after=after)}
    with pytest.raises(Retryable, match="was cancelled"):
        compared(ctx, mode="replay", by="endpoint")
    assert len(Formula.calls) == after


class Cancelling(Formula):
    """Have the run cancelled after some calls."""

    use: ClassVar[str] = "test.cancelling"
    context: Any
    after: int

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        found = super().predict(ctx, handle, rows)
        self.context.cancelled = len(self.calls) >= self.after
        return found


class Afar(Formula):
    """Reach deployments by ways of which nobody knows how long they take."""

    use: ClassVar[str] = "test.afar"
    times_probes: ClassVar[bool] = False


def test_times_of_the_way_are_not_taken_for_the_models(ctx: FakeContext) -> None:
    ask(ctx, challenger=None)
    ctx.runtimes = {"serving": Afar()}
    found = compared(ctx, mode="replay", by="endpoint", guardrails={"latency": 1000})
    assert (found.verdict, found.guardrails[0].value) == ("keep", None)
    assert "latency cannot be measured: the way to a model on test.afar may" in found.why
    assert "latency 0" in found.why, "and what to do"


def test_only_this_machines_own_server_is_near_enough_to_be_timed() -> None:
    told = {each.use for each in RUNTIMES if getattr(each, "times_probes", False)}
    assert told == {"local.serving"}
