"""The roll-up of the SQLite log: used while it stands, and never wrong, whatever happens."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from waystage.plugin import Label, ScoredRow, Slice
from waystage_plugins.scoring import SqliteScoringLog, daily
from waystage_plugins.scoring.database import opened

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = Slice("cc-fraud", "PROD", START, START + 7 * DAY, "fraud/1")
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5, {"income": 1.5})


@pytest.fixture
def log(tmp_path: Path) -> SqliteScoringLog:
    """Give a log with six rows of three days, two of them with a label."""
    log = SqliteScoringLog(path=tmp_path / "scores.db")
    log.append(replace(ROW, request_id=f"r{n}", at=START + (n % 3) * DAY, score=n / 6)
               for n in range(6))  # fmt: skip
    log.label([Label("r0", 1, START), Label("r1", 0, START)])
    return log


def told(log: SqliteScoringLog, which: Slice = WEEK) -> tuple[list[list[float]], int, int]:
    found = log.grouped(which)
    columns = (found.score, found.n_event, found.n_nonevent)
    return [each.tolist() for each in columns], found.rows, found.labelled


def sql(log: SqliteScoringLog, statement: str) -> list[Any]:
    with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the days of January of which rows are read."""
    days: list[int] = []
    by_snapshot = daily._by_snapshot

    def watched(connection: sqlite3.Connection, which: Slice) -> Any:
        days.append(which.start.day)
        return by_snapshot(connection, which)

    monkeypatch.setattr(daily, "_by_snapshot", watched)
    return days


def test_a_day_of_a_file_is_read_once_until_something_of_it_changes(
    log: SqliteScoringLog, counted: list[int]
) -> None:
    expected = ([[0.0, 1 / 6], [1, 0], [0, 1]], 6, 2)
    assert told(log) == told(log) == expected
    assert counted == [5, 6, 7]
    log.append([ROW])  # it is there already
    log.label([Label("r0", 1, START), Label("r0", 0, START - DAY)])  # known, and too late
    assert told(log) == expected
    assert counted == [5, 6, 7]
    log.label([Label("r1", 1, START + 40 * DAY)])  # a correction of the 6th
    assert told(log) == ([[0.0, 1 / 6], [1, 1], [0, 0]], 6, 2)
    assert counted == [5, 6, 7, 6]
    log.label([Label("nobody", 1, START), Label("late", 1, START)])
    log.append([replace(ROW, request_id="late", at=START + 2 * DAY)])
    assert told(log)[1:] == (7, 3)
    assert counted == [5, 6, 7, 6, 7]


def test_parts_of_days_and_other_roles_are_counted_from_rows(
    log: SqliteScoringLog, counted: list[int]
) -> None:
    log.append([replace(ROW, role="challenger"), replace(ROW, request_id="r9", stage="SIT")])
    afternoon = replace(WEEK, start=START - DAY / 2, end=START + DAY * 3 / 2)
    assert told(log, afternoon)[1:] == (4, 2)
    assert told(log, afternoon)[1:] == (4, 2)
    assert counted == [5, 6, 6]  # the 5th is whole, and kept
    assert told(log, replace(WEEK, role="challenger"))[1:] == (1, 1)
    assert told(log, replace(WEEK, role=None))[1:] == (6, 2)
    assert told(log, replace(WEEK, snapshot="fraud/2"))[1:] == (0, 0)


def test_what_others_write_by_sql_is_counted(log: SqliteScoringLog) -> None:
    told(log)
    sql(log, "INSERT INTO label VALUES ('r2', 1, 0)")
    assert told(log)[2] == 3
    sql(log, "UPDATE label SET event = 0 WHERE request_id = 'r2'")
    assert told(log)[0] == [[0.0, 1 / 6, 2 / 6], [1, 0, 0], [0, 1, 1]]
    sql(log, "DELETE FROM label WHERE request_id = 'r2'")
    assert told(log)[2] == 2
    sql(log, "DELETE FROM scored WHERE request_id = 'r0'")
    assert told(log)[1:] == (5, 1)


def test_a_file_from_before_there_was_a_roll_up_gets_one(
    log: SqliteScoringLog, counted: list[int]
) -> None:
    for (name,) in sql(log, "SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        sql(log, f"DROP TRIGGER {name}")
    sql(log, "DROP TABLE rolled")
    sql(log, "DROP TABLE daily")
    assert told(log)[1:] == told(log)[1:] == (6, 2)
    assert counted == [5, 6, 7]
    log.label([Label("r2", 1, START)])
    assert told(log)[2] == 3


def test_a_change_while_a_day_of_a_file_is_counted_is_not_lost(
    log: SqliteScoringLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_snapshot, late = daily._by_snapshot, [Label("r3", 1, START)]

    def slow(connection: sqlite3.Connection, which: Slice) -> Any:
        found = by_snapshot(connection, which)
        while late:
            log.label([late.pop()])
        return found

    monkeypatch.setattr(daily, "_by_snapshot", slow)
    assert told(log)[2] == 3
    assert told(log)[2] == 3


def test_of_two_who_count_a_day_of_a_file_the_older_look_is_not_kept(
    log: SqliteScoringLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_snapshot, others = daily._by_snapshot, [True]

    def slow(connection: sqlite3.Connection, which: Slice) -> Any:
        found = by_snapshot(connection, which)
        while others:
            others.pop()
            log.label([Label("r3", 1, START)])
            assert told(log)[2] == 3  # somebody else takes the day, and keeps it
        return found

    monkeypatch.setattr(daily, "_by_snapshot", slow)
    assert told(log)[2] == 3
    monkeypatch.undo()
    assert told(log)[2] == 3


def test_who_cannot_write_counts_all_the_same(
    log: SqliteScoringLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily, "PATIENCE", 0.0)
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert told(log)[1:] == (6, 2)
        other.execute("ROLLBACK")
    assert sql(log, "SELECT count(*) FROM rolled") == [(0,)]


def test_who_is_killed_at_any_statement_leaves_a_log_that_counts_right(
    log: SqliteScoringLog,
) -> None:
    for last in range(1, 200):
        log.label([Label("r2", last % 2, START + last * DAY)])
        finished = _counts_and_dies(log, last)
        expected = ([[0.0, 1 / 6, 2 / 6], [1, 0, last % 2], [0, 1, 1 - last % 2]], 6, 3)
        assert told(log) == expected, f"killed at statement {last}"
        if finished:
            assert last > 15
            return
    pytest.fail("the child never came to its end")


def _counts_and_dies(log: SqliteScoringLog, last: int) -> bool:
    """Count in a process that ends before its statement number `last`; True if it had fewer."""
    child = os.fork()
    if child == 0:
        left = iter(range(last - 1))

        def look(statement: str) -> None:
            if next(left, None) is None:
                os._exit(9)

        @contextmanager
        def traced(path: Path, busy: float | None = None) -> Iterator[sqlite3.Connection]:
            with opened(path, busy) as connection:
                connection.set_trace_callback(look)
                yield connection

        try:
            pytest.MonkeyPatch().setattr(daily, "opened", traced)
            told(log)
            os._exit(0)
        finally:
            os._exit(1)  # which the parent takes for a failure
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), "counting failed in the child"
    return code == 0
