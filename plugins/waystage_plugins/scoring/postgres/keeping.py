"""What is done from time to time: old days dropped, days that ended counted, labels taken in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from waystage.plugin import Tended
from waystage_plugins.scoring.encode import microseconds
from waystage_plugins.scoring.postgres.connect import Place, connected, within
from waystage_plugins.scoring.postgres.counting import counted_elsewhere, roll_up
from waystage_plugins.scoring.postgres.tables import drop_day, lock_labels, lock_shape
from waystage_plugins.scoring.postgres.writing import day_of, take_inbox, take_value_inbox

if TYPE_CHECKING:
    from psycopg import Connection

INBOX_AT_ONCE = 20_000
DAYS_AT_ONCE = 400
LOCK_SECONDS = 10  # who reads is not kept waiting for longer by a day that is to be dropped

FORGET = """
WITH gone AS (DELETE FROM request WHERE day = %(day)s RETURNING request_id), lost AS (
    SELECT request_id FROM gone WHERE NOT EXISTS (
        SELECT FROM request r WHERE r.request_id = gone.request_id AND r.day <> %(day)s)
), labels AS (
    DELETE FROM label l USING lost WHERE l.request_id = lost.request_id
), versions AS (
    DELETE FROM label_version v USING lost WHERE v.request_id = lost.request_id
), outcomes AS (
    DELETE FROM true_value v USING lost WHERE v.request_id = lost.request_id
)
SELECT count(*) FROM gone
"""
UNKNOWN = "DELETE FROM label WHERE NOT known AND at < %s"
UNKNOWN_VALUES = """
DELETE FROM true_value v WHERE at < %s
AND NOT EXISTS (SELECT FROM request r WHERE r.request_id = v.request_id)
"""
WAITING = """
SELECT DISTINCT day, place FROM changed WHERE day < %s ORDER BY day DESC, place LIMIT %s
"""


def take_labels(place: Place) -> int:
    """Take all labels that somebody inserted by SQL; answers how many."""
    return _taken(take_inbox, place)


def take_values(place: Place) -> int:
    """Take all true values that somebody inserted by SQL; answers how many."""
    return _taken(take_value_inbox, place)


def _taken(take: Callable[[Connection[Any], Place, int], int], place: Place) -> int:
    taken = 0
    with connected(place) as connection:
        while some := take(connection, place, INBOX_AT_ONCE):
            taken += some
    return taken


def tend(place: Place, now: datetime, keep: timedelta | None) -> Tended:
    """Take labels in, drop the days that are older than `keep`, count the days that ended."""
    take_labels(place)
    take_values(place)
    with connected(place) as connection:
        removed = _drop(connection, place, now - keep) if keep else 0
        return Tended(removed, _count_ended(connection, place, day_of(microseconds(now, "now"))))


def _drop(connection: Connection[Any], place: Place, before: datetime) -> int:
    removed, at = 0, microseconds(before, "the oldest row that is kept")
    with within(connection, place):
        old = connection.execute("SELECT day FROM kept_day WHERE day < %s", (day_of(at),))
        days: list[date] = [day for (day,) in old]
    for day in sorted(days):
        with within(connection, place):
            connection.execute(f"SET LOCAL lock_timeout TO '{LOCK_SECONDS}s'")
            lock_shape(connection, place.namespace)
            lock_labels(connection, place.namespace)
            ((rows,),) = connection.execute(FORGET, {"day": day})
            drop_day(connection, day)
            removed += rows
    with within(connection, place):
        connection.execute(UNKNOWN, (at,))
        connection.execute(UNKNOWN_VALUES, (at,))
    return removed


def _count_ended(connection: Connection[Any], place: Place, today: date) -> int:
    with within(connection, place):
        waiting = connection.execute(WAITING, (today, DAYS_AT_ONCE)).fetchall()
    counted = 0
    for day, number in waiting:
        try:
            with within(connection, place, one_moment=True):
                roll_up(connection, day, number)
            counted += 1
        except counted_elsewhere():
            continue
    return counted
