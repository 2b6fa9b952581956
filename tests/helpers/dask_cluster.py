"""A Dask cluster of processes of this machine: a scheduler and workers that tests may kill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HELPERS = Path(__file__).parent


class DaskCluster:
    """One scheduler on loopback, and as many workers as are asked for."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.port = _free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start()

    def start(self) -> None:
        """Start the scheduler, and wait until it listens."""
        self.scheduler = self._run(
            "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port),
            "--no-dashboard", "--no-show",
        )  # fmt: skip
        end = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self.scheduler.poll() is None, self.said()
                assert time.monotonic() < end, "no scheduler"
                time.sleep(0.05)

    def worker(self) -> subprocess.Popen[bytes]:
        """Start a worker with one thread."""
        made = self._run(
            "distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-nanny",
            "--no-dashboard", "--local-directory", str(self._place), "--death-timeout", "60",
        )  # fmt: skip
        self.workers.append(made)
        return made

    def said(self) -> str:
        """Give what scheduler and workers printed."""
        return (self._place / "dask.log").read_text()

    def stop(self) -> None:
        """Kill everything."""
        for process in (*self.workers, self.scheduler):
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _run(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        known = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
        with (self._place / "dask.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=os.environ | {"PYTHONPATH": known}, stdout=log, stderr=log,
            )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
