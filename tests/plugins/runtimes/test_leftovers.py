"""Jobs that nobody waits for any more are ended, and those that somebody waits for are not."""

from __future__ import annotations

import time
from collections.abc import Collection

import pytest

from waystage.plugin import Job
from waystage.testing import FakeContext
from waystage_plugins.runtimes import LocalProcess

LONG = Job(name="long", command=("python", "-c", "import time; time.sleep(600)"))


def test_a_job_is_ended_when_its_step_is_at_work_no_more(ctx: FakeContext) -> None:
    runtime = LocalProcess()
    refs = {key: runtime.submit(ctx, LONG, key=key) for key in ("a/1/x", "a/2/x/2", "b/1/x")}
    assert sorted(runtime.end_unwanted(ctx, lambda of: {"a/2/x"})) == ["a/1/x", "b/1/x"]
    assert runtime.poll(ctx, refs["a/1/x"]).message == "it was cancelled"
    assert runtime.poll(ctx, refs["a/2/x/2"]).phase in ("pending", "running")
    assert runtime.end_unwanted(ctx, lambda of: ()) == ["a/2/x/2"]
    assert runtime.end_unwanted(ctx, lambda of: ()) == []


def test_steps_are_asked_for_only_when_there_are_jobs_and_after_they_were_listed(
    ctx: FakeContext,
) -> None:
    runtime = LocalProcess()
    runtime.end_unwanted(ctx, lambda of: pytest.fail("there is no job"))

    def late(of: Collection[str] = ()) -> set[str]:
        runtime.submit(ctx, LONG, key="late/1/x")  # begun between the list and the question
        return set()

    first = runtime.submit(ctx, LONG, key="first/1/x")
    assert runtime.end_unwanted(ctx, late) == ["first/1/x"]
    assert runtime.poll(ctx, first).phase == "failed"
    assert runtime.end_unwanted(ctx, lambda of: {"late/1/x"}) == []
    assert runtime.end_unwanted(ctx, lambda of: ()) == ["late/1/x"]


def test_a_job_that_ended_is_forgotten(ctx: FakeContext) -> None:
    runtime = LocalProcess()
    ref = runtime.submit(ctx, Job(name="x", command=("true",)), key="a/1/x")
    end = time.monotonic() + 120
    while runtime.poll(ctx, ref).phase != "succeeded":
        assert time.monotonic() < end
        time.sleep(0.02)
    assert runtime.end_unwanted(ctx, lambda of: ()) == []
    assert list((ctx.state / "submitted").rglob("*.json")) == []
    assert runtime.poll(ctx, ref).phase == "succeeded"
