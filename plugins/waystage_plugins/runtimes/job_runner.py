"""`python -m waystage_plugins.runtimes.job_runner DIRECTORY`: run one job, write how it ended."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from waystage_plugins.runtimes.files import read_json, write_json
from waystage_plugins.runtimes.holder import PROCESS, alive, announce, claim

JOB, STARTED, ENDED, CANCELLED = "job.json", "started.json", "ended.json", "cancelled.json"
LOG, RUNNER_LOG, OUTPUT, PROGRESS = "log.txt", "runner.txt", "output", "progress.txt"
GROUP = "group.lock"  # held by the job itself: that it lives is known also without its runner


def main() -> int:
    """Run the job once, then end whatever it left running in its process group."""
    directory = Path(sys.argv[1])
    lock = int(sys.argv[2]) if len(sys.argv) > 2 else claim(directory)
    if lock is None or (directory / STARTED).exists() or (directory / CANCELLED).exists():
        return 0
    # asked to end, the job ends and this process lives to tell how
    signal.signal(signal.SIGTERM, lambda *_: None)
    announce(directory)
    write_json(directory / STARTED, {"pid": os.getpid(), "at": time.time()})
    write_json(directory / ENDED, {"code": _run(directory, read_json(directory / JOB))})
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    return 0


def end_orphans(directory: Path) -> None:
    """End a job whose runner was killed; harmless when nothing of it is left."""
    pid = read_json(directory / PROCESS).get("pid")
    if isinstance(pid, int) and alive(directory, GROUP):
        # the job lives, so the system has not given its group's number to anybody else
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
        until = time.monotonic() + 5
        while alive(directory, GROUP) and time.monotonic() < until:
            time.sleep(0.01)


def _run(directory: Path, job: dict[str, Any]) -> int:
    group = claim(directory, GROUP)
    with (directory / LOG).open("ab") as log:
        try:
            return subprocess.run(  # noqa: S603  # an argument list, no shell
                job["command"],
                cwd=job["directory"],
                env=os.environ | job["environment"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
                pass_fds=() if group is None else (group,),
                preexec_fn=lambda: _limit(job),
            ).returncode
        except (OSError, subprocess.SubprocessError) as error:
            told = getattr(error, "strerror", None) or error
            log.write(f"{job['command'][0]}: {told}\n".encode())
            return 127


def _limit(job: dict[str, Any]) -> None:
    if job.get("memory_mb"):
        _lower(resource.RLIMIT_AS, int(job["memory_mb"]) << 20, 0)
    if job.get("seconds"):
        _lower(resource.RLIMIT_CPU, int(job["seconds"]), 5)
    os.nice(5)  # jobs must not slow down what serves


def _lower(which: int, soft: int, grace: int) -> None:
    """Set a limit, never above the one that already holds."""
    hard = resource.getrlimit(which)[1]
    most = soft + grace if hard == resource.RLIM_INFINITY else min(soft + grace, hard)
    resource.setrlimit(which, (min(soft, most), most))


if __name__ == "__main__":
    sys.exit(main())
