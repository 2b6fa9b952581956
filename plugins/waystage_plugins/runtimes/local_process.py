"""The batch runtime `local.process`: jobs as processes of this machine."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from waystage.plugin import BatchRuntime, Context, DeploySpec, Job, JobStatus, JsonObject, Services
from waystage_plugins.runtimes.holder import (
    alive,
    end,
    exists,
    last_lines,
    read_json,
    spawn,
    write_json,
)

KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")


class LocalProcess(BatchRuntime):
    """Run jobs as processes of this machine, each in a directory and process group of its own.

        - name: jobs
          use: local.process
          mode: batch
          services: ["*"]
          with: {environment: [OMP_NUM_THREADS], memory_mb: 4096}

    A job outlives the daemon, and its end is known also when nobody watched. `python` as a
    command's first word is the daemon's own interpreter. Relative paths in a command start at
    the project.
    """

    use: ClassVar[str] = "local.process"
    capabilities: ClassVar[frozenset[str]] = frozenset({"logs"})

    environment: tuple[str, ...] = Field(default=(), description="variables passed on to jobs")
    memory_mb: int | None = Field(default=None, ge=64, description="limit of address space")
    seconds: int | None = Field(default=None, ge=1, description="limit of processor time")

    def submit(self, ctx: Context, job: Job, *, key: str) -> JsonObject:
        """Start the job once per key."""
        directory = ctx.state / "jobs" / hashlib.sha256(key.encode()).hexdigest()[:24]
        if not (directory / "ended.json").exists() and not alive(directory):
            (directory / "output").mkdir(parents=True, exist_ok=True)
            write_json(directory / "job.json", self._description(ctx, job, key, directory))
            self._start(directory)
        return {"directory": str(directory)}

    def poll(self, ctx: Services, ref: JsonObject) -> JobStatus:
        """Say how far the job is."""
        directory = _directory(ref)
        if not (directory / "job.json").exists():
            return JobStatus(phase="absent", message="there is no such job")
        running = alive(directory)  # asked first: it may end between the two questions
        ended = read_json(directory / "ended.json")
        if ended:
            good = ended["code"] == 0
            last = "" if good else last_lines(directory / "log.txt", 1)
            text = "" if good else f"exit code {ended['code']}: {last or 'it printed nothing'}"
            phase = "succeeded" if good else "failed"
            return JobStatus(phase=phase, exit_code=ended["code"], message=text)  # type: ignore[arg-type]  # one of the two words
        if running:
            return JobStatus(phase="running", message=last_lines(directory / "log.txt", 1))
        if _starting(directory):
            return JobStatus(phase="pending", message="the job is starting")
        return JobStatus(phase="failed", message="the job's process was killed before it ended")

    def outputs(self, ctx: Services, ref: JsonObject) -> Path:
        """Give the directory with what the job wrote."""
        return _directory(ref) / "output"

    def cancel(self, ctx: Services, ref: JsonObject) -> None:
        """End the job and its children."""
        directory = _directory(ref)
        pid = read_json(directory / "started.json").get("pid")
        if isinstance(pid, int):
            end(directory, pid)
        if (directory / "job.json").exists() and not (directory / "ended.json").exists():
            write_json(directory / "ended.json", {"code": -15})

    def logs(self, ctx: Services, ref: JsonObject, lines: int = 50) -> str:
        """Give the last lines of what the job printed."""
        return last_lines(_directory(ref) / "log.txt", lines)

    def score_command(self, spec: DeploySpec, rows: str) -> Job:
        """Give the job that scores a JSON-lines file with the snapshot."""
        manifest = json.dumps(spec.snapshot.model_dump(mode="json"))
        return Job(
            name="score",
            command=("python", "-m", "waystage_plugins.runtimes.score", spec.source),
            inputs={"rows": rows},
            environment={"WAYSTAGE_SNAPSHOT": manifest},
        )

    def _description(self, ctx: Context, job: Job, key: str, directory: Path) -> dict[str, object]:
        first, *rest = job.command
        kept = (*KEPT, *self.environment)
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        inputs = {f"WAYSTAGE_INPUT_{name.upper()}": path for name, path in job.inputs.items()}
        output = {
            "WAYSTAGE_OUTPUT": str(directory / "output"),
            "WAYSTAGE_PROJECT": str(ctx.project),
        }
        return {
            "key": key,
            "name": job.name,
            "command": [sys.executable if first == "python" else first, *rest],
            "environment": environment | job.environment | inputs | output,
            "project": str(ctx.project),
            "memory": self.memory_mb,
            "seconds": self.seconds,
        }

    def _start(self, directory: Path) -> None:
        kept = (*KEPT, *self.environment)
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        command = [sys.executable, "-m", "waystage_plugins.runtimes.job_runner", str(directory)]
        pid = spawn(command, directory, environment, directory / "runner.txt")
        write_json(directory / "started.json", {"pid": pid})


def _directory(ref: JsonObject) -> Path:
    return Path(str(ref["directory"]))


def _starting(directory: Path) -> bool:
    pid = read_json(directory / "started.json").get("pid")
    return isinstance(pid, int) and exists(pid)
