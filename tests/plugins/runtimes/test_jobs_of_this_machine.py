"""Jobs of `local.process`: once per key, their end known, nothing left of a cancelled one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waystage.errors import Hopeless
from waystage.plugin import DeploySpec, Job, JobStatus, JsonObject
from waystage.testing import FakeContext
from waystage_plugins.runtimes import LocalProcess

FORKING = (
    "import subprocess, sys, time; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print('up', flush=True); time.sleep(600)"
)


def until(look: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(what)


def ended(runtime: LocalProcess, ctx: FakeContext, ref: Any) -> JobStatus:
    def look() -> JobStatus | None:
        status = runtime.poll(ctx, ref)
        return status if status.phase in ("succeeded", "failed") else None

    found: JobStatus = until(look, "the job does not end")
    return found


def python(text: str, **more: Any) -> Job:
    return Job(name="test", command=("python", "-c", text), **more)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_and_the_last_line_are_told(ctx: FakeContext, code: int) -> None:
    runtime = LocalProcess()
    ref = runtime.submit(ctx, python(f"print('so it was'); raise SystemExit({code})"), key="a")
    status = ended(runtime, ctx, ref)
    assert (status.phase, status.exit_code) == ("failed" if code else "succeeded", code)
    assert runtime.logs(ctx, ref) == "so it was"
    assert not code or "so it was" in status.message


def test_the_same_key_is_the_same_job_and_another_key_another(ctx: FakeContext) -> None:
    runtime = LocalProcess()
    job = python("import os; open(os.environ['WAYSTAGE_OUTPUT'] + '/ran', 'a').write('x')")
    first = runtime.submit(ctx, job, key="a")
    assert runtime.submit(ctx, job, key="a") == first
    ended(runtime, ctx, first)
    assert runtime.submit(ctx, job, key="a") == first
    assert (runtime.outputs(ctx, first) / "ran").read_text() == "x"
    other = runtime.submit(ctx, job, key="b")
    assert other != first
    ended(runtime, ctx, other)


def test_a_cancelled_job_takes_its_children_along(
    ctx: FakeContext, processes: Callable[[Path], list[int]]
) -> None:
    runtime = LocalProcess()
    ref = runtime.submit(ctx, python(FORKING), key="a")
    until(lambda: runtime.logs(ctx, ref) == "up", "the job does not begin")
    group = json.loads((Path(str(ref["directory"])) / "process.json").read_text())["pid"]
    runtime.cancel(ctx, ref)
    until(lambda: not group_lives(group), "something of the job is left")
    assert processes(ctx.state) == []
    assert runtime.poll(ctx, ref).message == "it was cancelled"
    runtime.cancel(ctx, ref)
    assert runtime.submit(ctx, python(FORKING), key="a") == ref
    assert runtime.poll(ctx, ref).phase == "failed"


def test_a_job_whose_runner_is_killed_is_told_and_ended(ctx: FakeContext) -> None:
    runtime = LocalProcess()
    ref = runtime.submit(ctx, python(FORKING), key="a")
    until(lambda: runtime.logs(ctx, ref) == "up", "the job does not begin")
    runner = json.loads((Path(str(ref["directory"])) / "process.json").read_text())["pid"]
    os.kill(runner, signal.SIGKILL)
    status = ended(runtime, ctx, ref)
    assert (status.phase, status.exit_code) == ("failed", None)
    assert "killed before it ended" in status.message
    until(lambda: not group_lives(runner), "the job lives on without its runner")


def test_a_command_that_is_not_there_is_told(ctx: FakeContext) -> None:
    runtime = LocalProcess()
    ref = runtime.submit(ctx, Job(name="x", command=("no-such-program",)), key="a")
    status = ended(runtime, ctx, ref)
    assert status.exit_code == 127
    assert "no-such-program" in status.message


def test_a_job_sees_only_what_it_is_given(
    ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDDEN", "secret")
    monkeypatch.setenv("SHOWN", "open")
    runtime = LocalProcess(environment=("SHOWN",))
    text = "import os; print(os.environ.get('HIDDEN'), os.environ['SHOWN'], os.environ['OWN'])"
    ref = runtime.submit(ctx, python(text, environment={"OWN": "mine"}), key="a")
    ended(runtime, ctx, ref)
    assert runtime.logs(ctx, ref) == "None open mine"


def test_a_job_that_is_not_there_is_absent_and_a_foreign_directory_refused(
    ctx: FakeContext, tmp_path: Path
) -> None:
    runtime = LocalProcess()
    nowhere: JsonObject = {"directory": str(ctx.state / "jobs" / "nothing")}
    assert runtime.poll(ctx, nowhere).phase == "absent"
    runtime.cancel(ctx, nowhere)
    with pytest.raises(Hopeless, match="not a directory of this daemon's jobs"):
        runtime.poll(ctx, {"directory": str(tmp_path)})


def test_rows_are_scored_by_a_job_in_their_order(
    ctx: FakeContext, release: Callable[..., DeploySpec]
) -> None:
    runtime, rows = LocalProcess(), ctx.project / "rows.jsonl"
    each = [{"income": float(n), "children": 0, "purpose": "car"} for n in (-2, 0, 2)]
    rows.write_text("".join(json.dumps(row) + "\n" for row in each))
    ref = runtime.submit(ctx, runtime.score_command(release(), "rows.jsonl"), key="a")
    status = ended(runtime, ctx, ref)
    assert status.phase == "succeeded", runtime.logs(ctx, ref)
    scores = (runtime.outputs(ctx, ref) / "scores.jsonl").read_text().splitlines()
    found = [json.loads(line)["score"] for line in scores]
    assert found == pytest.approx([0.26894, 0.73106, 0.95257], abs=1e-4)


def group_lives(group: int) -> bool:
    """Whether a process of the group runs; one that is only not yet reaped does not."""
    command = ["ps", "-ax", "-o", "pgid=,stat="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return any(int(pgid) == group and not state.startswith("Z") for pgid, state in rows)
