"""Jobs on this machine: limits, orphans, environments, and scoring files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from waystage.errors import Hopeless
from waystage.plugin import DeploySpec, Job, JobStatus
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ended
from waystage_plugins.runtimes import LocalProcess

ROW = {"income": 1.0, "children": 2, "purpose": "car"}
Release = Callable[..., DeploySpec]
Processes = Callable[[Path], list[int]]


def run(ctx: FakeContext, *command: str, runtime: LocalProcess | None = None) -> JobStatus:
    runtime = runtime or LocalProcess()
    ref = runtime.submit(ctx, Job(name="job", command=command), key=f"key/{command}")
    return wait_until_ended(runtime, ctx, ref)


def gone(ctx: FakeContext, find: Callable[[], list[int]]) -> None:
    deadline = time.monotonic() + 120
    while left := find():
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.02)


def test_a_job_ended_by_a_signal_says_which(ctx: FakeContext) -> None:
    status = run(ctx, "sh", "-c", "echo nearly done; kill -SEGV $$")
    assert (status.exit_code, status.message) == (-11, "ended by SIGSEGV: nearly done")


def test_a_job_starts_in_the_directory_that_is_asked_for(ctx: FakeContext) -> None:
    (ctx.project / "work").mkdir()
    (ctx.project / "work" / "here.txt").write_text("")
    runtime = LocalProcess(directory="work")
    assert run(ctx, "ls", "here.txt", runtime=runtime).phase == "succeeded"
    with pytest.raises(Hopeless, match=r"cannot start in .*/nowhere: there is no such directory"):
        run(ctx, "ls", runtime=LocalProcess(directory="nowhere"))


def test_only_named_variables_are_passed_on_and_none_is_written_to_a_file(
    ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSED_ON", "canary-7f3a")
    runtime = LocalProcess(environment=("PASSED_ON",))
    assert run(ctx, "sh", "-c", '[ "${#PASSED_ON}" = 11 ]', runtime=runtime).phase == ("succeeded")
    assert run(ctx, "sh", "-c", '[ -z "$PASSED_ON" ]').phase == "succeeded"
    files = [path for path in ctx.state.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"canary-7f3a" in path.read_bytes()]


def test_a_job_that_wants_too_much_memory_fails(ctx: FakeContext) -> None:
    eager = "x = bytearray(600 << 20); print(len(x))"
    status = run(ctx, "python", "-c", eager, runtime=LocalProcess(memory_mb=400))
    assert status.phase == "failed"
    assert "MemoryError" in status.message


def test_a_job_that_computes_too_long_is_ended(ctx: FakeContext) -> None:
    status = run(ctx, "python", "-c", "while True: pass", runtime=LocalProcess(seconds=1))
    assert status.message.startswith("ended by SIGXCPU")


def test_what_a_job_leaves_running_ends_with_it(ctx: FakeContext, processes: Processes) -> None:
    left = ctx.scratch / "left"
    helper = f"import time; time.sleep(600)  # {left}"
    assert run(ctx, "sh", "-c", f'python3 -c "{helper}" & exit 0').phase == "succeeded"
    gone(ctx, lambda: processes(left))


def scored(ctx: FakeContext, spec: DeploySpec, rows: list[str]) -> tuple[JobStatus, list[str]]:
    place = ctx.scratch / "rows.jsonl"
    place.write_text("\n".join(rows) + "\n")
    runtime = LocalProcess()
    ref = runtime.submit(ctx, runtime.score_command(spec, str(place)), key=f"score/{rows[-1]}")
    status = wait_until_ended(runtime, ctx, ref)
    target = runtime.outputs(ctx, ref) / "scores.jsonl"
    return status, target.read_text().splitlines() if target.exists() else []


def test_a_file_is_scored_row_by_row_in_its_order(ctx: FakeContext, release: Release) -> None:
    rows = [json.dumps(ROW | {"income": number / 1000 - 3}) for number in range(2500)]
    status, lines = scored(ctx, release(), rows)
    assert status.phase == "succeeded", status
    scores = [json.loads(line)["score"] for line in lines]
    assert len(scores) == 2500
    assert scores == sorted(scores)
    assert scores[0] == pytest.approx(0.5)


def test_a_row_of_a_file_that_cannot_be_scored_fails_the_job_in_words(
    ctx: FakeContext, release: Release
) -> None:
    good = json.dumps(ROW)
    status, _ = scored(ctx, release(), [good, '{"income": 1}'])
    assert status.message == (
        "exit code 1: rows.jsonl, rows from 0 on: row 1: column 'children' is missing"
    )
    status, _ = scored(ctx, release(), [good, "[1]"])
    assert "rows.jsonl, line 2: is not an object that names its columns" in status.message
    status, _ = scored(ctx, release(), [good, "{"])
    assert "rows.jsonl, line 2: is not JSON" in status.message


def test_a_file_is_not_scored_with_other_bytes_than_the_snapshots(
    ctx: FakeContext, release: Release
) -> None:
    spec = release()
    (Path(spec.source) / "more.txt").write_text("slipped in")
    status, lines = scored(ctx, spec, [json.dumps(ROW)])
    assert lines == []
    assert "not that of credit/1" in status.message
