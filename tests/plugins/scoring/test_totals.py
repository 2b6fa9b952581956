"""Rows and labels are counted from what is kept of whole days, and are right in any case."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from waystage.plugin import Label, ScoredRow, ScoringLog, Slice
from waystage_plugins.scoring import PostgresqlScoringLog, SqliteScoringLog
from waystage_plugins.scoring.postgres.connect import Place, transaction

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = Slice("cc-fraud", "PROD", START, START + 7 * DAY, "fraud/1")
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5)


@pytest.fixture
def filled(log: ScoringLog) -> ScoringLog:
    """Give a log with six rows of three days, two with a label and one without a score."""
    log.append(
        replace(ROW, request_id=f"r{n}", at=START + (n % 3) * DAY, score=n / 6 if n else None)
        for n in range(6)
    )
    log.label([Label("r0", 1, START), Label("r1", 0, START)])
    return log


def sql(log: ScoringLog, statement: str) -> None:
    if isinstance(log, SqliteScoringLog):
        with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
            connection.execute(statement)
    else:
        assert isinstance(log, PostgresqlScoringLog)
        with transaction(Place(log.url, log.namespace)) as connection:
            connection.execute(statement)  # type: ignore[call-overload]  # psycopg wants a literal


def test_what_is_kept_of_whole_days_is_added_up(filled: ScoringLog) -> None:
    assert filled.counts(WEEK) == (6, 2)  # nothing is kept yet
    filled.grouped(WEEK)
    assert filled.counts(WEEK) == (6, 2)
    sql(filled, "UPDATE daily SET rows = rows + 100, labelled = labelled + 10")
    assert filled.counts(WEEK) == (306, 32), "the roll-up was not used"
    assert filled.counts(replace(WEEK, snapshot=None)) == (306, 32)
    assert filled.counts(replace(WEEK, snapshot="fraud/2")) == (0, 0)
    assert filled.counts(replace(WEEK, role="challenger")) == (0, 0)
    assert filled.counts(replace(WEEK, role=None)) == (6, 2), "a request of several days is one"


def test_parts_of_days_and_days_that_changed_are_counted_from_rows(filled: ScoringLog) -> None:
    filled.grouped(WEEK)
    sql(filled, "UPDATE daily SET rows = rows + 100")
    afternoon = replace(WEEK, start=START + DAY / 2, end=START + 2 * DAY + DAY / 2)
    assert filled.counts(afternoon) == (104, 1)  # the 6th is kept, the 7th is not whole
    filled.append([replace(ROW, request_id="late", at=START + DAY)])
    assert filled.counts(afternoon) == (5, 1)
    filled.label([Label("r2", 1, START)])
    assert filled.counts(WEEK) == (107, 3)  # the 5th alone stands
