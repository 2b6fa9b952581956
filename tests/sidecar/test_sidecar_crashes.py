"""Sidecar and daemon are killed again and again: what was answered is in the log, once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from model_server import model_server

from waystage.cli.main import run as waystage
from waystage.plugin import Slice
from waystage_plugins.scoring import SqliteScoringLog

NOW = datetime.now(UTC)
ALL = Slice("credit-risk", "PROD", NOW - timedelta(days=1), NOW + timedelta(days=1), None, None)
PREDICT = "/v1/models/credit:predict"
WAYSTAGE = [sys.executable, "-m", "waystage.cli.main"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A process that is killed and started anew, with what it says kept in a file."""

    def __init__(self, command: list[str], said: Path, ready: str, **env: str) -> None:
        self._command, self._said, self._ready = command, said, ready
        self._env = os.environ | env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(
                self._command, env=self._env, stdout=said, stderr=said, stdin=subprocess.DEVNULL
            )
        end = time.monotonic() + 180
        while not self._answers():
            assert self._process.poll() is None, self._said.read_text()
            assert time.monotonic() < end, self._said.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(120)

    def end(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _answers(self) -> bool:
        try:
            return httpx.get(self._ready, trust_env=False, timeout=2).status_code == 200
        except httpx.TransportError:
            return False


class Load(threading.Thread):
    """A client that sends one request after the other, each again until it is answered."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.answered, self.again, self.ending = url, 0, 0, threading.Event()

    def run(self) -> None:
        asking = httpx.Client(base_url=self.url, trust_env=False, timeout=20)
        while not self.ending.is_set():
            body = {"instances": [{"x": self.answered}]}
            name = {"X-Request-Id": f"request-{self.answered}"}
            try:
                found = asking.post(PREDICT, json=body, headers=name)
            except httpx.TransportError:
                self.again += 1
                time.sleep(0.005)
                continue
            assert found.status_code == 200, found.text
            self.answered += 1
        asking.close()

    def go_on(self, more: int) -> None:
        """Wait until some more requests were answered."""
        wanted, end = self.answered + more, time.monotonic() + 180
        while self.answered < wanted:
            assert time.monotonic() < end
            time.sleep(0.005)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("WAYSTAGE_AS", "WAYSTAGE_TOKEN", "WAYSTAGE_URL"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "project"
    assert waystage(["init", str(root)]) == 0
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def daemon(project: Path) -> Iterator[tuple[Process, str]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    made = Process([*WAYSTAGE, "--project", str(project), "up", "--port", str(port), "--quiet"],
                   project / "daemon.log", f"{url}/v1/health")  # fmt: skip
    made.start()
    yield made, url
    made.remove()


@pytest.mark.slow
def test_no_answered_request_is_lost_and_none_is_doubled_whoever_is_killed(
    daemon: tuple[Process, str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process, url = daemon
    capsys.readouterr()
    assert waystage(["token", "--service", "credit-risk"]) == 0
    token = capsys.readouterr().out.split()[0]
    port, journal = free_port(), project / "journal"
    with model_server() as model:
        sidecar = Process(
            [*WAYSTAGE, "sidecar", "--service", "credit-risk", "--stage", "PROD",
             "--snapshot", "credit/1", "--daemon", url, "--journal", str(journal),
             "--listen", f"127.0.0.1:{port}", "--upstream",
             f"127.0.0.1:{model.server_address[1]}"],
            project / "sidecar.log", f"http://127.0.0.1:{port}/waystage/health",
            WAYSTAGE_TOKEN=token,
        )  # fmt: skip
        sidecar.start()
        load = Load(f"http://127.0.0.1:{port}")
        load.start()
        try:
            for _ in range(2):
                load.go_on(30)
                sidecar.kill()
                sidecar.start()
                load.go_on(30)
                process.kill()
                load.go_on(30)  # the daemon is away
                sidecar.kill()  # and now both are
                process.start()
                sidecar.start()
            load.go_on(20)
        finally:
            load.ending.set()
            load.join(30)
        health = delivered(port)
        assert sidecar.end() == 0
        sidecar.remove()
    log = SqliteScoringLog(path=project / "scores.db")
    kept = [str(row[0]) for row in log.rows(ALL)]
    assert len(kept) == len(set(kept))
    # the last request may have been answered by the model alone when the load ended
    wanted = {f"request-{n}" for n in range(load.answered)}
    assert wanted <= set(kept)
    assert set(kept) - wanted <= {f"request-{load.answered}"}
    assert load.again, "no kill was ever noticed"
    assert (health["dropped"], health["refused"], health["damaged_bytes"]) == (0, 0, 0)


def delivered(port: int) -> dict[str, int]:
    """Wait until the daemon has everything; give the sidecar's health."""
    end = time.monotonic() + 180
    while True:
        found: dict[str, int] = httpx.get(
            f"http://127.0.0.1:{port}/waystage/health", trust_env=False
        ).json()
        if found["waiting_bytes"] == 0:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.05)
