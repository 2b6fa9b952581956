"""SAS's own client for its REST API, `sasctl`, in an environment of its own.

It is not among the test dependencies: it brings pandas and more. It is fetched into
`.cache/sasctl` once; without a package index the tests say so.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

PLACE = Path(__file__).parents[2] / ".cache" / "sasctl"
WANTED = ("sasctl==1.12.0",)


class NoClient(Exception):
    """The client cannot be had here; the text says why."""


def run_client(text: str, url: str, user: str, password: str) -> str:
    """Run a program in a session of the client; give what it prints."""
    python, parts = _program(), urlsplit(url)
    where = (str(parts.hostname), str(parts.port))
    head = (
        "import sys\nfrom sasctl import Session\n"
        "from sasctl.services import model_repository as mr\n"
        "host, port, user, password = sys.argv[1:]\n"
        "Session(host, user, password, protocol='http', port=int(port), verify_ssl=False)\n"
    )
    told = subprocess.run(
        [str(python), "-W", "ignore", "-c", head + text, *where, user, password],
        env=os.environ, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if told.returncode:
        raise AssertionError(f"the client failed: {told.stderr[-2000:]}")
    return told.stdout


def _program() -> Path:
    PLACE.parent.mkdir(exist_ok=True)
    with (PLACE.parent / "sasctl.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (PLACE / "fetched").exists():
            _install()
    return PLACE / "bin" / "python"


def _install() -> None:
    for command in (
        [sys.executable, "-m", "venv", str(PLACE)],
        [str(PLACE / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *WANTED],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoClient(f"NOT TESTED: sasctl cannot be fetched: {done.stderr[-300:]}")
    (PLACE / "fetched").touch()
