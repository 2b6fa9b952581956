"""A server that speaks S3 (moto), in an environment of its own.

moto is not among the test dependencies: it wants other versions of what the Kubernetes client
wants. It is fetched into `.cache/moto` once; without a package index the tests say so.
"""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from with_parent import end_with_parent

PLACE = Path(__file__).parents[2] / ".cache" / "moto"
WANTED = ("moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5")
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI-a-secret-of-tests"


class NoS3(Exception):
    """The server cannot be had here; the text says why."""


class S3Server:
    """One server with one bucket, all in memory."""

    def __init__(self, bucket: str = "lake") -> None:
        self.bucket, self.port = bucket, _free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start the server, empty but for the bucket."""
        self._process = subprocess.Popen(
            [str(_program()), "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent,  # noqa: PLW1509  # one system call, no lock is taken
        )  # fmt: skip
        end = time.monotonic() + 120
        while True:
            try:
                request = urllib.request.Request(f"{self.endpoint}/{self.bucket}", method="PUT")
                with urllib.request.urlopen(request, timeout=10):
                    return
            except urllib.error.URLError as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise NoS3("NOT TESTED: the S3 server does not start") from error
                time.sleep(0.02)

    def stop(self) -> None:
        """End the server and forget what it has."""
        self._process.terminate()
        self._process.wait(timeout=120)


def _program() -> Path:
    program = PLACE / "bin" / "moto_server"
    PLACE.parent.mkdir(exist_ok=True)
    with (PLACE.parent / "moto.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not program.exists():
            _install()
    return program


def _install() -> None:
    for command in (
        [sys.executable, "-m", "venv", str(PLACE)],
        [str(PLACE / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *WANTED],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoS3(f"NOT TESTED: no S3 server, moto cannot be fetched: {done.stderr[-300:]}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
