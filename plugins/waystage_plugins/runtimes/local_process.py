"""The batch runtime `local.process`: jobs as processes of this machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from waystage.errors import Hopeless
from waystage.plugin import (
    BatchRuntime,
    Context,
    DeploySpec,
    Job,
    JobStatus,
    JsonObject,
    Services,
    Wanted,
)
from waystage_plugins.repositories.layout import locked
from waystage_plugins.runtimes import submitted
from waystage_plugins.runtimes.files import last_lines, read_json, read_share, write_json
from waystage_plugins.runtimes.holder import PROCESS, alive, end, say_exit, start
from waystage_plugins.runtimes.job_runner import (
    CANCELLED,
    ENDED,
    JOB,
    LOG,
    OUTPUT,
    PROGRESS,
    RUNNER_LOG,
    STARTED,
    end_orphans,
)
from waystage_plugins.runtimes.job_words import variable

KEPT = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV",
)  # fmt: skip


class LocalProcess(BatchRuntime):
    """Run jobs as processes of this machine, each in a directory and process group of its own.

        - use: local.process
          with: {environment: [OMP_NUM_THREADS], memory_mb: 4096, seconds: 3600}

    A job outlives the daemon, and its end is known also when nobody watched. It gets `PATH`
    and the like, what `environment` names, and nothing else of the daemon's environment.
    `python` as a command's first word is the daemon's own interpreter.
    """

    use: ClassVar[str] = "local.process"
    capabilities: ClassVar[frozenset[str]] = frozenset({"logs"})

    environment: tuple[str, ...] = Field(default=(), description="variables passed on to jobs")
    memory_mb: int | None = Field(default=None, ge=64, description="limit of address space")
    seconds: int | None = Field(default=None, ge=1, description="limit of processor time")
    directory: str = Field(default=".", description="where jobs start; starts at the project")

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether jobs have a directory to start in, and the variables that they are to get."""
        place = ctx.project / self.directory
        problems = [] if place.is_dir() else [f"directory: {place} is no directory"]
        missing = [name for name in self.environment if name not in os.environ]
        return problems + [f"environment: {name} is not set here" for name in missing]

    def forget(self, ctx: Services, runs: Collection[str]) -> None:
        """Remove the directories of the runs' jobs, except of one that is still at work."""
        for directory in (ctx.state / "jobs").glob("*/"):
            run = str(read_json(directory / JOB).get("key", "")).partition("/")[0]
            if run in runs and not alive(directory):
                shutil.rmtree(directory, ignore_errors=True)

    def submit(self, ctx: Context, job: Job, *, key: str) -> JsonObject:
        """Start the job once per key, also when it was cancelled or killed meanwhile."""
        directory = ctx.state / "jobs" / hashlib.sha256(key.encode()).hexdigest()[:24]
        (directory / OUTPUT).mkdir(parents=True, exist_ok=True)
        submitted.remember(self, ctx, {"directory": str(directory)}, key)
        with locked(directory / "submit.lock"):
            if not any((directory / name).exists() for name in (STARTED, ENDED, CANCELLED)):
                write_json(directory / JOB, self._description(ctx, job, key, directory))
                start(directory, _runner(directory), self._kept(), directory / RUNNER_LOG)
        return {"directory": str(directory)}

    def poll(self, ctx: Services, ref: JsonObject) -> JobStatus:
        """Say how far the job is."""
        directory = _directory(ctx, ref)
        if not (directory / JOB).exists():
            return JobStatus(phase="absent", message="there is no such job")
        running = alive(directory)  # asked first: it may end between the two questions
        ended = read_json(directory / ENDED)
        if ended:
            return _ended(directory, ended["code"])
        last = last_lines(directory / LOG, 1)[:500]
        if running:
            phase = "running" if (directory / STARTED).exists() else "pending"
            share = read_share(directory / PROGRESS)
            return JobStatus(phase=phase, message=last, progress=share)  # type: ignore[arg-type]  # one of the two words
        end_orphans(directory)
        return JobStatus(phase="failed", message=_how_it_died(directory, last))

    def outputs(self, ctx: Services, ref: JsonObject) -> Path:
        """Give the directory with what the job wrote."""
        return _directory(ctx, ref) / OUTPUT

    def cancel(self, ctx: Services, ref: JsonObject) -> None:
        """End the job and its children: asked first, killed three seconds later."""
        directory = _directory(ctx, ref)
        if not (directory / JOB).exists() or (directory / ENDED).exists():
            return
        write_json(directory / CANCELLED, {"at": ctx.now.isoformat()})
        end(directory, patience=3.0)
        end_orphans(directory)
        if not (directory / ENDED).exists():
            write_json(directory / ENDED, {"code": -15})

    def logs(self, ctx: Services, ref: JsonObject, lines: int = 50) -> str:
        """Give the last lines of what the job printed."""
        return last_lines(_directory(ctx, ref) / LOG, lines)

    def end_unwanted(self, ctx: Services, wanted: Wanted) -> list[str]:
        """End the jobs that nobody waits for any more."""
        return submitted.end_unwanted(self, ctx, wanted)

    def score_command(self, spec: DeploySpec, rows: str) -> Job:
        """Give the job that scores a JSON-lines file with the snapshot."""
        needed = {"name", "version", "digest", "inputs", "outputs"}
        manifest = spec.snapshot.model_dump(mode="json", include=needed)
        return Job(
            name="score",
            command=("python", "-m", "waystage_plugins.runtimes.score", "--model", spec.source),
            inputs={"rows": rows},
            environment={"WAYSTAGE_SNAPSHOT": json.dumps(manifest)},
        )

    def _description(self, ctx: Context, job: Job, key: str, directory: Path) -> JsonObject:
        first, *rest = job.command
        place = ctx.project / self.directory
        if not place.is_dir():
            raise Hopeless(f"job {job.name} cannot start in {place}: there is no such directory")
        inputs = {variable(name): str(ctx.project / path) for name, path in job.inputs.items()}
        own = {
            "WAYSTAGE_OUTPUT": str(directory / OUTPUT),
            "WAYSTAGE_PROGRESS": str(directory / PROGRESS),
            "WAYSTAGE_PROJECT": str(ctx.project),
        }
        return {
            "key": key,
            "name": job.name,
            "command": [sys.executable if first == "python" else first, *rest],
            "environment": {**job.environment, **inputs, **own},
            "directory": str(place),
            "memory_mb": self.memory_mb,
            "seconds": self.seconds,
        }

    def _kept(self) -> dict[str, str]:
        # handed from process to process, so that what may be secret is in no file
        return {name: os.environ[name] for name in (*KEPT, *self.environment) if name in os.environ}


def _runner(directory: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "waystage_plugins.runtimes.job_runner", str(directory)]


def _directory(ctx: Services, ref: JsonObject) -> Path:
    directory = Path(str(ref["directory"]))
    if directory.parent.resolve() != (ctx.state / "jobs").resolve():
        raise Hopeless(f"{directory} is not a directory of this daemon's jobs")
    return directory


def _ended(directory: Path, code: int) -> JobStatus:
    if code == 0:
        return JobStatus(phase="succeeded", exit_code=0)
    if (directory / CANCELLED).exists():
        return JobStatus(phase="failed", exit_code=code, message="it was cancelled")
    last = last_lines(directory / LOG, 1)[:500] or "it printed nothing"
    return JobStatus(phase="failed", exit_code=code, message=f"{say_exit(code)}: {last}")


def _how_it_died(directory: Path, last: str) -> str:
    if (directory / STARTED).exists():
        return f"the job was killed before it ended; last line: {last or 'it printed nothing'}"
    if (directory / PROCESS).exists():
        told = last_lines(directory / RUNNER_LOG, 1)[:500]
        return f"the job could not be started: {told or 'its process was killed'}"
    return "the job was never started: the daemon ended before it; submit it again"
