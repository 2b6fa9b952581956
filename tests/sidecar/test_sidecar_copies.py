"""A sidecar that sends copies to a challenger's: under the same ids, felt by nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from model_server import ModelServer, model_server

from waystage.client import Row
from waystage.sidecar import copies
from waystage.sidecar.rows import About
from waystage.sidecar.run import Settings, Sidecar

CHAMPION = About("cc-fraud", "PROD", "fraud/3")
CHALLENGER = About("cc-fraud", "PROD", "fraud/4", "challenger")
PATIENCE = 180


class Taken:
    """The daemon's end: all rows that came."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def made(self, *_: Any, **__: Any) -> Taken:
        return self

    def send(self, kind: str, rows: Sequence[Row]) -> None:
        self.rows.extend(rows)

    def close(self) -> None:
        """Have nothing to let go of."""

    def of(self, role: str) -> dict[str, Row]:
        return {row["request_id"]: row for row in self.rows if row["role"] == role}


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Taken:
    made = Taken()
    monkeypatch.setattr("waystage.sidecar.run.Sender", made.made)
    return made


@contextmanager
def running(port: int, about: About, place: Path, **more: Any) -> Iterator[Sidecar]:
    settings = Settings(("127.0.0.1", 0), ("127.0.0.1", port), "http://127.0.0.1:9", place, **more)
    sidecar = Sidecar(settings, about)
    thread = threading.Thread(target=sidecar.run)
    thread.start()
    try:
        yield sidecar
    finally:
        sidecar.stop()
        thread.join(PATIENCE)


def port_of(server: ModelServer) -> int:
    return int(server.server_address[1])


def ask(sidecar: Sidecar, path: str, x: int, name: str, **headers: str) -> int:
    return httpx.post(
        f"http://127.0.0.1:{sidecar.port}{path}:predict", json={"instances": [{"x": x}]},
        headers={"X-Request-Id": name, **headers}, trust_env=False, timeout=PATIENCE,
    ).status_code  # fmt: skip


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def test_a_challengers_sidecar_tells_of_the_same_requests(daemon: Taken, tmp_path: Path) -> None:
    with (
        model_server() as old,
        model_server() as new,
        running(port_of(new), CHALLENGER, tmp_path / "new") as behind,
        running(
            port_of(old), CHAMPION, tmp_path / "old", mirror=("127.0.0.1", behind.port)
        ) as before,
    ):
        paths = (
            "/v1/models/fraud",
            "/v1/models/fraud/labels/champion",
            "/v1/models/fraud/versions/3",
        )
        for number, path in enumerate(paths):
            assert ask(before, path, number, f"r{number}") == 200
        assert ask(before, "/v1/models/fraud", 9, "probe", **{"X-Waystage-Probe": "1"}) == 200
        until(lambda: len(daemon.of("challenger")) == 3 and len(daemon.of("champion")) == 3)
        assert {path for path, _, _ in new.seen} == {"/v1/models/fraud:predict"}
        until(lambda: before.tally["copies"] == 3)
    assert daemon.of("challenger").keys() == daemon.of("champion").keys() == {"r0", "r1", "r2"}
    assert daemon.of("challenger")["r2"]["score"] == 0.002
    assert daemon.of("challenger")["r2"]["snapshot"] == "fraud/4"


def test_a_challenger_that_is_away_or_slow_is_nobodys_harm(
    daemon: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "COPIES", 2)
    gate, asked = threading.Event(), threading.Event()

    def hold(self: Any, copy: Any) -> bool:
        asked.set()
        return gate.wait(PATIENCE) and sent(self, copy)

    sent = copies.Copies._sent
    monkeypatch.setattr(copies.Copies, "_sent", hold)
    with model_server() as gone:
        nobody = port_of(gone)
    with (
        model_server() as old,
        running(port_of(old), CHAMPION, tmp_path, mirror=("127.0.0.1", nobody)) as before,
    ):
        assert ask(before, "/v1/models/fraud", 1, "r0") == 200
        assert asked.wait(PATIENCE)
        for number in range(1, 6):  # one is being sent, two wait, three find no room
            assert ask(before, "/v1/models/fraud", 1, f"r{number}") == 200
        assert before.tally["copies_dropped"] == 3
        gate.set()
        until(lambda: before.tally["copies_failed"] == 3)
        until(lambda: len(daemon.of("champion")) == 6)
        told = httpx.get(
            f"http://127.0.0.1:{before.port}/waystage/metrics", trust_env=False, timeout=PATIENCE
        ).text
    assert "waystage_sidecar_copies_dropped_total 3" in told


def test_a_copy_that_no_longer_fits_in_bytes_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from waystage.sidecar.tally import Tally

    monkeypatch.setattr(copies, "SIZE", 10)
    monkeypatch.setattr(copies.Copies, "_work", lambda self: None)
    tally = Tally()
    queue = copies.Copies(("127.0.0.1", 9), seconds=1, tally=tally)
    for body in (b"123456", b"12345", b"1234"):
        queue.offer("/v1/models/fraud:predict", {}, body)
    assert tally["copies_dropped"] == 1
