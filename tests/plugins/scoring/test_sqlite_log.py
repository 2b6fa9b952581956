"""What the scoring log in SQLite is like besides: its file, its locks, its index."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Label, ScoredRow, Slice, Tended
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = Slice("cc-fraud", "PROD", START, START + 7 * DAY, "fraud/1")
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5, {"income": 1.5})


@pytest.fixture
def log(tmp_path: Path) -> SqliteScoringLog:
    return SqliteScoringLog(path=tmp_path / "scores.db")


def test_many_may_make_the_log_at_once(tmp_path: Path) -> None:
    writers, rounds = 8, 15
    barrier = Barrier(writers)

    def write(number: int, path: Path) -> int:
        barrier.wait(timeout=120)
        return SqliteScoringLog(path=path).append([replace(ROW, request_id=f"r{number}")])

    with ThreadPoolExecutor(writers) as pool:
        for n in range(rounds):
            path = tmp_path / f"{n}.db"
            assert list(pool.map(write, range(writers), [path] * writers)) == [1] * writers


def test_a_newer_schema_is_refused_in_one_line(log: SqliteScoringLog) -> None:
    log.append([ROW])
    connection = sqlite3.connect(log.path)
    connection.execute("PRAGMA user_version=9")
    connection.close()
    with pytest.raises(Hopeless, match=r"has schema 9, this Waystage knows 1: update") as caught:
        log.append([ROW])
    assert "\n" not in str(caught.value)


def test_another_database_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE scored (mine TEXT)")
    connection.close()
    with pytest.raises(Hopeless, match="no scoring log but another database"):
        SqliteScoringLog(path=path).append([ROW])


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.db"
    path.write_text("request_id,score\n" * 1000)
    with pytest.raises(Hopeless, match=r"scores\.db: file is not a database"):
        SqliteScoringLog(path=path).counts(WEEK)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(Hopeless, match=r"there is no directory .*nowhere"):
        SqliteScoringLog(path=tmp_path / "nowhere" / "scores.db").counts(WEEK)


def test_a_log_that_others_hold_is_worth_another_try(
    log: SqliteScoringLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([ROW])
    monkeypatch.setattr("waystage_plugins.scoring.database.BUSY_SECONDS", 0.01)
    other = sqlite3.connect(log.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(Retryable, match="database is locked"):
            log.append([replace(ROW, request_id="r1")])
    finally:
        other.close()
    assert log.append([replace(ROW, request_id="r1")]) == 1


def test_what_is_committed_is_synced(log: SqliteScoringLog) -> None:
    from waystage_plugins.scoring.database import opened

    with opened(log.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_statistics_read_the_index_alone(log: SqliteScoringLog) -> None:
    from waystage_plugins.scoring.database import opened
    from waystage_plugins.scoring.select import TOLD, query

    sql, values = query(TOLD, WEEK)
    with opened(log.path) as connection:
        plan = str(connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())
    assert "USING COVERING INDEX by_time (service=? AND stage=? AND at>? AND at<?)" in plan


def test_rows_past_keep_are_removed_with_their_labels(tmp_path: Path) -> None:
    log = SqliteScoringLog(path=tmp_path / "scores.db", keep=timedelta(days=2))
    log.append(replace(ROW, request_id=f"r{n}", at=START + n * DAY) for n in range(4))
    log.label(Label(f"r{n}", 1, START) for n in range(5))
    assert log.unknown() == 1
    assert log.tend(START + 4 * DAY + timedelta(hours=5)) == Tended(removed=2, rolled=2)
    assert log.tend(START + 4 * DAY + timedelta(hours=5)) == Tended()
    assert [row[0] for row in log.rows(WEEK)] == ["r2", "r3"]
    assert (log.counts(WEEK), log.unknown()) == ((2, 2), 0)


def test_whose_request_it_is_can_be_asked_of_a_file(log: SqliteScoringLog) -> None:
    other = replace(ROW, request_id="theirs", service="heloc")
    both = [replace(ROW, request_id="both", service=s) for s in ("cc-fraud", "heloc")]
    log.append([ROW, other, *both])
    assert log.foreign(["r0", "theirs", "both", "nobody"], "cc-fraud") == ["theirs"]
