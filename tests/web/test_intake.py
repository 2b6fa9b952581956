"""The scoring log over HTTP: batches, whose rows they are, how much is taken, what is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scores_over_http import ALL, NOW, ROW, log_of, send

from waystage.cli.main import run as waystage
from waystage.client import BufferFull, ScoringClient
from waystage.daemon import retention
from waystage.daemon.intake import Intake
from waystage.errors import Busy, Forbidden, Hopeless, Unavailable
from waystage.plugin import Label, ScoredRow
from waystage_plugins.scoring import SqliteScoringLog


def test_a_batch_is_durable_when_it_is_answered_and_counts_once(
    standing: Any, service: str
) -> None:
    rows = [ROW | {"request_id": f"batch-{n}", "score": n / 10, "inputs": {"n": n},
                   "at": NOW.isoformat(), "latency_ms": 1.5} for n in range(3)]  # fmt: skip
    for _ in range(2):
        answer = send(standing, service, *rows)
        assert (answer.status_code, answer.json()) == (200, {"taken": 3})
    kept = [row for row in log_of(standing).rows(ALL) if str(row[0]).startswith("batch-")]
    assert [(row[0], row[2], row[3]) for row in kept] == [
        (f"batch-{n}", n / 10, {"n": n}) for n in range(3)
    ]
    assert kept[0][1] == NOW


def test_without_a_time_it_was_when_it_came(standing: Any, service: str) -> None:
    before = datetime.now(UTC)
    assert send(standing, service, ROW | {"request_id": "timeless"}).status_code == 200
    (row,) = [row for row in log_of(standing).rows(ALL) if row[0] == "timeless"]
    assert isinstance(row[1], datetime)
    assert before <= row[1] <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"request_id": "a b"}, "request_id"),
        ({"request_id": ""}, "request_id"),
        ({"snapshot": "credit/\x00"}, "snapshot"),
        ({"at": "2026-01-05T12:00:00"}, "at"),
        ({"at": "1970-01-05T12:00:00Z"}, "rows.1.at"),
        ({"at": (NOW + timedelta(days=2)).isoformat()}, "a day after now"),
        ({"role": "king"}, "role"),
        ({"score": "0.5"}, "score"),
        ({"score": True}, "score"),
        ({"other": 1}, "other"),
    ],
)
def test_one_bad_row_refuses_its_batch_and_nothing_is_kept(
    standing: Any, service: str, changed: dict[str, Any], says: str
) -> None:
    good = ROW | {"request_id": "beside-a-bad-one"}
    answer = send(standing, service, good, ROW | {"score": 0.5} | changed)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "E-REQUEST"
    assert says in answer.json()["message"]
    assert "beside-a-bad-one" not in [row[0] for row in log_of(standing).rows(ALL)]


def test_a_token_of_a_service_writes_its_own_part_alone(standing: Any, service: str) -> None:
    other = ROW | {"request_id": "theirs", "service": "cc-fraud"}
    answer = send(standing, service, ROW | {"request_id": "ours"}, other)
    assert answer.status_code == 403
    assert "for service credit-risk, and a row is of cc-fraud" in answer.json()["message"]
    log_of(standing).append([
        ScoredRow(name, NOW, of, "PROD", "x/1", "champion", 0.5)
        for name, of in (("theirs", "cc-fraud"), ("own", "credit-risk"))
    ])  # fmt: skip
    told = [{"request_id": n, "event": 1, "at": NOW.isoformat()} for n in ("own", "theirs")]
    answer = standing.with_token(service, "POST", "labels", json={"labels": told})
    assert answer.status_code == 403
    assert "request theirs is another's" in answer.json()["message"]
    assert log_of(standing).counts(ALL)[1] == 0
    answer = standing.with_token(service, "POST", "labels", json={"labels": told[:1]})
    assert answer.json() == {"changed": 1}


def test_a_token_of_a_service_is_good_for_nothing_else(standing: Any, service: str) -> None:
    for route in standing.web._server.config.app.routes:
        for method in route.methods - {"HEAD"}:
            if route.path in ("/v1/scores", "/v1/labels", "/v1/health", "/v1/ready"):
                continue
            answer = standing.http.request(
                method, route.path, headers={"Authorization": f"Bearer {service}"}
            )
            assert answer.status_code == 403, f"{method} {route.path}: {answer.text}"
    named = {"Authorization": f"Bearer {service}", "X-Waystage-Person": "otto"}
    answer = standing.http.post("/v1/scores", headers=named, json={"rows": []})
    assert answer.status_code == 403


def test_tokens_of_services_are_made_and_ended_by_the_verb(
    api: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(api.root)
    assert waystage(["token"]) == 1
    assert waystage(["token", "--service", "credit-rsk"]) == 1
    assert "did you mean credit-risk?" in capsys.readouterr().err
    assert waystage(["token", "--service", "credit-risk"]) == 0
    token = capsys.readouterr().out.split()[0]
    assert send(api, token, ROW).status_code == 200
    assert waystage(["token", "--service", "credit-risk", "--revoke"]) == 0
    assert "had 1 good token" in capsys.readouterr().out
    assert send(api, token, ROW).status_code == 401


def test_the_daemon_has_the_log_remove_what_is_past_its_time(
    project: Path, changed: Any, new_api: Any
) -> None:
    changed(project, {"{path: scores.db}": "{path: scores.db, keep: P2D}"})
    api = new_api(project)
    rows = [ScoredRow(f"r{days}", NOW - timedelta(days=days), "credit-risk", "PROD", "credit/1",
                      "champion", 0.5) for days in (0, 5)]  # fmt: skip
    log_of(api).append(rows)
    retention.tend_log(api.daemon)
    assert [row[0] for row in log_of(api).rows(ALL)] == ["r0"]


class SlowLog(SqliteScoringLog):
    """Write only when a test lets it."""

    use = "scoring_log.slow"

    def append(self, rows: Iterable[ScoredRow]) -> int:
        SLOW.begun.set()
        assert SLOW.let.wait(20)
        found = list(rows)
        SLOW.batches.append([row.request_id for row in found])
        if any(row.request_id == "bad" for row in found):
            raise Hopeless("it is bad")
        return super().append(found)


class Slow:
    def __init__(self) -> None:
        self.begun, self.let = threading.Event(), threading.Event()
        self.batches: list[list[str]] = []


SLOW = Slow()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[SlowLog, Slow]]:
    SLOW.__init__()  # type: ignore[misc]  # as fresh as a new one, under its one name
    yield SlowLog(path=tmp_path / "scores.db"), SLOW
    SLOW.let.set()


def some(*names: str) -> list[ScoredRow]:
    return [ScoredRow(n, NOW, "credit-risk", "PROD", "credit/1", "champion", 0.5) for n in names]


def test_what_comes_while_another_batch_is_written_is_written_together(
    slow: tuple[SlowLog, Slow],
) -> None:
    log, control = slow
    intake = Intake(lambda: log)
    first = intake.scores(some("a"))
    assert control.begun.wait(20)
    others = [intake.scores(some(name)) for name in "bcd"]
    told = intake.labels([Label("a", 1, NOW)])
    last = intake.scores(some("e"))
    control.let.set()
    done: Sequence[Future[int]] = [first, *others, told, last]
    assert [each.result(20) for each in done] == [1] * 6
    assert control.batches == [["a"], ["b", "c", "d"], ["e"]]
    intake.close()
    assert (intake.counted.taken, intake.counted.waiting) == (6, 0)


def test_what_is_too_much_is_refused_at_once_and_taken_later(slow: tuple[SlowLog, Slow]) -> None:
    log, control = slow
    intake = Intake(lambda: log, most=3)
    large = intake.scores(some(*"abcd"))  # nothing waits: a batch of any size is taken
    with pytest.raises(Busy, match="4 rows and labels wait to be written, and no more than 3 may"):
        intake.scores(some("e"))
    control.let.set()
    assert large.result(20) == 4
    assert intake.scores(some("e")).result(20) == 1
    intake.close()
    assert intake.counted.refused == 1
    with pytest.raises(Unavailable, match="is ending"):
        intake.scores(some("f"))


def test_one_sender_whose_rows_cannot_be_kept_does_not_hold_up_others(
    slow: tuple[SlowLog, Slow],
) -> None:
    log, control = slow
    intake = Intake(lambda: log)
    first = intake.scores(some("a"))
    assert control.begun.wait(20)
    bad, good = intake.scores(some("bad")), intake.scores(some("good"))
    control.let.set()
    assert (first.result(20), good.result(20)) == (1, 1)
    with pytest.raises(Unavailable, match="cannot be written: it is bad"):
        bad.result(20)
    intake.close()


def test_back_pressure_is_a_429_with_a_time(
    standing: Any, service: str, slow: tuple[SlowLog, Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, control = slow
    monkeypatch.setattr(standing.daemon, "intake", Intake(lambda: log, most=1))
    sender = threading.Thread(target=send, args=(standing, service, ROW))
    sender.start()
    assert control.begun.wait(20)
    answer = send(standing, service, ROW | {"request_id": "r2"})
    assert (answer.status_code, answer.json()["code"]) == (429, "E-BUSY")
    assert answer.headers["Retry-After"] == "1"
    assert 'waystage_intake_total{answer="refused"} 1' in standing.http.get(
        "/metrics", headers={"Authorization": f"Bearer {standing.token}"}
    ).text  # fmt: skip
    control.let.set()
    sender.join(20)
    assert send(standing, service, ROW | {"request_id": "r2"}).status_code == 200


def test_a_client_sends_what_it_was_given_and_ends_when_it_is_kept(
    standing: Any, service: str
) -> None:
    refused: list[tuple[str, str]] = []
    client = ScoringClient(
        standing.web.url, service, service="credit-risk", stage="PROD", together=7,
        refused=lambda row, why: refused.append((row["request_id"], why)),
    )  # fmt: skip
    with client:
        names = [client.score(n / 50, {"n": n}, snapshot="credit/1") for n in range(50)]
        client.score(0.5, {}, snapshot="credit/1", request_id="not good")
        client.label(names[0], 1)
    kept = {row[0]: row[4] for row in log_of(standing).rows(ALL)}
    assert set(names) <= kept.keys()
    assert kept[names[0]] == 1
    assert [name for name, _ in refused] == ["not good"]
    assert names == sorted(names, key=lambda name: name[:13])  # by the millisecond


def test_a_client_without_a_daemon_says_when_its_buffer_is_full() -> None:
    client = ScoringClient("http://127.0.0.1:9", "t", service="s", stage="PROD", most=2)
    for _ in range(2):
        client.score(0.5, {}, snapshot="credit/1")
    with pytest.raises(BufferFull, match="2 rows wait for the daemon"):
        client.score(0.5, {}, snapshot="credit/1")
    assert not client.flush(0.05)
    with pytest.raises(Unavailable, match="2 rows and labels were not taken"):
        client.close(0.05)


def test_a_client_sends_no_token_over_an_open_line() -> None:
    with pytest.raises(Unavailable, match="by https alone"):
        ScoringClient("http://daemon.example", "t", service="s", stage="PROD")


def test_a_client_with_a_bad_token_keeps_its_rows(standing: Any) -> None:
    from waystage.client import Sender

    sender = Sender(standing.web.url, "ws_wrong")
    with pytest.raises(Forbidden, match="the token is missing, wrong or has ended"):
        sender.send("scores", [ROW])
    sender.close()
