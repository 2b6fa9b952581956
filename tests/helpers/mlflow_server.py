"""A real MLflow tracking server, in an environment of its own.

MLflow is not among the test dependencies: it brings a hundred packages of its own. It is fetched
into `.cache/mlflow` once; without a package index the tests say so.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from with_parent import end_with_parent

PLACE = Path(__file__).parents[2] / ".cache" / "mlflow"
WANTED = ("mlflow[auth]==3.17.2",)
ADMIN, PASSWORD = "admin", "a-password-of-tests-4711"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes that nobody asks
}  # fmt: skip


class NoMlflow(Exception):
    """The server cannot be had here; the text says why."""


class MlflowServer:
    """One server with its database and artifacts below `root`; `guarded` asks who one is."""

    def __init__(self, root: Path, *, guarded: bool = False, proxied: bool = True) -> None:
        self.root, self.port, self._guarded, self._proxied = root, _free_port(), guarded, proxied
        self.artifacts = root / "artifacts"
        self.url = f"http://127.0.0.1:{self.port}"
        root.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start the server; what it was told before is there again."""
        command = [
            str(_program("mlflow")), "server", "--host", "127.0.0.1", "--port", str(self.port),
            "--workers", "1", "--backend-store-uri", f"sqlite:///{self.root / 'mlflow.db'}",
            *(["--app-name", "basic-auth"] if self._guarded else []),
            *(["--artifacts-destination", str(self.artifacts)] if self._proxied
              else ["--no-serve-artifacts", "--default-artifact-root", str(self.artifacts)]),
        ]  # fmt: skip
        environment = os.environ | QUIET
        if self._guarded:
            environment |= {
                "MLFLOW_AUTH_CONFIG_PATH": str(self._rules()),
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-tests-alone",
            }
        with (self.root / "server.log").open("ab") as told:
            self._process = subprocess.Popen(
                command, stdout=told, stderr=told, env=environment, cwd=self.root,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # one system call, no lock is taken
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """End the server with its workers; its database and artifacts stay."""
        # its processes are a group: nobody but the tests talks to them, so no time to say goodbye
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=120)

    def _wait(self) -> None:
        end = time.monotonic() + 180
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=10):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if self._process.poll() is not None or time.monotonic() > end:
                    said = (self.root / "server.log").read_text()[-300:]
                    raise NoMlflow(f"NOT TESTED: MLflow does not start: {said}") from None
                time.sleep(0.05)

    def _rules(self) -> Path:
        place = self.root / "auth.ini"
        place.write_text(
            "[mlflow]\ndefault_permission = READ\n"
            f"database_uri = sqlite:///{self.root / 'auth.db'}\n"
            f"admin_username = {ADMIN}\nadmin_password = {PASSWORD}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        return place


def run_python(text: str, server: MlflowServer, *arguments: str) -> str:
    """Run a program with MLflow's own client, as a data scientist would; give what it prints."""
    told = subprocess.run(
        [str(_program("python")), "-c", text, *arguments],
        env=os.environ | QUIET | {"MLFLOW_TRACKING_URI": server.url},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if told.returncode:
        raise AssertionError(f"the program failed: {told.stderr[-2000:]}")
    return told.stdout


def _program(name: str) -> Path:
    PLACE.parent.mkdir(exist_ok=True)
    with (PLACE.parent / "mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (PLACE / "bin" / "mlflow").exists():
            _install()
    return PLACE / "bin" / name


def _install() -> None:
    for command in (
        [sys.executable, "-m", "venv", str(PLACE)],
        [str(PLACE / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *WANTED],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoMlflow(f"NOT TESTED: MLflow cannot be fetched: {done.stderr[-300:]}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
