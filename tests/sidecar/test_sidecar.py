"""The sidecar: passes everything on, tells the log of what scored, and never stands in the way."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from model_server import ModelServer, model_server

from waystage.client import Row, Sender, Undeliverable
from waystage.errors import Busy, Conflict, Forbidden, Unavailable
from waystage.sidecar.rows import About
from waystage.sidecar.run import Settings, Sidecar

PREDICT = "/v1/models/fraud:predict"
ABOUT = About("cc-fraud", "PROD", "fraud/3")


class Daemon:
    """The daemon's end as the sidecar sees it: what it took, and what is wrong with it now."""

    def __init__(self) -> None:
        self.taken: list[Row] = []
        self.wrong: list[Exception] = []
        self.away = False
        self.tokens: list[str] = []

    def made(self, url: str, token: str, **_: Any) -> Daemon:
        self.tokens.append(token)
        return self

    def send(self, kind: str, rows: Sequence[Row]) -> None:
        assert kind == "scores"
        if self.away:
            raise Unavailable("no daemon answers")
        if self.wrong:
            raise self.wrong.pop(0)
        if any(row["request_id"].startswith("bad") for row in rows):
            raise Undeliverable("request_id: it is bad")
        self.taken.extend(rows)

    def close(self) -> None:
        """Have nothing to let go of."""


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    made = Daemon()
    monkeypatch.setattr("waystage.sidecar.run.Sender", made.made)
    return made


@pytest.fixture
def upstream() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@contextmanager
def running(upstream: ModelServer, place: Path, **more: Any) -> Iterator[Sidecar]:
    port = upstream.server_address[1]
    settings = Settings(("127.0.0.1", 0), ("127.0.0.1", port), "http://127.0.0.1:9", place, **more)
    sidecar = Sidecar(settings, ABOUT)
    thread = threading.Thread(target=sidecar.run)
    thread.start()
    try:
        yield sidecar
    finally:
        sidecar.stop()
        thread.join(20)


def client(sidecar: Sidecar) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{sidecar.port}", trust_env=False, timeout=60)


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def test_requests_are_passed_on_and_told_with_all_that_belongs_to_them(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path
) -> None:
    with running(upstream, tmp_path) as sidecar, client(sidecar) as asking:
        answer = asking.post(PREDICT, json={"instances": [{"x": 250}]})
        assert (answer.status_code, answer.headers["X-Model"]) == (200, "small")
        assert answer.json() == {"predictions": [{"score": 0.25}]}
        until(lambda: daemon.taken)
    name = answer.headers["X-Request-Id"]
    assert name[14] == "7"  # UUIDv7
    assert upstream.seen[0][1]["x-request-id"] == name
    row = dict(daemon.taken[0])
    assert 0 < row.pop("latency_ms") < 20_000
    assert row.pop("at").endswith("+00:00")
    assert row == {
        "request_id": name, "service": "cc-fraud", "stage": "PROD", "snapshot": "fraud/3",
        "role": "champion", "score": 0.25, "inputs": {"x": 250},
    }  # fmt: skip


def test_who_brings_a_request_id_keeps_it(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path
) -> None:
    with running(upstream, tmp_path) as sidecar, client(sidecar) as asking:
        for given in ("mine-1", "not good"):
            answer = asking.post(
                PREDICT, json={"instances": [{"x": 1}, {"x": 2}]}, headers={"X-Request-Id": given}
            )
            assert (answer.headers["X-Request-Id"] == given) == (given == "mine-1")
        until(lambda: len(daemon.taken) == 4)
    assert [row["request_id"] for row in daemon.taken[:2]] == ["mine-1-0", "mine-1-1"]


def test_what_does_not_score_is_passed_on_and_not_told(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path
) -> None:
    with running(upstream, tmp_path) as sidecar, client(sidecar) as asking:
        assert asking.get("/v1/models/fraud").json()["model_version_status"]
        assert asking.post(PREDICT, json={}).json() == {"error": "no rows"}
        probe = {"X-Waystage-Probe": "1"}
        asking.post(PREDICT, json={"instances": [{"x": 1}]}, headers=probe)
        asking.post(PREDICT, json={"instances": [{"x": 2}]})
        until(lambda: daemon.taken)
        assert [row["inputs"] for row in daemon.taken] == [{"x": 2}]
        assert (sidecar.tally["requests"], sidecar.tally["unscored"]) == (4, 1)


def test_requests_are_answered_while_the_daemon_is_away_and_told_when_it_is_back(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path
) -> None:
    daemon.away = True
    with running(upstream, tmp_path) as sidecar, client(sidecar) as asking:
        for n in range(20):
            assert asking.post(PREDICT, json={"instances": [{"x": n}]}).status_code == 200
        health = asking.get("/waystage/health").json()
        assert health["ok"]
        assert health["waiting_bytes"] > 0
        until(lambda: "no daemon answers" in asking.get("/waystage/health").json()["trouble"])
        daemon.away = False
        until(lambda: len(daemon.taken) == 20)
        until(lambda: asking.get("/waystage/health").json()["trouble"] == "")
        assert "waystage_sidecar_delivered_total 20" in asking.get("/waystage/metrics").text
    assert [row["inputs"]["x"] for row in daemon.taken] == list(range(20))


def test_a_full_journal_drops_rows_loudly_and_no_answer(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.away = True
    with (
        running(upstream, tmp_path, most_bytes=3000) as sidecar,
        client(sidecar) as asking,
    ):
        for n in range(40):
            assert asking.post(PREDICT, json={"instances": [{"x": n}]}).status_code == 200
        health = asking.get("/waystage/health").json()
        assert not health["ok"]
        assert health["dropped"] + health["recorded"] == 40
        assert health["dropped"] > 10
        assert "has no room: 1 scoring requests were answered and are not in the log" in caplog.text
        daemon.away = False
        until(lambda: len(daemon.taken) == health["recorded"])
        asking.post(PREDICT, json={"instances": [{"x": 40}]})
        until(lambda: daemon.taken[-1]["inputs"] == {"x": 40})


def test_a_row_that_is_refused_for_good_does_not_hold_up_the_others(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path
) -> None:
    daemon.away = True
    with running(upstream, tmp_path) as sidecar, client(sidecar) as asking:
        for name in ("a", "bad-1", "b", "bad-2", "c"):
            asking.post(PREDICT, json={"instances": [{"x": 1}]}, headers={"X-Request-Id": name})
        daemon.away = False
        until(lambda: sidecar.tally["refused"] == 2)
        until(lambda: {row["request_id"] for row in daemon.taken} == {"a", "b", "c"})
        assert not asking.get("/waystage/health").json()["ok"]
    lines = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert [line["row"]["request_id"] for line in lines] == ["bad-1", "bad-2"]
    assert lines[0]["why"] == "request_id: it is bad"


def test_back_pressure_and_lost_rights_are_waited_for(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    daemon.wrong = [Busy(), Forbidden("the token has ended")]
    with (
        running(upstream, tmp_path / "journal", token_file=token) as sidecar,
        client(sidecar) as asking,
    ):
        asking.post(PREDICT, json={"instances": [{"x": 1}]})
        until(lambda: not daemon.wrong)
        token.write_text("new\n")
        until(lambda: daemon.taken)
        assert sidecar.tally["failures"] >= 2
    assert daemon.tokens[0] == "old"
    assert len(daemon.taken) == 1


def test_what_waits_at_the_end_is_delivered_by_the_next_process(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path
) -> None:
    daemon.away = True
    with running(upstream, tmp_path, durable=True) as sidecar, client(sidecar) as asking:
        asking.post(PREDICT, json={"instances": [{"x": 1}]})
        with pytest.raises(Conflict, match="another sidecar"):
            Sidecar(Settings(("127.0.0.1", 0), ("127.0.0.1", 9), "", tmp_path), ABOUT)
    daemon.away = False
    with running(upstream, tmp_path):
        until(lambda: len(daemon.taken) == 1)


def test_a_model_server_that_is_away_is_told_as_such(daemon: Daemon, tmp_path: Path) -> None:
    with model_server() as gone:
        pass
    with running(gone, tmp_path) as sidecar, client(sidecar) as asking:
        answer = asking.post(PREDICT, json={"instances": [{"x": 1}]})
        assert answer.status_code == 502
        assert "the model server does not answer" in answer.json()["error"]
        assert sidecar.tally["upstream_failures"] == 1


def test_a_model_server_that_restarted_is_found_again(daemon: Daemon, tmp_path: Path) -> None:
    with model_server() as first:
        port = first.server_address[1]
        with running(first, tmp_path) as sidecar, client(sidecar) as asking:
            assert asking.post(PREDICT, json={"instances": [{"x": 1}]}).status_code == 200
            first.shutdown()
            first.server_close()
            with model_server(port):
                assert asking.post(PREDICT, json={"instances": [{"x": 2}]}).status_code == 200


def test_chunked_and_waiting_requests_are_passed_on(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path
) -> None:
    body = b'{"instances": [{"x": 1}]}'
    with running(upstream, tmp_path) as sidecar:
        line = http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=60)
        line.request("POST", PREDICT, iter([body[:5], body[5:]]), encode_chunked=True,
                     headers={"Transfer-Encoding": "chunked"})  # fmt: skip
        assert line.getresponse().read() == b'{"predictions": [{"score": 0.001}]}'
        line.request("POST", PREDICT, body, headers={"Expect": "100-continue"})
        assert line.getresponse().status == 200
        line.close()
        assert upstream.seen[0][2] == body
        until(lambda: len(daemon.taken) == 2)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"400"),
        (b"Content-Length: x\r\n", b"400"),
        (b"Content-Length: 999999999999\r\n", b"413"),
        (b"Transfer-Encoding: gzip\r\n", b"400"),
    ],
)
def test_a_request_whose_length_is_not_clear_is_refused(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path, head: bytes, status: bytes
) -> None:
    with (
        running(upstream, tmp_path) as sidecar,
        socket.create_connection(("127.0.0.1", sidecar.port), timeout=60) as line,
    ):
        line.sendall(b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
        assert line.recv(1000).split()[1] == status
    assert upstream.seen == []


def test_many_clients_at_once_are_all_told_once(
    upstream: ModelServer, daemon: Daemon, tmp_path: Path
) -> None:
    each, clients = 40, 8

    def ask(first: int) -> None:
        with client(sidecar) as asking:
            for n in range(first, first + each):
                found = asking.post(PREDICT, json={"instances": [{"x": n}]}).json()
                assert found == {"predictions": [{"score": n / 1000}]}

    with running(upstream, tmp_path) as sidecar:
        threads = [threading.Thread(target=ask, args=(n * each,)) for n in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        until(lambda: len(daemon.taken) == each * clients)
    assert sorted(row["inputs"]["x"] for row in daemon.taken) == list(range(each * clients))
    assert len({row["request_id"] for row in daemon.taken}) == each * clients


def test_senders_know_what_the_answers_of_a_daemon_mean() -> None:
    from waystage.client import sender

    for status, kind in ((429, Busy), (401, Forbidden), (400, Undeliverable), (503, Unavailable)):
        with pytest.raises(kind, match="why"):
            sender._raise_for(httpx.Response(status, json={"message": "why"}))
    with pytest.raises(Unavailable, match="by https alone"):
        Sender("http://daemon.example:8470", "token")
