"""What else is read of the log: rows one after the other, counts of them, times, true values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from waystage.plugin import Slice
from waystage_plugins.scoring.encode import instant
from waystage_plugins.scoring.postgres.connect import Place, transaction
from waystage_plugins.scoring.postgres.counting import (
    FIRST,
    bounds,
    days_of,
    places_of,
    where_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg import Connection

DECODE = json.JSONDecoder(parse_constant=lambda word: None).decode  # NaN is no JSON: null
AT_ONCE = 2000  # rows that are fetched together

JOINED = "LEFT JOIN labelled l ON l.day = s.day AND l.id = s.id"
STREAMED = f"""
SELECT a.request_id, s.at, s.score, a.inputs, l.event
FROM {{rows}} s JOIN asked a ON a.day = s.day AND a.id = s.id {JOINED}
WHERE {{where}} ORDER BY s.at, a.request_id
"""  # noqa: S608  # made of the constants above alone
LATENCIES = """
SELECT a.latency_ms FROM {rows} s JOIN asked a ON a.day = s.day AND a.id = s.id WHERE {where}
"""
NEWEST = "SELECT max(s.at) FROM {rows} s WHERE {where}"
NEWEST_LABEL = f"SELECT max(l.at) FROM {{rows}} s {JOINED} WHERE {{where}}"  # noqa: S608  # made of constants
VALUED = """
SELECT s.score, v.value FROM {rows} s JOIN asked a ON a.day = s.day AND a.id = s.id
LEFT JOIN true_value v ON v.request_id = a.request_id WHERE {where}
"""
VALUED_ROWS = """
SELECT a.request_id, s.at, s.score, a.inputs, v.value
FROM {rows} s JOIN asked a ON a.day = s.day AND a.id = s.id
JOIN true_value v ON v.request_id = a.request_id WHERE {where} ORDER BY s.at, a.request_id
"""
FOREIGN = """
SELECT DISTINCT r.request_id FROM request r JOIN place p ON p.id = r.place
WHERE r.request_id = ANY(%(ids)s) AND NOT EXISTS (
    SELECT FROM request o JOIN place q ON q.id = o.place
    WHERE o.request_id = r.request_id AND q.service = %(service)s)
"""
UNKNOWN = "SELECT count(*) FROM label WHERE NOT known"


def rows(place: Place, which: Slice, *, labelled: bool) -> Iterator[Sequence[object]]:
    """Stream (request_id, at, score, inputs, event or None), by time then request id."""
    for request_id, at, score, inputs, event in _stream(place, STREAMED, which, labelled):
        yield request_id, instant(at), score, DECODE(inputs), event


def valued(place: Place, which: Slice) -> Iterator[tuple[float | None, float | None]]:
    """Stream (score, true value or None) of all rows; a score that is not finite is None."""
    for score, value in _stream(place, VALUED, which):
        yield (score if score is not None and isfinite(score) else None), value


def valued_rows(place: Place, which: Slice) -> Iterator[Sequence[object]]:
    """Stream (request_id, at, score, inputs, true value), by time then request id."""
    for request_id, at, score, inputs, value in _stream(place, VALUED_ROWS, which):
        yield request_id, instant(at), score, DECODE(inputs), value


def latencies(place: Place, which: Slice) -> Iterator[float]:
    """Stream how many milliseconds each row took, of those that tell it."""
    for (took,) in _stream(place, LATENCIES, which):
        if took is not None:
            yield took


def latest(place: Place, statement: str, which: Slice) -> datetime | None:
    """Give the latest time that the statement (NEWEST, NEWEST_LABEL) finds in the slice."""
    with transaction(place) as connection:
        ((at,),) = connection.execute(*_whole(connection, statement, which))
    return None if at is None else instant(at)


def foreign(place: Place, request_ids: Sequence[str], service: str) -> list[str]:
    """Give those of the request ids that are known, but of other services alone."""
    with transaction(place) as connection:
        found = connection.execute(FOREIGN, {"ids": list(request_ids), "service": service})
        return sorted(name for (name,) in found)


def unknown(place: Place) -> int:
    """Count the labels whose request is not known."""
    with transaction(place) as connection:
        ((number,),) = connection.execute(UNKNOWN)
    return int(number)


def _stream(
    place: Place, statement: str, which: Slice, labelled: bool = False
) -> Iterator[tuple[Any, ...]]:
    with transaction(place, one_moment=True) as connection:
        for n, (text, values) in enumerate(_by_day(connection, statement, which, labelled)):
            with connection.cursor(f"rows_{n}") as cursor:
                cursor.itersize = AT_ONCE
                cursor.execute(text, values)
                yield from cursor


def _by_day(
    connection: Connection[Any], statement: str, which: Slice, labelled: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the statement for one day after the other, so that no sort is larger than a day."""
    more = " AND l.event IS NOT NULL" if labelled else ""
    text, values = _whole(connection, statement, which, more)
    if which.role is None:
        yield text, values
        return
    text = statement.format(rows="scored", where=f"s.day = %(day)s AND {where_of(which)}{more}")
    for day in days_of(connection, values):
        yield text, values | {"day": day}


def _whole(
    connection: Connection[Any], statement: str, which: Slice, more: str = ""
) -> tuple[str, dict[str, Any]]:
    """Give the statement for all days of the slice at once."""
    values = bounds(which)
    values["places"] = places_of(connection, which)
    where = f"s.day >= %(first)s AND s.day <= %(last)s AND {where_of(which)}"
    if which.role is None:
        return statement.format(rows=FIRST.format(where=where), where=f"true{more}"), values
    return statement.format(rows="scored", where=where + more), values
