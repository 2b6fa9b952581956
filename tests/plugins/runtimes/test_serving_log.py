"""Every scored request is in the scoring log before it is answered, and probes are not."""

from __future__ import annotations

import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from postgres_server import PostgresServer

from waystage.clock import CLOCK_FILE_VARIABLE, TurnedClock
from waystage.plugin import DeploySpec, JsonObject, Slice
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes import LocalServing
from waystage_plugins.scoring import PostgresqlScoringLog, SqliteScoringLog

ROW: JsonObject = {"income": 1.0, "children": 2, "purpose": "car"}
Release = Callable[..., DeploySpec]
LOG = {"use": "scoring_log.sqlite", "with": {"path": "scores.db"}}
UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def deployed(ctx: FakeContext, spec: DeploySpec, runtime: LocalServing | None = None) -> str:
    handle = (runtime or LocalServing()).apply(ctx, spec)
    return wait_until_ready(LocalServing(), ctx, handle).endpoints[0].url


def ask(ctx: FakeContext, url: str, rows: list[dict[str, Any]], **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ctx.http.post(f"{url}:predict", json={"instances": rows}, headers=named)


def logged(ctx: FakeContext, role: str | None = "champion") -> list[Any]:
    now = datetime.now(UTC)
    start, end = now - timedelta(days=1), now + timedelta(days=400)
    slice_ = Slice("credit-risk", "DEV", start, end, role=role)
    return [tuple(row) for row in SqliteScoringLog(path=ctx.project / "scores.db").rows(slice_)]


def test_a_request_is_logged_with_its_inputs_score_time_and_role(
    ctx: FakeContext, release: Release
) -> None:
    url = deployed(ctx, release(scoring_log=LOG))
    ctx.key = "run/2"
    challenger = deployed(ctx, release(version="2", role="challenger", scoring_log=LOG))
    before = datetime.now(UTC)
    assert ask(ctx, url, [ROW], X_Request_Id="r1").headers["X-Request-Id"] == "r1"
    ask(ctx, challenger, [ROW], X_Request_Id="r1")
    ((request, at, score, inputs, event),) = logged(ctx)
    assert (request, inputs, event) == ("r1", ROW, None)
    assert score == pytest.approx(0.98201, abs=1e-5)
    assert before <= at <= datetime.now(UTC)
    assert len(logged(ctx, "challenger")) == 1
    with sqlite3.connect(ctx.project / "scores.db") as database:
        found = database.execute("SELECT snapshot, role FROM scored ORDER BY snapshot").fetchall()
    database.close()
    assert found == [("credit/1", "champion"), ("credit/2", "challenger")]


def test_a_log_in_postgresql_is_written_before_the_answer_too(
    ctx: FakeContext, release: Release, shared_postgres: PostgresServer
) -> None:
    database = shared_postgres.database(empty=True)
    kept = PostgresqlScoringLog(url=database)
    url = deployed(ctx, release(scoring_log={"use": kept.use, "with": {"url": database}}))
    assert ask(ctx, url, [ROW], X_Request_Id="r1").status_code == 200
    now = datetime.now(UTC)
    slice_ = Slice("credit-risk", "DEV", now - timedelta(days=1), now + timedelta(days=1))
    ((request, _, score, inputs, _),) = kept.rows(slice_)
    assert (request, inputs) == ("r1", ROW)
    assert score == pytest.approx(0.98201, abs=1e-5)


def test_rows_of_one_request_are_numbered_or_bring_their_own_ids(
    ctx: FakeContext, release: Release
) -> None:
    url = deployed(ctx, release(scoring_log=LOG))
    assert ask(ctx, url, [ROW, ROW], X_Request_Id="many").headers["X-Request-Id"] == "many"
    ask(ctx, url, [ROW | {"request_id": "own"}, ROW], X_Request_Id="mixed")
    assert ask(ctx, url, [ROW | {"request_id": "one"}]).headers["X-Request-Id"] == "one"
    generated = ask(ctx, url, [ROW]).headers["X-Request-Id"]
    assert re.fullmatch(UUID7, generated)
    found = {row[0] for row in logged(ctx)}
    assert found == {"many-0", "many-1", "own", "mixed-1", "one", generated}
    assert all(row[3] == ROW for row in logged(ctx)), "an id is no input"


def test_a_request_sent_twice_is_logged_once(ctx: FakeContext, release: Release) -> None:
    url = deployed(ctx, release(scoring_log=LOG))
    for _ in range(2):
        assert ask(ctx, url, [ROW], X_Request_Id="again").status_code == 200
    assert len(logged(ctx)) == 1


def test_probes_and_refused_requests_are_not_logged(ctx: FakeContext, release: Release) -> None:
    spec = release(scoring_log=LOG)
    handle = LocalServing().apply(ctx, spec)
    url = wait_until_ready(LocalServing(), ctx, handle).endpoints[0].url
    (probed,) = LocalServing().predict(ctx, handle, [ROW])
    assert probed == {"score": pytest.approx(0.98201, abs=1e-5)}
    assert ask(ctx, url, [ROW | {"wage": 1}]).status_code == 400
    for bad in ("a<b>", "a b", "x" * 129):
        answer = ask(ctx, url, [ROW], X_Request_Id=bad)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("request id ")
    twice = ask(ctx, url, [ROW | {"request_id": "same"}] * 2)
    assert twice.json()["error"] == "two rows of the request have the same request id"
    assert ask(ctx, url, [ROW | {"request_id": 3}]).status_code == 400
    assert ask(ctx, url, [ROW], X_Request_Id="good").status_code == 200
    assert [row[0] for row in logged(ctx)] == ["good"]


def test_a_model_that_gives_no_number_answers_null_and_is_logged_without_score(
    ctx: FakeContext, release: Release
) -> None:
    url = deployed(ctx, release(float("nan"), scoring_log=LOG))
    answer = ask(ctx, url, [ROW]).json()["predictions"]
    assert answer == [{"score": None, "probabilities": [None, None]}]
    assert logged(ctx)[0][2] is None


def test_on_a_full_disk_every_answered_row_is_logged_and_the_rest_refused(
    ctx: FakeContext, release: Release
) -> None:
    # a limit on the size of files stands for the disk: writes beyond it fail in the same way
    python = ctx.project / "python"
    python.write_text(f'#!/bin/sh\nulimit -f 512\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    url = deployed(ctx, release(scoring_log=LOG), LocalServing(python=str(python)))
    answers = [ask(ctx, url, [ROW] * 400, X_Request_Id=f"r{n}") for n in range(10)]
    codes = [answer.status_code for answer in answers]
    assert codes == sorted(codes), "it came and went"
    assert set(codes) == {200, 503}
    assert "the scoring log cannot be written" in answers[-1].json()["error"]
    kept = {row[0] for row in logged(ctx)}
    assert kept == {f"r{n}-{i}" for n in range(codes.count(200)) for i in range(400)}


def test_without_a_scoring_log_requests_are_answered_all_the_same(
    ctx: FakeContext, release: Release
) -> None:
    url = deployed(ctx, release())
    assert ask(ctx, url, [ROW], X_Request_Id="r").headers["X-Request-Id"] == "r"
    assert list(ctx.project.glob("*.db")) == []


def test_requests_are_logged_at_the_time_of_the_turned_clock(
    ctx: FakeContext, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ctx.project)
    monkeypatch.setenv(CLOCK_FILE_VARIABLE, "clock.json")
    clock = TurnedClock(ctx.project / "clock.json")
    url = deployed(ctx, release(scoring_log=LOG))
    ask(ctx, url, [ROW], X_Request_Id="now")
    clock.turn(timedelta(days=90))
    ask(ctx, url, [ROW], X_Request_Id="later")
    (_, first, *_), (_, second, *_) = logged(ctx)
    assert timedelta(days=89.9) < second - first < timedelta(days=90.1)


def test_many_clients_at_once_are_all_logged(ctx: FakeContext, release: Release) -> None:
    url = deployed(ctx, release(scoring_log=LOG))
    failed: list[int] = []

    def client(name: int) -> None:
        with httpx.Client(trust_env=False, timeout=30) as http:
            for number in range(25):
                headers = {"X-Request-Id": f"c{name}-{number}"}
                answer = http.post(f"{url}:predict", json={"instances": [ROW]}, headers=headers)
                if answer.status_code != 200:
                    failed.append(answer.status_code)

    threads = [threading.Thread(target=client, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(logged(ctx)) == 200


def test_an_answer_means_that_the_row_is_there(ctx: FakeContext, release: Release) -> None:
    url = deployed(ctx, release(scoring_log=LOG))
    deadline = time.monotonic() + 1.0
    number = 0
    while time.monotonic() < deadline and number < 50:
        assert ask(ctx, url, [ROW], X_Request_Id=f"r{number}").status_code == 200
        number += 1
        assert len(logged(ctx)) == number
