"""What the scoring log in PostgreSQL is like besides: its days, its roll-up, its server."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from postgres_server import PostgresServer
from pydantic import ValidationError

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Label, Outcome, ScoredRow, Slice, Tended
from waystage.testing import FakeContext
from waystage_plugins.scoring import PostgresqlScoringLog
from waystage_plugins.scoring.postgres import counting
from waystage_plugins.scoring.postgres.connect import Place, forget_connections, transaction

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = Slice("cc-fraud", "PROD", START, START + 7 * DAY, "fraud/1")
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5, {"income": 1.5})


def rows(count: int, days: int = 1) -> list[ScoredRow]:
    return [
        replace(ROW, request_id=f"r{n}", at=START + (n % days) * DAY, score=n / count)
        for n in range(count)
    ]


def sql(log: PostgresqlScoringLog, statement: str) -> list[Any]:
    with psycopg.connect(log.url, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {log.namespace}")
        found = connection.execute(statement)
        return found.fetchall() if found.description else []


def test_each_day_lies_in_partitions_of_its_own(postgresql: PostgresqlScoringLog) -> None:
    postgresql.append(rows(6, days=3))
    assert sql(postgresql, "SELECT count(*) FROM scored_20260106") == [(2,)]
    parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'scored'::regclass"
    assert sql(postgresql, parts) == [(3,)]


def test_days_past_keep_are_dropped_with_their_labels(postgresql: PostgresqlScoringLog) -> None:
    log = postgresql.model_copy(update={"keep": timedelta(days=2)})
    log.append(rows(8, days=4))
    log.append([replace(ROW, request_id="r0", role="challenger", at=START + 3 * DAY)])
    log.label(Label(f"r{n}", 1, START) for n in range(9))  # r8 is nobody's
    log.outcomes([Outcome("r1", 1.5, START)])
    assert log.tend(START + 4 * DAY + timedelta(hours=5)) == Tended(removed=4, rolled=3)
    assert log.tend(START + 4 * DAY + timedelta(hours=5)) == Tended()
    assert [row[0] for row in log.rows(WEEK)] == ["r2", "r6", "r3", "r7"]
    assert sql(log, "SELECT to_regclass('scored_20260105'), to_regclass('asked_20260106')") == [
        (None, None)
    ]
    # the label of r0 stays: a challenger answered it later, and that day is kept
    assert sql(log, "SELECT request_id FROM label ORDER BY 1") == [
        ("r0",), ("r2",), ("r3",), ("r6",), ("r7",)
    ]  # fmt: skip
    assert sql(log, "SELECT count(*) FROM true_value") == [(0,)]
    assert log.grouped(WEEK).n_event.sum() == 4


def test_a_whole_day_is_counted_once_until_something_of_it_changes(
    postgresql: PostgresqlScoringLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Any] = []
    packed = counting._packed

    def watched(connection: Any, rows: str, where: str, values: dict[str, Any]) -> Any:
        counted.append(values["day"].day)
        return packed(connection, rows, where, values)

    monkeypatch.setattr(counting, "_packed", watched)
    postgresql.append(rows(6, days=3))
    postgresql.label([Label("r0", 1, START)])
    assert postgresql.grouped(WEEK).labelled == 1
    assert counted == [5, 6, 7]
    assert postgresql.grouped(WEEK).labelled == 1
    assert counted == [5, 6, 7]
    postgresql.label([Label("r1", 1, START + 40 * DAY)])  # late: the request is of the 6th
    assert postgresql.grouped(WEEK).labelled == 2
    assert counted == [5, 6, 7, 6]
    postgresql.append([replace(ROW, request_id="late", at=START + 2 * DAY)])
    assert postgresql.grouped(WEEK).rows == 7
    assert counted == [5, 6, 7, 6, 7]


@pytest.mark.parametrize("few", [0, 10**9])
def test_labels_are_chosen_here_or_in_the_server_to_the_same_end(
    postgresql: PostgresqlScoringLog, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(counting, "FEW", few)
    postgresql.append(rows(6))
    others = [replace(ROW, request_id=f"o{n}", service="heloc") for n in range(6)]
    postgresql.append([*others, replace(ROW, request_id="r6", snapshot="fraud/2")])
    postgresql.label(Label(f"{name}{n}", n % 2, START) for n in (1, 2, 6) for name in "ro")
    found = postgresql.grouped(replace(WEEK, snapshot=None))
    told = zip(found.score.tolist(), found.n_event.tolist(), found.n_nonevent.tolist(), strict=True)
    assert [*told] == [(1 / 6, 1, 0), (2 / 6, 0, 1), (0.5, 0, 1)]
    assert (found.rows, found.labelled) == (7, 3)


def test_a_change_that_is_committed_while_a_day_is_counted_is_not_lost(
    postgresql: PostgresqlScoringLog,
) -> None:
    postgresql.append(rows(2))
    place = Place(postgresql.url, postgresql.namespace)
    with transaction(place, one_moment=True) as connection:
        connection.execute("SELECT count(*) FROM scored")  # the moment is taken here
        postgresql.label([Label("r1", 1, START)])
        counting.roll_up(connection, START.date(), 1)
    assert postgresql.grouped(WEEK).n_event.tolist() == [1]


def test_two_who_count_the_same_day_do_not_stand_in_each_others_way(
    postgresql: PostgresqlScoringLog,
) -> None:
    postgresql.append(rows(200, days=2))
    postgresql.label(Label(f"r{n}", n % 2, START) for n in range(200))
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(postgresql.grouped(WEEK).labelled))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    assert found == [200] * 6


def test_who_may_only_read_counts_all_the_same(postgresql: PostgresqlScoringLog) -> None:
    postgresql.append(rows(4))
    postgresql.label([Label("r1", 1, START)])
    name = postgresql.url.rpartition("/")[2]
    sql(postgresql, f"CREATE ROLE reader_{name} LOGIN")
    sql(postgresql, f"GRANT USAGE ON SCHEMA {postgresql.namespace} TO reader_{name}")
    sql(postgresql, f"GRANT SELECT ON ALL TABLES IN SCHEMA {postgresql.namespace} TO reader_{name}")
    reader = postgresql.model_copy(
        update={"url": postgresql.url.replace("waystage@", f"reader_{name}@")}
    )
    assert reader.grouped(WEEK).n_event.tolist() == [1]
    forget_connections(Place(reader.url, reader.namespace))
    sql(postgresql, f"DROP OWNED BY reader_{name}")


def test_every_version_of_a_label_is_kept(postgresql: PostgresqlScoringLog) -> None:
    postgresql.append([ROW])
    for event, days in ((1, 2), (0, 1), (0, 3), (0, 3)):
        postgresql.label([Label("r0", event, START + days * DAY)])
    versions = "SELECT event, at / 86400000000 FROM label_version ORDER BY at"
    assert sql(postgresql, versions) == [(0, 20459), (1, 20460)]
    assert sql(postgresql, "SELECT event, at / 86400000000 FROM label") == [(0, 20461)]


def test_labels_may_be_inserted_by_sql(postgresql: PostgresqlScoringLog) -> None:
    postgresql.append(rows(3))
    sql(
        postgresql,
        "INSERT INTO label_inbox (request_id, event, at) VALUES "
        "('r0', 1, '2026-02-01 12:00:00.000001+01'), ('r1', 0, now()), ('nobody', 1, now())",
    )
    assert postgresql.grouped(WEEK).labelled == 2
    assert sql(postgresql, "SELECT count(*) FROM label_inbox") == [(0,)]
    assert postgresql.newest_label(replace(WEEK, end=START + timedelta(microseconds=1)))
    assert sql(postgresql, "SELECT at % 1000000 FROM label WHERE request_id = 'r0'") == [(1,)]
    assert postgresql.unknown() == 1
    with pytest.raises(psycopg.errors.CheckViolation):
        sql(postgresql, "INSERT INTO label_inbox (request_id, event) VALUES ('r2', 2)")


def test_true_values_may_be_inserted_by_sql(postgresql: PostgresqlScoringLog) -> None:
    postgresql.append(rows(3))
    sql(
        postgresql,
        "INSERT INTO value_inbox (request_id, value, at) VALUES ('r0', 1.5, '2026-02-01'), "
        "('r0', 9, '2026-01-01'), ('r1', -2, now()), ('nobody', 3, now())",
    )
    assert [(row[0], row[4]) for row in postgresql.valued_rows(WEEK)] == [("r0", 1.5), ("r1", -2)]
    assert sql(postgresql, "SELECT count(*) FROM value_inbox") == [(0,)]
    with pytest.raises(psycopg.errors.CheckViolation):
        sql(postgresql, "INSERT INTO value_inbox (request_id, value) VALUES ('r2', 'NaN')")


def test_what_is_inserted_with_a_wrong_time_is_refused_with_its_row(
    postgresql: PostgresqlScoringLog,
) -> None:
    postgresql.append(rows(1))
    for inbox in ("label_inbox (request_id, event, at)", "value_inbox (request_id, value, at)"):
        for at in ("2999-01-01", "infinity", "-infinity", "1970-01-01"):
            with pytest.raises(psycopg.errors.CheckViolation) as refused:
                sql(postgresql, f"INSERT INTO {inbox} VALUES ('r0', 1, now()), ('r0', 0, '{at}')")
            assert '"at_is_from_2000_to_a_day_after_now"' in str(refused.value)
            assert f"Failing row contains (r0, 0, {at}" in str(refused.value)
        sql(postgresql, f"INSERT INTO {inbox} VALUES ('r0', 1, now() + interval '23 hours')")
    assert postgresql.grouped(WEEK).labelled == 1
    assert [row[4] for row in postgresql.valued_rows(WEEK)] == [1.0]


def test_old_true_values_go_with_their_requests_and_where_nobody_asked(
    postgresql: PostgresqlScoringLog,
) -> None:
    late = replace(ROW, request_id="late", at=START + 30 * DAY)
    postgresql.append([ROW, late])
    old, new = START + DAY, START + 30 * DAY
    told = (("r0", old), ("late", old), ("nobody", old), ("to come", new))
    postgresql.outcomes([Outcome(name, 1.0, at) for name, at in told])
    postgresql.model_copy(update={"keep": 10 * DAY}).tend(START + 31 * DAY)
    kept = "SELECT request_id FROM true_value ORDER BY request_id"
    assert sql(postgresql, kept) == [("late",), ("to come",)]


def test_labels_and_requests_that_cross_each_other_find_each_other(
    postgresql: PostgresqlScoringLog,
) -> None:
    count = 150

    def told() -> None:
        for n in range(count):
            postgresql.label([Label(f"r{n}", 1, START)])

    labelling = threading.Thread(target=told)
    labelling.start()
    for row in rows(count):
        postgresql.append([row])
    labelling.join(timeout=300)
    assert postgresql.counts(WEEK) == (count, count)
    assert postgresql.unknown() == 0


def test_whose_request_it_is_can_be_asked(postgresql: PostgresqlScoringLog) -> None:
    other = replace(ROW, request_id="theirs", service="heloc")
    both = [replace(ROW, request_id="both", service=s) for s in ("cc-fraud", "heloc")]
    postgresql.append([ROW, other, *both])
    asked = ["r0", "theirs", "both", "nobody"]
    assert postgresql.foreign(asked, "cc-fraud") == ["theirs"]
    assert postgresql.foreign(asked, "heloc") == ["r0"]


def test_true_values_and_newest_are_told(postgresql: PostgresqlScoringLog) -> None:
    postgresql.append(rows(3, days=3))
    assert postgresql.outcomes([Outcome("r0", 9.0, START), Outcome("r0", 1.5, START + DAY)]) == 1
    assert postgresql.outcomes([Outcome("r0", 9.0, START)]) == 0
    assert list(postgresql.valued(WEEK)) == [(0.0, 1.5), (1 / 3, None), (2 / 3, None)]
    assert postgresql.newest(WEEK) == START + 2 * DAY
    assert postgresql.newest_label(WEEK) is None
    postgresql.append([replace(ROW, request_id="none", score=None)])
    assert list(postgresql.scores(WEEK)) == [(0.0, 1), (1 / 3, 1), (2 / 3, 1), (None, 1)]


def test_what_the_server_cannot_keep_is_named(postgresql: PostgresqlScoringLog) -> None:
    with pytest.raises(Hopeless, match="cannot keep this"):
        postgresql.append([replace(ROW, request_id="a\x00b")])
    with pytest.raises(Hopeless, match="has 1001 characters; 1000 are the most"):
        postgresql.append([replace(ROW, request_id="x" * 1001)])
    assert postgresql.append([ROW]) == 1


def test_a_password_in_the_url_is_refused() -> None:
    with pytest.raises(ValidationError, match="set PGPASSWORD or PGPASSFILE"):
        PostgresqlScoringLog(url="postgresql://me:secret@db.example/scores")


def test_a_newer_version_is_refused_in_one_line(postgresql: PostgresqlScoringLog) -> None:
    postgresql.append([ROW])
    sql(postgresql, "UPDATE log_version SET version = 9")
    newer = postgresql.model_copy(update={"url": f"{postgresql.url}?application_name=other"})
    with pytest.raises(Hopeless, match="has version 9, this Waystage knows 1: update") as caught:
        newer.append([ROW])
    assert "\n" not in str(caught.value)


def test_a_server_that_was_restarted_is_found_again(tmp_path: Any) -> None:
    server = PostgresServer()
    try:
        log = PostgresqlScoringLog(url=server.database(empty=True))
        log.append(rows(3))
        server.stop(signal.SIGQUIT)
        with pytest.raises(Retryable, match=r"scoring log 127\.0\.0\.1:\d+/test_1"):
            log.append([replace(ROW, request_id="meanwhile")])
        assert "schema waystage_scores" in log.diagnose(FakeContext(tmp_path))[0]
        server.start()
        assert log.append([replace(ROW, request_id="after")]) == 1
        assert log.counts(WEEK) == (4, 0)
        assert log.diagnose(FakeContext(tmp_path)) == []
        forget_connections(Place(log.url, log.namespace))
    finally:
        server.remove()
