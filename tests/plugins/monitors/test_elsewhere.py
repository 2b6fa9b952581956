"""Numbers from elsewhere: of a database, and of another system's answer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from postgres_server import PostgresServer
from pydantic import ValidationError

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Measurement, Minimum, Monitor, Snapshot, Window
from waystage.testing import FakeContext
from waystage_plugins.monitors import HttpMonitor, SqlMonitor

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
SNAPSHOT = Snapshot(name="fraud", version="1", digest="sha256:" + "0" * 64)


def week(number: int) -> Window:
    return Window(start=START + number * WEEK, end=START + (number + 1) * WEEK)


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, service="cc-fraud", stage="PROD", snapshot=SNAPSHOT)


def measured(monitor: Monitor, ctx: FakeContext, number: int) -> Measurement:
    return monitor.measure(ctx, week(number), Minimum())


@pytest.fixture
def warehouse(ctx: FakeContext) -> Path:
    place = ctx.project / "warehouse.db"
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("CREATE TABLE cases (closed TEXT, recovered REAL)")
        connection.executemany(
            "INSERT INTO cases VALUES (?, ?)",
            [((START + timedelta(days=n)).isoformat(), n) for n in range(14)],
        )
        connection.commit()
    return place


QUERY = (
    "SELECT AVG(recovered) AS value, COUNT(*) AS rows FROM cases "
    "WHERE closed >= :start AND closed < :end"
)


def sql(query: str = QUERY) -> SqlMonitor:
    return SqlMonitor(sqlite=Path("warehouse.db"), query=query)


def test_a_number_of_a_database_is_that_of_the_window(ctx: FakeContext, warehouse: Path) -> None:
    found = [measured(sql(), ctx, number) for number in (0, 1)]
    assert [each.value for each in found] == [3, 10]
    assert found[0].counts == {"rows": 7}
    few = sql().measure(ctx, week(0), Minimum(rows=8))
    assert "7 rows are fewer than the 8 needed" in few.insufficient


@pytest.mark.parametrize("query", ["SELECT AVG(recovered) AS value FROM cases WHERE 0",
                                   "SELECT recovered AS value FROM cases WHERE 0"])  # fmt: skip
def test_no_row_and_null_are_insufficient(ctx: FakeContext, warehouse: Path, query: str) -> None:
    assert measured(sql(query), ctx, 0).insufficient.endswith("the query gives no value")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT 'many' AS value", "`value` of the query is 'many', no number"),
        ("SELECT 9e999 AS value", "is inf, no finite number"),
        ("SELECT 1 AS number", "gives no `value`, only number"),
        ("SELECT recovered AS value FROM cases", "more than one row"),
        ("SELEC 1", "syntax error"),
        ("DELETE FROM cases", "readonly database"),
        ("SELECT 1 AS value; DROP TABLE cases", "one statement at a time"),
    ],
)
def test_what_is_no_number_is_an_error(
    ctx: FakeContext, warehouse: Path, query: str, why: str
) -> None:
    with pytest.raises(Hopeless, match=why):
        measured(sql(query), ctx, 0)
    assert measured(sql(), ctx, 0).value == 3  # nothing was written


def test_a_database_that_is_not_there_is_not_made(ctx: FakeContext) -> None:
    with pytest.raises(Hopeless, match=r"there is no database warehouse\.db"):
        measured(sql(), ctx, 0)
    assert not (ctx.project / "warehouse.db").exists()


def test_one_database_is_said() -> None:
    with pytest.raises(ValidationError, match="exactly one of sqlite, postgresql"):
        SqlMonitor(query="SELECT 1")


class _Kpi(BaseHTTPRequestHandler):
    answer = b'{"data": [{"rate": 0.25, "low": 0.2, "rows": 40}]}'
    status = 200
    seen: dict[str, Any] = {}  # one server at a time

    def do_GET(self) -> None:
        _Kpi.seen = {
            "query": parse_qs(urlsplit(self.path).query),
            "token": self.headers.get("Authorization"),
        }
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Any:
    server = HTTPServer(("127.0.0.1", 0), _Kpi)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/kpi"
    server.shutdown()
    thread.join()
    server.server_close()


def http(url: str, **more: Any) -> HttpMonitor:
    settings = {"url": url, "value": "data.0.rate", "allow_private": True}
    return HttpMonitor.model_validate(settings | more)


def test_a_number_of_another_system_is_asked_for_the_window(ctx: FakeContext, address: str) -> None:
    ctx.secrets["env/TOKEN"] = "open-sesame"
    asked = http(address, low="data.0.low", rows="data.0.rows", token={"secret": "env/TOKEN"})
    found = measured(asked, ctx, 0)
    assert (found.value, found.low, found.high, found.counts) == (0.25, 0.2, None, {"rows": 40})
    assert _Kpi.seen["token"] == "Bearer open-sesame"
    assert _Kpi.seen["query"] == {
        "start": ["2026-01-05T00:00:00+00:00"], "end": ["2026-01-12T00:00:00+00:00"],
        "service": ["cc-fraud"], "stage": ["PROD"], "snapshot": ["fraud/1"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "answer", "error", "why"),
    [
        (200, b'{"data": []}', Hopeless, r"the answer has no data\.0\.rate: there is no 0"),
        (200, b'{"data": [{"rate": "0.3"}]}', Hopeless, "is '0.3', no number"),
        (200, b'{"data": [{"rate": NaN}]}', Hopeless, "NaN is no JSON"),
        (200, b'{"data": [{"rate": true}]}', Hopeless, "is 'True', no number"),
        (200, b"<html>", Hopeless, "the answer is no JSON"),
        (200, b" " * 1_100_000, Hopeless, "more than 1,048,576 bytes"),
        (302, b"", Hopeless, "redirects are not followed"),
        (404, b"", Hopeless, "answered 404: it does not tell this number"),
        (503, b"", Retryable, "answered 503"),
        (503, b" " * 1_100_000, Retryable, "answered 503"),
        (404, b" " * 1_100_000, Hopeless, "answered 404: it does not tell this number"),
    ],
)
def test_an_answer_that_is_no_number_is_an_error(
    ctx: FakeContext, address: str, status: int, answer: bytes, error: type[Exception], why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(_Kpi, "status", status)
    monkeypatch.setattr(_Kpi, "answer", answer)
    with pytest.raises(error, match=why):
        measured(http(address), ctx, 0)


def test_null_is_insufficient(
    ctx: FakeContext, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Kpi, "answer", b'{"data": [{"rate": null}]}')
    assert measured(http(address), ctx, 0).insufficient.endswith("the answer gives no value")


def test_private_addresses_are_asked_only_if_that_is_meant(ctx: FakeContext, address: str) -> None:
    with pytest.raises(Hopeless, match="is the private address"):
        measured(http(address, allow_private=False), ctx, 0)


@pytest.fixture
def on_postgresql(ctx: FakeContext, shared_postgres: PostgresServer) -> FakeContext:
    import psycopg

    url = shared_postgres.database(empty=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE cases (closed TIMESTAMPTZ, recovered NUMERIC)")
        connection.cursor().executemany(
            "INSERT INTO cases VALUES (%s, %s)",
            [(START + timedelta(days=n), n) for n in range(14)],
        )
    ctx.secrets["env/WAREHOUSE"] = url
    return ctx


def postgresql(query: str = QUERY) -> SqlMonitor:
    place = {"postgresql": {"secret": "env/WAREHOUSE"}, "query": query}
    return SqlMonitor.model_validate(place)


def test_a_number_of_postgresql_is_that_of_the_window(on_postgresql: FakeContext) -> None:
    found = [measured(postgresql(), on_postgresql, number) for number in (0, 1)]
    assert [each.value for each in found] == [3, 10]
    percent = postgresql("SELECT 1::float AS value WHERE 'a%' LIKE 'a%' AND :service = 'cc-fraud'")
    assert measured(percent, on_postgresql, 0).value == 1


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("DELETE FROM cases", "read-only transaction"),
        ("SELECT 'NaN'::numeric AS value", "is NaN, no finite number"),
        ("SELEC 1", "syntax error"),
    ],
)
def test_postgresql_is_only_read_and_believed_in_numbers_alone(
    on_postgresql: FakeContext, query: str, why: str
) -> None:
    with pytest.raises(Hopeless, match=why):
        measured(postgresql(query), on_postgresql, 0)


def test_an_address_that_is_a_secret_is_not_told(ctx: FakeContext) -> None:
    ctx.secrets["env/WAREHOUSE"] = "postgresql://me:hunter2@127.0.0.1:1/warehouse"
    with pytest.raises(Retryable) as caught:
        measured(postgresql(), ctx, 0)
    assert "hunter2" not in str(caught.value)
