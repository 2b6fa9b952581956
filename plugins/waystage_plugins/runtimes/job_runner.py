"""`python -m waystage_plugins.runtimes.job_runner DIRECTORY`: run one job, write how it ended."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from waystage_plugins.runtimes.holder import hold, read_json, write_json


def main() -> int:
    """Run the job once; a second runner of the same directory ends at once."""
    directory = Path(sys.argv[1])
    if hold(directory) is None or (directory / "ended.json").exists():
        return 0
    job = read_json(directory / "job.json")
    write_json(directory / "ended.json", {"code": _run(directory, job)})
    return 0


def _run(directory: Path, job: dict[str, Any]) -> int:
    with (directory / "log.txt").open("ab") as log:
        try:
            return subprocess.run(  # noqa: S603  # an argument list, no shell
                job["command"],
                cwd=job["project"],
                env=job["environment"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
                preexec_fn=lambda: _limit(job),
            ).returncode
        except OSError as error:
            log.write(f"{job['command'][0]}: {error.strerror or error}\n".encode())
            return 127


def _limit(job: dict[str, Any]) -> None:
    if job.get("memory"):
        size = int(job["memory"]) << 20
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    if job.get("seconds"):
        resource.setrlimit(resource.RLIMIT_CPU, (int(job["seconds"]), int(job["seconds"]) + 5))
    os.nice(5)  # jobs must not slow down what serves


if __name__ == "__main__":
    sys.exit(main())
