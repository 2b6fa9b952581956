"""What every runtime must hold to; authors call these from their own tests.

Each `check_…` raises `AssertionError` saying which promise is broken. They start real
deployments and jobs, and take away what they started.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from waystage.errors import Hopeless, NotFound, Retryable
from waystage.plugin import (
    BatchRuntime,
    DeploySpec,
    Handle,
    Job,
    JobStatus,
    JsonObject,
    Observation,
    OnlineRuntime,
)
from waystage.testing.context import FakeContext
from waystage.testing.contracts import no_secret_told

LOOK_SECONDS = 0.02

# leaves a line per execution, a copy of its input and its environment, and prints a last line
JOB_SCRIPT = """
import json, os, pathlib, uuid
out = pathlib.Path(os.environ["WAYSTAGE_OUTPUT"])
with open(out / "runs.txt", "a") as file:
    file.write(uuid.uuid4().hex + "\\n")
(out / "copy.txt").write_text(pathlib.Path(os.environ["WAYSTAGE_INPUT_SOME_ROWS"]).read_text())
(out / "environment.json").write_text(json.dumps(dict(os.environ)))
print("first line")
print("last line")
"""
FAILING_SCRIPT = "import sys; print('no luck today'); sys.exit(7)"
LONG_SCRIPT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("busy", flush=True)
time.sleep(600)
"""


def check_online_runtime(
    runtime: OnlineRuntime, ctx: FakeContext, spec: DeploySpec, *, within: float = 60.0
) -> Observation:
    """A snapshot with example rows is deployed once per key, answers, and is taken away whole.

    Nothing of the service may run in the stage before. Answers what was observed when ready.
    """
    assert spec.snapshot.example, "the contract needs a snapshot with example rows"
    assert runtime.check(spec) == [], "a spec that can run is refused"
    with no_secret_told(ctx):
        handle = _through_json(runtime.apply(ctx, spec))
        assert _through_json(runtime.apply(ctx, spec)) == handle, "one key, two deployments"
        try:
            seen = wait_until_ready(runtime, ctx, handle, within=within)
            _check_ready(seen, ctx, spec)
            again = runtime.observe(ctx, handle)
            assert again.phase == "ready", f"looking at it changed it: {again}"
            _check_answers(runtime, ctx, handle, list(spec.snapshot.example))
            assert isinstance(runtime.logs(ctx, handle), str)
            _check_restored(runtime, ctx, spec, handle, within)
        finally:
            runtime.delete(ctx, handle)
        _check_gone(runtime, ctx, handle, list(spec.snapshot.example), within)
    return seen


def wait_until_ready(
    runtime: OnlineRuntime, ctx: FakeContext, handle: Handle, *, within: float = 60.0
) -> Observation:
    """Look until it is ready; raises `AssertionError` when it failed or takes too long."""
    deadline = time.monotonic() + within
    while (seen := runtime.observe(ctx, handle)).phase != "ready":
        assert seen.phase != "failed", f"failed: {seen.reason}: {seen.message}"
        assert time.monotonic() < deadline, f"not ready after {within:g} s: {seen}"
        time.sleep(LOOK_SECONDS)
    return seen


def check_batch_runtime(
    runtime: BatchRuntime, ctx: FakeContext, *, python: str = "python", within: float = 60.0
) -> None:
    """A job runs once per key, gets its inputs alone, tells how it ended and can be ended.

    `python` is a command that starts Python where jobs run.
    """
    with no_secret_told(ctx):
        _check_success(runtime, ctx, python, within)
        _check_failure(runtime, ctx, python, within)
        _check_cancel(runtime, ctx, python, within)


def wait_until_ended(
    runtime: BatchRuntime, ctx: FakeContext, ref: JsonObject, *, within: float = 60.0
) -> JobStatus:
    """Look until a job has ended; raises `AssertionError` when it takes too long."""
    deadline = time.monotonic() + within
    while (status := runtime.poll(ctx, ref)).phase in ("pending", "running"):
        assert time.monotonic() < deadline, f"not ended after {within:g} s: {status}"
        time.sleep(LOOK_SECONDS)
    return status


def killed_at_each_line(
    call: Callable[[], object], *, of: Collection[str], every: int = 1
) -> Iterator[int]:
    """Run a call again and again in a fork that is killed (SIGKILL) one line later each time.

    `of` names the source files whose lines count, `every` how many lines to go on. Yields the
    number of the line after each death, so that the caller can repeat the call and compare the
    world; ends when the call came to its end.
    """
    line = 1
    while True:
        pid = os.fork()
        if pid == 0:
            _die_at(line, call, frozenset(of))
        status = os.waitpid(pid, 0)[1]
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, f"the call raised before line {line}"
            return
        yield line
        line += every


def _die_at(line: int, call: Callable[[], object], files: frozenset[str]) -> None:
    left = line

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    code = 1
    try:
        sys.settrace(trace)
        call()
        code = 0
    finally:
        os._exit(code)


def _through_json(handle: Handle) -> Handle:
    return Handle.model_validate_json(handle.model_dump_json())


def _check_ready(seen: Observation, ctx: FakeContext, spec: DeploySpec) -> None:
    assert seen.digest == spec.snapshot.digest, f"{seen.digest} answers"
    assert seen.endpoints, "it is ready but nobody knows where"
    opened = sorted(each.protocol for each in seen.endpoints)
    wanted = sorted(each.protocol for each in spec.endpoints) or opened
    assert opened == wanted, f"{', '.join(wanted)} is asked for, {', '.join(opened)} is open"
    assert seen.generation == ctx.key, f"made by {seen.generation!r}, not by {ctx.key!r}"


def _check_answers(
    runtime: OnlineRuntime, ctx: FakeContext, handle: Handle, rows: list[JsonObject]
) -> None:
    for _ in range(2):
        answers = runtime.predict(ctx, handle, rows)
        assert len(answers) == len(rows), f"{len(answers)} answers for {len(rows)} rows"
        for answer in answers:
            score = answer.get("score")
            assert isinstance(score, int | float), f"no score in {answer}"
            assert math.isfinite(score), f"the score is {score}"


def _check_restored(
    runtime: OnlineRuntime, ctx: FakeContext, spec: DeploySpec, handle: Handle, within: float
) -> None:
    """Restoring what is well changes nothing, and it is found by the handle of before."""
    if "switch" in runtime.capabilities:
        runtime.set_traffic(ctx, handle, 100)
    seen = wait_until_ready(runtime, ctx, handle, within=within)
    assert seen.differs == (), f"what nobody changed is said to differ: {seen.differs}"
    key, ctx.key = ctx.key, "restore/1/1"
    try:
        made = _through_json(runtime.restore(ctx, spec, handle, serves=True))
    finally:
        ctx.key = key
    seen = wait_until_ready(runtime, ctx, made, within=within)
    assert (seen.digest, seen.differs) == (spec.snapshot.digest, ()), f"it is another one: {seen}"
    _check_answers(runtime, ctx, made, list(spec.snapshot.example))


def _check_gone(
    runtime: OnlineRuntime, ctx: FakeContext, handle: Handle, rows: list[JsonObject], within: float
) -> None:
    deadline = time.monotonic() + within
    while (seen := runtime.observe(ctx, handle)).phase != "absent":
        assert time.monotonic() < deadline, f"still there after it was deleted: {seen}"
        time.sleep(LOOK_SECONDS)
    runtime.delete(ctx, handle)
    assert runtime.observe(ctx, handle).phase == "absent", "deleting it twice brought it back"
    try:
        runtime.predict(ctx, handle, rows)
    except (Retryable, Hopeless, NotFound):
        return
    raise AssertionError("what was deleted still answers")


def _check_success(runtime: BatchRuntime, ctx: FakeContext, python: str, within: float) -> None:
    rows = ctx.scratch / "rows.txt"
    rows.write_text("some rows\n")
    os.environ["WAYSTAGE_CONTRACT_CANARY"] = "this must not get into a job"
    try:
        job = Job(
            name="contract",
            command=(python, "-c", JOB_SCRIPT),
            inputs={"some_rows": str(rows)},
            environment={"SAID": "so"},
        )
        ref = runtime.submit(ctx, job, key="contract/good")
        assert runtime.submit(ctx, job, key="contract/good") == ref, "one key, two jobs"
        ref = json.loads(json.dumps(ref))
        status = wait_until_ended(runtime, ctx, ref, within=within)
    finally:
        del os.environ["WAYSTAGE_CONTRACT_CANARY"]
    assert (status.phase, status.exit_code) == ("succeeded", 0), status
    runtime.submit(ctx, job, key="contract/good")
    assert runtime.poll(ctx, ref).phase == "succeeded", "a job that ended was started again"
    _check_outputs(runtime.outputs(ctx, ref))
    assert runtime.logs(ctx, ref).splitlines()[-2:] == ["first line", "last line"]
    assert runtime.logs(ctx, ref, 1).strip() == "last line"
    runtime.cancel(ctx, ref)
    assert runtime.poll(ctx, ref).phase == "succeeded", "cancelling what had ended changed it"


def _check_outputs(outputs: Path) -> None:
    runs = (outputs / "runs.txt").read_text().splitlines()
    assert len(runs) == 1, f"the job ran {len(runs)} times"
    assert (outputs / "copy.txt").read_text() == "some rows\n", "the input is another"
    environment = json.loads((outputs / "environment.json").read_text())
    assert environment["SAID"] == "so", "the job's environment was not handed on"
    assert "WAYSTAGE_CONTRACT_CANARY" not in environment, "the daemon's environment got out"


def _check_failure(runtime: BatchRuntime, ctx: FakeContext, python: str, within: float) -> None:
    job = Job(name="contract", command=(python, "-c", FAILING_SCRIPT))
    ref = runtime.submit(ctx, job, key="contract/bad")
    status = wait_until_ended(runtime, ctx, ref, within=within)
    assert (status.phase, status.exit_code) == ("failed", 7), status
    assert "no luck today" in status.message, f"the message hides the reason: {status.message!r}"


def _check_cancel(runtime: BatchRuntime, ctx: FakeContext, python: str, within: float) -> None:
    job = Job(name="contract", command=(python, "-c", LONG_SCRIPT))
    ref = runtime.submit(ctx, job, key="contract/long")
    deadline = time.monotonic() + within
    while "busy" not in runtime.logs(ctx, ref):
        assert time.monotonic() < deadline, f"the job does not start: {runtime.poll(ctx, ref)}"
        time.sleep(LOOK_SECONDS)
    for _ in range(2):
        runtime.cancel(ctx, ref)
    status = wait_until_ended(runtime, ctx, ref, within=15)
    assert status.phase in ("failed", "absent"), status
    runtime.submit(ctx, job, key="contract/long")
    assert runtime.poll(ctx, ref).phase in ("failed", "absent"), "a cancelled job was started again"
