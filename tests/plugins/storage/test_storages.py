"""Objects and tables hold what was written: whole, once per key, or not at all."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from postgres_server import NoServer, PostgresServer

from waystage.errors import Conflict, Hopeless, NotFound, Retryable
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import killed_at_each_line
from waystage.testing.storage_contracts import check_storage
from waystage_plugins.storage import PostgresTables, S3Bucket, SqliteTables, sqlite, tables
from waystage_plugins.storage.address import parse
from waystage_plugins.storage.files import file_digest, write_file

ROWS: Any = ([{"id": 1, "score": 0.5}, {"id": 2, "score": None}], [{"id": 3, "score": 1.0}])


@pytest.fixture
def warehouse(ctx: FakeContext) -> SqliteTables:
    with closing(sqlite3.connect(ctx.project / "warehouse.db")) as database:
        database.execute("CREATE TABLE scores (id INTEGER, score REAL)")
    return SqliteTables(path="warehouse.db", queries={"high": "SELECT id FROM scores WHERE id > 1"})


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    try:
        server = PostgresServer()
    except NoServer as error:
        pytest.skip(f"NOT TESTED: {error}")
    yield server
    server.remove()


def lines(ctx: FakeContext, *rows: Any, name: str = "given.jsonl") -> Path:
    place = ctx.scratch / name
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def read(storage: Any, ctx: FakeContext, path: str) -> list[Any]:
    into = ctx.scratch / "into"
    into.unlink(missing_ok=True)
    storage.read(ctx, path, into)
    return [json.loads(line) for line in into.read_text().splitlines()]


def test_a_bucket_holds_to_the_contract(bucket: S3Bucket, ctx: FakeContext) -> None:
    check_storage(bucket, ctx, "a/scores.jsonl", ROWS, missing="nothing.jsonl")
    assert bucket.diagnose(ctx) == []


def test_a_sqlite_file_holds_to_the_contract(warehouse: SqliteTables, ctx: FakeContext) -> None:
    check_storage(warehouse, ctx, "scores", ROWS, missing="nothing", adds=True)
    assert warehouse.diagnose(ctx) == []


def test_a_postgresql_database_holds_to_the_contract(
    postgres: PostgresServer, ctx: FakeContext
) -> None:
    import psycopg

    url = postgres.database(empty=True)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA risk")
        connection.execute("CREATE TABLE risk.scores (id bigint, score double precision)")
    storage = PostgresTables(address=url)
    check_storage(storage, ctx, "risk.scores", ROWS, missing="risk.nothing", adds=True)
    assert storage.diagnose(ctx) == []


def test_values_of_a_postgresql_table_come_as_json(
    postgres: PostgresServer, ctx: FakeContext
) -> None:
    import psycopg

    url = postgres.database(empty=True)
    query = (
        "SELECT 12.50::numeric AS amount, 7::numeric AS whole, 'NaN'::float8 AS none, "
        "date '2026-01-05' AS day, true AS owner, '{\"a\": [1]}'::jsonb AS more"
    )
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE many AS SELECT g AS id FROM generate_series(1, 2500) g")
    storage = PostgresTables(address=url, queries={"kinds": query})
    told = {"amount": 12.5, "whole": 7, "none": None, "day": "2026-01-05", "owner": True}
    assert read(storage, ctx, "kinds") == [told | {"more": {"a": [1]}}]
    assert len(read(storage, ctx, "many")) == 2500


def test_names_of_columns_may_hold_any_character(
    postgres: PostgresServer, ctx: FakeContext
) -> None:
    import psycopg

    url = postgres.database(empty=True)
    with psycopg.connect(url) as connection:
        connection.execute('CREATE TABLE odd ("share %s" int, "a""b" text)')
    storage = PostgresTables(address=url)
    row = {"share %s": 7, 'a"b': "x"}
    storage.write(ctx, lines(ctx, row), "odd", key="k", replace=False)
    assert read(storage, ctx, "odd") == [row]


def test_two_writers_of_one_key_add_its_rows_once(
    postgres: PostgresServer, ctx: FakeContext
) -> None:
    import psycopg

    url = postgres.database(empty=True)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE scores (id bigint)")
    given = lines(ctx, *({"id": n} for n in range(3000)))
    code = (
        "import sys, pathlib; from waystage.testing import FakeContext;"
        "from waystage_plugins.storage import PostgresTables;"
        "PostgresTables(address=sys.argv[1]).write(FakeContext(pathlib.Path(sys.argv[2])),"
        " pathlib.Path(sys.argv[3]), 'scores', key='k', replace=False)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, url, str(ctx.root), str(given)])
        for _ in range(2)
    ]
    assert [each.wait(60) for each in both] == [0, 0]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM scores").fetchone() == (3000,)


def test_a_daemon_killed_at_any_line_of_writing_a_table_leaves_all_rows_or_none(
    warehouse: SqliteTables, ctx: FakeContext
) -> None:
    given = lines(ctx, *({"id": n, "score": 0.5} for n in range(20)))

    def write() -> None:
        warehouse.write(ctx, given, "scores", key="k", replace=False)

    files = [str(tables.__file__), str(sqlite.__file__)]
    died = 0
    for line in killed_at_each_line(write, of=files, every=5):
        assert len(read(warehouse, ctx, "scores")) in (0, 20), f"killed at line {line}"
        died += 1
    assert died > 3
    write()
    assert len(read(warehouse, ctx, "scores")) == 20


def test_a_named_query_is_read_and_never_written(warehouse: SqliteTables, ctx: FakeContext) -> None:
    warehouse.write(ctx, lines(ctx, *ROWS[0]), "scores", key="k", replace=False)
    assert read(warehouse, ctx, "high") == [{"id": 2}]
    with pytest.raises(Hopeless, match="high is a query: rows can only be written to a table"):
        warehouse.write(ctx, lines(ctx, {"id": 1}), "high", key="k2", replace=False)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"idd": 1}], r"table scores has no column 'idd' \(it has id, score\)"),
        ([{"id": 1}, {"score": 1}], "rows for table scores differ: one has id, one score"),
        ([3], r"line 1: is not an object that names its columns"),
    ],
)
def test_rows_that_do_not_fit_leave_the_table_as_it_was(
    warehouse: SqliteTables, ctx: FakeContext, rows: list[Any], told: str
) -> None:
    with pytest.raises(Hopeless, match=told):
        warehouse.write(ctx, lines(ctx, *rows), "scores", key="k", replace=True)
    assert read(warehouse, ctx, "scores") == []
    assert warehouse.digest(ctx, "scores", key="k") is None


def test_names_of_tables_are_names_and_no_statements(
    warehouse: SqliteTables, ctx: FakeContext
) -> None:
    bad = 'scores"; DROP TABLE scores; --'
    assert "is no name of a table" in warehouse.check(bad)
    with pytest.raises(Hopeless, match="is no name of a table"):
        warehouse.read(ctx, bad, ctx.scratch / "x")


def test_a_locked_database_may_be_tried_again(
    warehouse: SqliteTables, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(ctx.project / "warehouse.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Retryable, match="locked"):
            warehouse.write(ctx, lines(ctx, {"id": 1}), "scores", key="k", replace=False)


def test_a_database_that_does_not_answer_may_be_tried_again_and_its_password_is_not_told(
    ctx: FakeContext,
) -> None:
    ctx.secrets["env/DB"] = "geheim-und-lang"
    settings = {"address": "postgresql://me@127.0.0.1:1/w", "password": {"secret": "env/DB"}}
    storage = PostgresTables.model_validate(settings)
    with pytest.raises(Retryable, match=r"database 127\.0\.0\.1/w: ") as caught:
        storage.read(ctx, "t", ctx.scratch / "x")
    assert "geheim" not in str(caught.value)
    with pytest.raises(ValueError, match="holds a password"):
        PostgresTables(address="postgresql://me:it@db/w")


def test_what_a_bucket_refuses_is_told_in_one_line(bucket: S3Bucket, ctx: FakeContext) -> None:
    with pytest.raises(NotFound, match=r"s3 object lake/.*/none: is not there"):
        bucket.read(ctx, "none", ctx.scratch / "x")
    other = bucket.model_copy(update={"bucket": "no-such-bucket"})
    with pytest.raises(NotFound, match="the bucket is not there"):
        other.write(ctx, lines(ctx, {"a": 1}), "x", key="k", replace=False)
    away = bucket.model_copy(update={"endpoint": "http://127.0.0.1:1"})
    with pytest.raises(Retryable, match=r"s3 object lake/.*x: ") as caught:
        away.read(ctx, "x", ctx.scratch / "y")
    assert "\n" not in str(caught.value)
    assert away.diagnose(ctx) != []


def test_an_object_that_comes_between_looking_and_writing_is_not_overwritten(
    bucket: S3Bucket, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = lines(ctx, {"of": "somebody else"}, name="theirs")
    bucket.write(ctx, theirs, "x", key="theirs", replace=False)
    monkeypatch.setattr(S3Bucket, "_attributes", lambda *_: None)  # it looked before
    with pytest.raises(Conflict, match="is there already with other content"):
        bucket.write(ctx, lines(ctx, {"a": 1}), "x", key="k", replace=False)
    assert bucket.digest(ctx, "x", key="theirs") == file_digest(theirs)


def test_a_large_object_goes_in_parts(
    bucket: S3Bucket, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from waystage_plugins.storage import s3

    monkeypatch.setattr(s3, "IN_ONE_PIECE", 1 << 20)
    given = ctx.scratch / "large"
    given.write_bytes(bytes(range(256)) * 50_000)
    bucket.write(ctx, given, "large", key="k", replace=False)
    assert bucket.digest(ctx, "large", key="k") == file_digest(given)


def test_keys_go_to_no_server_in_clear() -> None:
    with pytest.raises(ValueError, match="others need https"):
        S3Bucket(bucket="lake", endpoint="http://objects.example")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("data/rows.jsonl", ("data/rows.jsonl", "", "file")),
        ("file:data/rows.jsonl", ("data/rows.jsonl", "", "file")),
        ("file:///srv/rows.jsonl", ("/srv/rows.jsonl", "", "file")),
        ("s3://lake/a/b.jsonl", ("a/b.jsonl", "lake", "s3")),
        ("table://warehouse/risk.scores", ("risk.scores", "warehouse", "table")),
    ],
)
def test_addresses_are_read(text: str, found: tuple[str, str, str]) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    "text", ["s3://lake", "s3:/x", "lake:x", "s3:///x", "file:", "file://host/x", "S3://a/b"]
)
def test_what_is_no_address_is_told_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"write .*file:PATH"):
        parse(text)


def test_a_daemon_killed_at_any_line_of_writing_a_file_leaves_it_whole_or_not_there(
    ctx: FakeContext,
) -> None:
    from waystage_plugins.storage import files

    given, target = lines(ctx, *ROWS[0]), ctx.project / "out" / "scores.jsonl"

    def write() -> None:
        write_file(given, target, key="k", replace=False)

    for line in killed_at_each_line(write, of=[str(files.__file__)]):
        assert not target.exists() or target.read_bytes() == given.read_bytes(), line
        target.unlink(missing_ok=True)
    write()
    assert [path.name for path in target.parent.iterdir()] == ["scores.jsonl"]
    with pytest.raises(Conflict, match="is there already with other content"):
        write_file(lines(ctx, {"a": 1}, name="other"), target, key="k2", replace=False)
    write_file(lines(ctx, {"a": 1}, name="other"), target, key="k2", replace=True)
    assert json.loads(target.read_text()) == {"a": 1}
