"""A server that asks to be left alone for a while is: the step's next try comes no sooner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from waystage.daemon.calls import call
from waystage.daemon.executors.far import Garbage, packed, unpacked
from waystage.errors import Retryable
from waystage.plugin import Answer, Context, Step
from waystage.retry import RetryPolicy, next_try
from waystage.store.codec import load
from waystage.store.rows import Claim
from waystage.testing import FakeContext

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = {"state": "look", "entry": 1, "index": 0, "use": "test.busy", "kind": "step"}


class Busy(Step):
    """Ask who wants to be left alone."""

    use = "test.busy"
    rest: timedelta | None

    def run(self, ctx: Context) -> Answer:
        """Fail."""
        raise Retryable("too many requests", after=self.rest)


def due(after: timedelta, **policy: Any) -> datetime | None:
    return next_try(RetryPolicy(**policy), key="k", attempt=1, started=NOW, now=NOW, after=after)


def test_the_next_try_comes_no_sooner_and_the_policy_s_bounds_hold() -> None:
    own = due(timedelta())
    assert own is not None
    assert own - NOW < timedelta(seconds=2)
    assert due(timedelta(seconds=30)) == NOW + timedelta(seconds=30)
    assert due(timedelta(microseconds=1)) == own, "a wait that is longer anyhow stays"
    assert due(timedelta(seconds=30), budget=timedelta(seconds=29)) is None
    assert due(timedelta(seconds=30), tries=1) is None


@pytest.mark.parametrize(
    ("rest", "told"),
    [(None, None), (timedelta(seconds=7), 7.0), (timedelta(days=9), 600.0), (-timedelta(1), None)],
    ids=["nothing", "seconds", "days", "the past"],
)
def test_what_a_step_is_asked_for_goes_into_its_answer_within_bounds(
    tmp_path: Path, rest: timedelta | None, told: float | None
) -> None:
    claim = Claim(1, "look", 1, ORDER | {"config": {"rest": rest}, "attempt": 1})
    answered = call(Busy, claim, FakeContext(tmp_path))  # type: ignore[arg-type]  # it has all that is asked for
    assert answered.event is not None
    assert answered.event.data.get("after") == told
    assert unpacked(load(packed(answered)), claim) == answered, "from another process too"


@pytest.mark.parametrize("after", [-1, 601, 1e300, float("nan"), "soon", None, []], ids=repr)
def test_a_process_that_says_nonsense_is_not_believed(after: object) -> None:
    data = {"error": "x", "hopeless": False, "after": after}
    with pytest.raises(Garbage):
        unpacked({"kind": "step.failed", "data": data}, Claim(1, "look", 1, ORDER))
