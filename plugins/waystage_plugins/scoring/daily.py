"""The daily roll-up of the SQLite log: what was counted of whole UTC days, while it stands.

A day is taken by writing a ticket, counted, and kept only if the ticket is still there: what is
written meanwhile takes it away by a trigger, and so does somebody else who takes the day. Who is
killed in between leaves a ticket that is not done, and the day is counted anew.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from waystage.errors import Retryable
from waystage.plugin import Role, Slice
from waystage_plugins.scoring import select
from waystage_plugins.scoring.database import DAY, ROLL_UP, one_moment, opened, transaction
from waystage_plugins.scoring.encode import instant, microseconds

if TYPE_CHECKING:
    from waystage_plugins.scoring.counts import Counts

PATIENCE = 1.0  # seconds; who cannot write by then counts without keeping it
AT_ONCE = 10_000  # rows that are objects of Python at one time
DAYS_AT_ONCE = 400

THERE = "SELECT 1 FROM sqlite_master WHERE name = 'rolled'"
NEXT = "SELECT MIN(at) FROM scored WHERE service = ? AND stage = ? AND at >= ?"
NEXT_SERVICE = "SELECT MIN(service) FROM scored WHERE service > ?"
NEXT_STAGE = "SELECT MIN(stage) FROM scored WHERE service = ? AND stage > ?"
PLACE = "service = ? AND stage = ? AND role = ? AND day = ?"
DONE = f"SELECT 1 FROM rolled WHERE {PLACE} AND done"  # noqa: S608  # made of constants
TICKET = "INSERT OR REPLACE INTO rolled VALUES (?, ?, ?, ?, ?, 0)"
FORGET = f"DELETE FROM daily WHERE {PLACE}"  # noqa: S608  # made of constants
FINISH = f"UPDATE rolled SET done = 1 WHERE {PLACE} AND ticket = ?"  # noqa: S608  # made of constants
KEEP = "INSERT INTO daily VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
KEPT = f"SELECT counts, {{others}}, rows, labelled, excluded FROM daily WHERE {PLACE}"  # noqa: S608  # made of constants

TOTALS = f"SELECT rows, labelled FROM daily WHERE {PLACE}"  # noqa: S608  # made of constants


class Day(NamedTuple):
    """One day of a service, stage and role; `start` is its first microsecond."""

    service: str
    stage: str
    role: str
    start: int


def counted(path: Path, which: Slice, *, others: bool) -> Counts:
    """Count a slice by score, all of it as of one moment; keeps what it counts of whole days.

    Without `others` the scores of rows without a label may be left out.
    """
    from waystage_plugins.scoring.counts import added

    if which.role is not None:
        with opened(path) as connection:
            due = [day for day in _whole_days(connection, which) if not _is_done(connection, day)]
        roll_up(path, due)
    with opened(path) as connection, one_moment(connection):
        return added(_parts(connection, which, others=others))


def totals(path: Path, which: Slice) -> tuple[int, int]:
    """Count the rows and the labelled rows of a slice; what is kept of whole days is added up."""
    rows = labelled = 0
    with opened(path) as connection, one_moment(connection):
        for piece in _pieces(connection, which):
            found = (
                _kept(connection, TOTALS, piece, which)
                if isinstance(piece, Day)
                else connection.execute(*select.query(select.COUNTED, piece))
            )
            for some, of_them in found:
                rows, labelled = rows + some, labelled + of_them
    return rows, labelled


def roll_up(path: Path, days: Iterable[Day]) -> int:
    """Count days and keep what comes of it; answers how many with rows it could keep.

    A file that others hold, or that may only be read, is left as it is.
    """
    kept, left = 0, list(days)
    if left:
        with suppress(Retryable), opened(path, PATIENCE) as connection:
            _need_no_disk(connection)
            for day in left:
                kept += _rolled(connection, day)
    return kept


def ended(path: Path, now: datetime) -> list[Day]:
    """Give the days before today that are not kept, the newest first, not too many."""
    today = microseconds(now, "now")
    today -= today % DAY
    with opened(path) as connection:
        found = [
            day
            for service, stage in _places(connection)
            for start in _starts(connection, service, stage, 0, today)
            for day in (Day(service, stage, role, start) for role in get_args(Role))
            if not _is_done(connection, day)
        ]
    return sorted(found, key=lambda day: -day.start)[:DAYS_AT_ONCE]


def _need_no_disk(connection: sqlite3.Connection) -> None:
    """Let commits not wait for the disk: what is lost by a power cut is counted anew."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode == "wal":  # which keeps the order of commits; without it a cut could do harm
        connection.execute("PRAGMA synchronous=NORMAL")


def _rolled(connection: sqlite3.Connection, day: Day) -> bool:
    from waystage_plugins.scoring.counts import pack

    ticket = _take(connection, day)
    if ticket is None:
        return False
    which = Slice(day.service, day.stage, instant(day.start), instant(day.start + DAY),
                  None, day.role)  # fmt: skip
    with one_moment(connection):
        found = _by_snapshot(connection, which)
    with transaction(connection):
        if not connection.execute(FINISH, (*day, ticket)).rowcount:
            return False  # something of the day changed, or somebody else counts it
        for snapshot, counts in found.items():
            numbers = (counts.rows, counts.labelled, counts.excluded)
            connection.execute(KEEP, (*day, snapshot, *pack(counts), *numbers))
    return bool(found)


def _take(connection: sqlite3.Connection, day: Day) -> str | None:
    """Put a ticket of ours on the day; None if it was counted meanwhile."""
    ticket = secrets.token_hex(8)
    with transaction(connection):
        for statement in ROLL_UP:
            connection.execute(statement)
        if connection.execute(DONE, day).fetchone():
            return None
        connection.execute(TICKET, (*day, ticket))
        connection.execute(FORGET, day)
    return ticket


def _parts(connection: sqlite3.Connection, which: Slice, *, others: bool) -> Iterator[Counts]:
    from waystage_plugins.scoring.counts import unpack

    told = KEPT.format(others="others" if others else "x''")
    for piece in _pieces(connection, which):
        if isinstance(piece, Day):
            yield from (unpack(*row) for row in _kept(connection, told, piece, which))
        else:
            yield from _by_snapshot(connection, piece).values()


def _pieces(connection: sqlite3.Connection, which: Slice) -> Iterator[Day | Slice]:
    """Give the days of the slice that are kept, and slices of what has to be counted."""
    if which.role is None:  # the first answer of several days may stand for the request
        yield which
        return
    start, end = _ends(which)
    for first in _starts(connection, which.service, which.stage, start, end):
        day = Day(which.service, which.stage, which.role, first)
        if _is_whole(first, which) and _is_done(connection, day):
            yield day
        else:
            yield replace(which, start=max(which.start, instant(first)),
                          end=min(which.end, instant(first + DAY)))  # fmt: skip


def _kept(
    connection: sqlite3.Connection, told: str, day: Day, which: Slice
) -> Iterator[tuple[Any, ...]]:
    """Read what is kept of a day for the slice's snapshot, or for all."""
    if which.snapshot is None:
        yield from connection.execute(told, day)
    else:
        yield from connection.execute(f"{told} AND snapshot = ?", (*day, which.snapshot))


def _by_snapshot(connection: sqlite3.Connection, which: Slice) -> dict[str, Counts]:
    """Count rows by snapshot and score; few of them are objects of Python at one time."""
    import numpy as np

    from waystage_plugins.scoring.counts import count_rows

    found: dict[str, list[tuple[object, object]]] = {}
    told = connection.execute(*select.query(select.TOLD, which))
    while rows := told.fetchmany(AT_ONCE):
        names, scores, events = zip(*rows, strict=True)
        score, event = np.array(scores, np.float64), np.array(events, np.int8)
        if len(every := {*names}) == 1:
            found.setdefault(names[0], []).append((score, event))
            continue
        for name in every:
            mine = np.array([each == name for each in names])
            found.setdefault(name, []).append((score[mine], event[mine]))
    return {name: count_rows(*map(np.concatenate, zip(*parts, strict=True)))
            for name, parts in found.items()}  # fmt: skip


def _whole_days(connection: sqlite3.Connection, which: Slice) -> list[Day]:
    assert which.role is not None
    start, end = _ends(which)
    return [
        Day(which.service, which.stage, which.role, first)
        for first in _starts(connection, which.service, which.stage, start, end)
        if _is_whole(first, which)
    ]


def _is_whole(first: int, which: Slice) -> bool:
    start, end = _ends(which)
    return start <= first and first + DAY <= end


def _ends(which: Slice) -> tuple[int, int]:
    return (microseconds(which.start, "the window's start"),
            microseconds(which.end, "the window's end"))  # fmt: skip


def _starts(
    connection: sqlite3.Connection, service: str, stage: str, start: int, end: int
) -> Iterator[int]:
    """Give the days from `start` until before `end` of which there are rows, in order."""
    while start < end:
        (at,) = connection.execute(NEXT, (service, stage, start)).fetchone()
        if at is None or at >= end:
            return
        yield at - at % DAY
        start = at - at % DAY + DAY


def _places(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    service = ""
    while (service := connection.execute(NEXT_SERVICE, (service,)).fetchone()[0]) is not None:
        stage = ""
        while (stage := connection.execute(NEXT_STAGE, (service, stage)).fetchone()[0]) is not None:
            yield service, stage


def _is_done(connection: sqlite3.Connection, day: Day) -> bool:
    there = connection.execute(THERE).fetchone() is not None
    return there and connection.execute(DONE, day).fetchone() is not None
