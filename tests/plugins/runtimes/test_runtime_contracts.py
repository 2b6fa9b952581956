"""The runtimes of this machine hold to what runtimes promise, and the promises can be broken."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from waystage.plugin import (
    BatchRuntime,
    Context,
    DeploySpec,
    Handle,
    Job,
    JsonObject,
    Opening,
    Services,
)
from waystage.testing import FakeContext, runtime_contracts
from waystage.testing.runtime_contracts import (
    check_batch_runtime,
    check_online_runtime,
    killed_at_each_line,
    wait_until_ended,
    wait_until_ready,
)
from waystage_plugins.runtimes import (
    RUNTIMES,
    LocalProcess,
    LocalServing,
    holder,
    local_online,
    local_process,
)

# one line in so many; `WAYSTAGE_EVERY_LINE=1` takes all of them
EVERY = int(os.environ.get("WAYSTAGE_EVERY_LINE", "7"))

Release = Callable[..., DeploySpec]
Processes = Callable[[Path], list[int]]


def test_the_runtimes_of_this_machine_are_listed() -> None:
    assert {"local.serving", "local.process"} <= {each.use for each in RUNTIMES}


def test_local_serving_holds_to_the_contract(
    ctx: FakeContext, release: Release, processes: Processes
) -> None:
    seen = check_online_runtime(LocalServing(), ctx, release())
    assert seen.endpoints[0].url.endswith("/v1/models/credit-risk")
    assert processes(ctx.state) == []
    assert [path.name for path in (ctx.state / "serving").iterdir()] == ["DEV-credit-risk.lock"]


def test_local_process_holds_to_the_contract(ctx: FakeContext, processes: Processes) -> None:
    check_batch_runtime(LocalProcess(), ctx)
    assert processes(ctx.state) == []


def test_a_daemon_killed_at_any_line_of_apply_leaves_one_server_to_its_next_life(
    ctx: FakeContext, release: Release, processes: Processes
) -> None:
    runtime, spec = LocalServing(), release()
    files = [str(holder.__file__), str(local_online.__file__)]
    died = 0
    for line in killed_at_each_line(lambda: runtime.apply(ctx, spec), of=files, every=EVERY):
        before = processes(ctx.state)
        handle = runtime.apply(ctx, spec)
        after = processes(ctx.state)
        assert len(after) == 1, f"killed at line {line}: {len(after)} servers"
        assert set(before) <= set(after), f"killed at line {line}: it was started again"
        runtime.delete(ctx, handle)
        assert processes(ctx.state) == [], f"killed at line {line}: delete left a server"
        died += 1
    assert died * EVERY > 50


def test_a_daemon_killed_at_any_line_of_delete_finishes_it_in_its_next_life(
    ctx: FakeContext, release: Release, processes: Processes
) -> None:
    runtime, spec = LocalServing(), release()
    handle = runtime.apply(ctx, spec)
    files = [str(local_online.__file__)]
    for line in killed_at_each_line(lambda: runtime.delete(ctx, handle), of=files):
        runtime.delete(ctx, handle)
        assert processes(ctx.state) == [], f"killed at line {line}"
        assert runtime.observe(ctx, handle).phase == "absent"
        assert runtime.apply(ctx, spec) == handle


def test_a_daemon_killed_at_any_line_of_submit_runs_the_job_once(ctx: FakeContext) -> None:
    runtime, count = LocalProcess(), ctx.scratch / "count"
    job = Job(name="once", command=("sh", "-c", f"echo x >> {count}"))
    files = [str(holder.__file__), str(local_process.__file__)]
    refs, key = [], iter(range(10_000))
    current = [next(key)]

    def submit() -> JsonObject:
        return runtime.submit(ctx, job, key=f"run/{current[0]}")

    for _ in killed_at_each_line(submit, of=files, every=EVERY):
        refs.append(submit())
        current[0] = next(key)
    refs.append(submit())
    for ref in refs:
        assert wait_until_ended(runtime, ctx, ref).phase == "succeeded"
    assert len(refs) * EVERY > 40
    assert count.read_text() == "x\n" * len(refs)


class Forgetful(LocalServing):
    """Answer another handle for the same key."""

    use: ClassVar[str] = "test.forgetful"
    calls: ClassVar[list[int]] = []

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        self.calls.append(1)
        made = super().apply(ctx, spec)
        return Handle(ref={**made.ref, "call": len(self.calls)})


class Clinging(LocalServing):
    """Delete nothing."""

    use: ClassVar[str] = "test.clinging"

    def delete(self, ctx: Services, handle: Handle) -> None:
        return


class Talkative(LocalServing):
    """Open more than it is asked for."""

    use: ClassVar[str] = "test.talkative"

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        both = (Opening(protocol="rest"), Opening(protocol="grpc"))
        return super().apply(ctx, spec.model_copy(update={"endpoints": both}))


class Twice(LocalProcess):
    """Run a job again at every call."""

    use: ClassVar[str] = "test.twice"
    calls: ClassVar[list[int]] = []

    def submit(self, ctx: Context, job: Job, *, key: str) -> JsonObject:
        self.calls.append(1)
        return super().submit(ctx, job, key=f"{key}/{len(self.calls)}")


def test_the_contract_finds_a_runtime_that_deploys_twice(
    ctx: FakeContext, release: Release
) -> None:
    with pytest.raises(AssertionError, match="one key, two deployments"):
        check_online_runtime(Forgetful(), ctx, release())


def test_the_contract_finds_a_runtime_that_deletes_nothing(
    ctx: FakeContext, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    # it is brought up in its own time, and looked at once after it was deleted
    gone = runtime_contracts._check_gone
    monkeypatch.setattr(runtime_contracts, "_check_gone", lambda *given: gone(*given[:-1], 0.0))
    with pytest.raises(AssertionError, match="still there after it was deleted"):
        check_online_runtime(Clinging(), ctx, release())


def test_the_contract_finds_a_runtime_that_does_not_open_what_is_asked_for(
    ctx: FakeContext, release: Release
) -> None:
    spec = release().model_copy(update={"endpoints": (Opening(protocol="rest"),)})
    with pytest.raises(AssertionError, match="rest is asked for, grpc, rest is open"):
        check_online_runtime(Talkative(), ctx, spec)


def test_the_contract_finds_a_runtime_that_runs_a_job_twice(ctx: FakeContext) -> None:
    runtime: BatchRuntime = Twice()
    with pytest.raises(AssertionError, match="one key, two jobs"):
        check_batch_runtime(runtime, ctx)


def test_waiting_tells_why_a_deployment_failed(ctx: FakeContext, release: Release) -> None:
    runtime = LocalServing()
    handle = runtime.apply(ctx, release(content=b"not a graph"))
    with pytest.raises(AssertionError, match=r"failed: bad_model: model\.onnx cannot be loaded"):
        wait_until_ready(runtime, ctx, handle)
