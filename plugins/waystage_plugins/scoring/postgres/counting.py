"""Counting by score, day by day: whole days from the roll-up, else what the server packs.

The server sends scores as packed bytes, 26 for a row, and numpy counts them: no row becomes an
object of Python. What was counted of a whole day is kept in `daily` until a row or a label of
that day comes; then the day is counted anew when it is next asked for.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from waystage.plugin import Slice
from waystage_plugins.scoring.encode import microseconds
from waystage_plugins.scoring.postgres.connect import Place, connected, transaction, within
from waystage_plugins.scoring.postgres.tables import part_of
from waystage_plugins.scoring.postgres.writing import DAY, day_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from psycopg import Connection

    from waystage_plugins.scoring.counts import Counts

# scores and labels are packed apart and met in numpy: a third of what a join in the server takes
PACKED = """
SELECT s.place, s.snapshot, string_agg(int8send(s.id), ''::bytea),
       string_agg(float8send(COALESCE(s.score, 'NaN')), ''::bytea)
FROM {rows} s WHERE {where} GROUP BY s.place, s.snapshot
"""
LABELS = """
SELECT string_agg(int8send(l.id), ''::bytea), string_agg(int2send(l.event), ''::bytea)
FROM labelled l WHERE {days}
"""
OF_THESE = " AND l.id IN (SELECT s.id FROM {rows} s WHERE {where})"
SIZE = "SELECT pg_relation_size(to_regclass(%s))"
LABEL_BYTES, FEW = 56, 4  # of one row; labels are chosen in the server if this many are of others
# over several roles the first answer stands for the request
FIRST = """
(SELECT DISTINCT ON (a.request_id) s.* FROM scored s JOIN asked a ON a.day = s.day AND a.id = s.id
 WHERE {where} ORDER BY a.request_id, s.at, s.id)
"""
ROLLED = """
SELECT r.day, r.place FROM rolled r WHERE r.place = ANY(%(places)s)
AND r.day >= %(first)s AND r.day < %(after)s
AND NOT EXISTS (SELECT FROM changed c WHERE c.place = r.place AND c.day = r.day)
"""
DAILY = """
SELECT counts, {others}, rows, labelled, excluded FROM daily d
WHERE d.place = ANY(%(places)s) AND d.day = ANY(%(days)s)
"""
WITHIN_DAYS = "s.day >= %(first)s AND s.day <= %(last)s"
TOTALS = """
SELECT COALESCE(sum(rows), 0), COALESCE(sum(labelled), 0) FROM daily d
WHERE d.place = ANY(%(places)s) AND d.day = ANY(%(rolled)s::date[])
"""
COUNTED = """
SELECT count(*), count(l.event) FROM {rows} s
LEFT JOIN labelled l ON l.day = s.day AND l.id = s.id WHERE {where}
"""
DAYS = "SELECT day FROM kept_day WHERE day >= %(first)s AND day <= %(last)s ORDER BY day"
PLACES = "SELECT id FROM place WHERE service = %(service)s AND stage = %(stage)s"


def counted(place: Place, which: Slice, *, others: bool) -> Counts:
    """Count a slice by score, all of it as of one moment; keeps what it counts of whole days.

    Without `others` the scores of rows without a label may be left out.
    """
    from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction

    from waystage_plugins.scoring.counts import added

    may_not_be_kept: tuple[type[Exception], ...] = (
        *counted_elsewhere(), InsufficientPrivilege, ReadOnlySqlTransaction
    )  # fmt: skip
    with connected(place) as connection:
        try:
            with within(connection, place, one_moment=True):
                return added(_parts(connection, which, others=others, keep=True))
        except may_not_be_kept:
            pass
        with within(connection, place, one_moment=True):
            return added(_parts(connection, which, others=others, keep=False))


def totals(place: Place, which: Slice) -> tuple[int, int]:
    """Count the rows and the labelled rows of a slice; what is kept of whole days is added up."""
    with transaction(place, one_moment=True) as connection:
        values = bounds(which)
        values["places"] = places_of(connection, which)
        where = f"{WITHIN_DAYS} AND {where_of(which)}"
        if which.role is None:
            rows = FIRST.format(where=where)
            return _summed(connection, COUNTED.format(rows=rows, where="true"), values)
        if not values["places"]:
            return 0, 0
        whole = [day for day in days_of(connection, values) if _is_whole(day, values)]
        values["rolled"] = sorted(_rolled(connection, values, whole, keep=False))
        kept = _summed(connection, TOTALS + _of_snapshot(which), values)
        where += " AND s.day <> ALL(%(rolled)s::date[])"
        left = _summed(connection, COUNTED.format(rows="scored", where=where), values)
        return kept[0] + left[0], kept[1] + left[1]


def _summed(connection: Connection[Any], statement: str, values: dict[str, Any]) -> tuple[int, int]:
    ((rows, labelled),) = connection.execute(statement, values)
    return int(rows), int(labelled)


def counted_elsewhere() -> tuple[type[Exception], ...]:
    """Give the errors that say that somebody else counts the same day at this moment."""
    from psycopg.errors import SerializationFailure, UniqueViolation

    return SerializationFailure, UniqueViolation


def roll_up(connection: Connection[Any], day: date, place: int) -> None:
    """Count a whole day of one service, stage and role, and keep it.

    The transaction reads as of one moment. The marks that it sees are taken away; one that
    comes later stays, and so does its day's need to be counted anew.
    """
    from waystage_plugins.scoring.counts import pack

    values = {"day": day, "places": [place]}
    connection.execute(
        "DELETE FROM changed WHERE day = %(day)s AND place = ANY(%(places)s)", values
    )
    connection.execute("DELETE FROM daily WHERE day = %(day)s AND place = ANY(%(places)s)", values)
    where = "s.day = %(day)s AND s.place = ANY(%(places)s)"
    for _, snapshot, counts in _packed(connection, "scored", where, values):
        connection.execute(
            "INSERT INTO daily VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (day, place, snapshot, *pack(counts), counts.rows, counts.labelled, counts.excluded),
            binary=True,
        )
    connection.execute("INSERT INTO rolled VALUES (%s, %s) ON CONFLICT DO NOTHING", (day, place))


def bounds(which: Slice) -> dict[str, Any]:
    """Give the parameters of statements about a slice."""
    start = microseconds(which.start, "the window's start")
    end = microseconds(which.end, "the window's end")
    return {
        "service": which.service, "stage": which.stage, "role": which.role,
        "snapshot": which.snapshot, "start": start, "end": end,
        "first": day_of(start), "last": day_of(max(start, end - 1)),
    }  # fmt: skip


def where_of(which: Slice) -> str:
    """Give the condition for the rows of a slice; `places` holds the ids of where they are."""
    texts = ["s.place = ANY(%(places)s)", "s.at >= %(start)s", "s.at < %(end)s"]
    if which.snapshot is not None:
        texts.append("s.snapshot = (SELECT id FROM snapshot WHERE name = %(snapshot)s)")
    return " AND ".join(texts)


def places_of(connection: Connection[Any], which: Slice) -> list[int]:
    """Give the ids of the slice's service and stage, for its role or for all."""
    more = " AND role = %(role)s" if which.role is not None else ""
    return [number for (number,) in connection.execute(PLACES + more, bounds(which))]


def days_of(connection: Connection[Any], values: dict[str, Any]) -> list[date]:
    """Give the days of the slice of which anything is kept, in order."""
    return [day for (day,) in connection.execute(DAYS, values)]


def _parts(connection: Connection[Any], which: Slice, *, others: bool, keep: bool) -> list[Counts]:
    values = bounds(which)
    values["places"] = places_of(connection, which)
    days = days_of(connection, values)
    if not values["places"] or not days or values["start"] >= values["end"]:
        return []
    if which.role is None:
        rows = FIRST.format(where=f"{WITHIN_DAYS} AND {where_of(which)}")
        return [counts for _, _, counts in _packed(connection, rows, "true", values)]
    whole = [day for day in days if _is_whole(day, values)]
    rolled = _rolled(connection, values, whole, keep=keep)
    found = _kept(connection, which, values | {"days": sorted(rolled)}, others=others)
    condition = f"s.day = %(day)s AND {where_of(which)}"
    for day in [day for day in days if day not in rolled]:
        parts = _packed(connection, "scored", condition, values | {"day": day})
        found += [counts for _, _, counts in parts]
    return found


def _is_whole(day: date, values: dict[str, Any]) -> bool:
    from waystage_plugins.scoring.postgres.writing import FIRST as EPOCH_DAY

    start = (day - EPOCH_DAY).days * DAY
    return bool(values["start"] <= start and start + DAY <= values["end"])


def _rolled(
    connection: Connection[Any], values: dict[str, Any], days: list[date], *, keep: bool
) -> set[date]:
    """Give those of the days that can be had from the roll-up, made so first with `keep`."""
    if not days:
        return set()
    (place,) = values["places"]
    span = values | {"first": days[0], "after": date.max}
    good = {day for day, _ in connection.execute(ROLLED, span)} & set(days)
    if keep:
        for day in [day for day in days if day not in good]:
            roll_up(connection, day, place)
        return set(days)
    return good


def _kept(
    connection: Connection[Any], which: Slice, values: dict[str, Any], *, others: bool
) -> list[Counts]:
    from waystage_plugins.scoring.counts import unpack

    statement = DAILY.format(others="others" if others else "''::bytea") + _of_snapshot(which)
    with connection.cursor(binary=True) as cursor:
        cursor.execute(statement, values)
        return [unpack(*row) for row in cursor]


def _of_snapshot(which: Slice) -> str:
    named = " AND d.snapshot = (SELECT id FROM snapshot WHERE name = %(snapshot)s)"
    return named if which.snapshot is not None else ""


def _packed(
    connection: Connection[Any], rows: str, where: str, values: dict[str, Any]
) -> list[tuple[int, int, Counts]]:
    """Have the server pack the scores, and count them: (place, snapshot, counts)."""
    import numpy as np

    from waystage_plugins.scoring.counts import count_rows

    with connection.cursor(binary=True) as cursor:
        cursor.execute(PACKED.format(rows=rows, where=where), values)
        found = [(place, snapshot, np.frombuffer(ids, ">i8"), np.frombuffer(scores, ">f8"))
                 for place, snapshot, ids, scores in cursor]  # fmt: skip
    label = _labels(connection, rows, where, values, sum(len(each[2]) for each in found))
    return [
        (place, snapshot, count_rows(scores.astype(np.float64), _events(ids, label)))
        for place, snapshot, ids, scores in found
    ]


def _labels(
    connection: Connection[Any], rows: str, where: str, values: dict[str, Any], many: int
) -> NDArray[np.void]:
    """Give (id, event) of the rows' labels by id, and of others' where they are not too many."""
    import numpy as np

    if day := values.get("day"):
        days = "l.day = %(day)s"
        ((size,),) = connection.execute(SIZE, (part_of("labelled", day),))
        chosen = size / LABEL_BYTES > FEW * many
    else:
        days, chosen = "l.day >= %(first)s AND l.day <= %(last)s", True
    more = OF_THESE.format(rows=rows, where=where) if chosen else ""
    with connection.cursor(binary=True) as cursor:
        ((ids, events),) = cursor.execute(LABELS.format(days=days) + more, values)
    found = np.empty(len(ids or b"") // 8, [("id", np.int64), ("event", np.int8)])
    found["id"], found["event"] = (
        np.frombuffer(ids or b"", ">i8"),
        np.frombuffer(events or b"", ">i2"),
    )
    return found[np.argsort(found["id"], kind="stable")]


def _events(ids: NDArray[np.int64], label: NDArray[np.void]) -> NDArray[np.int8]:
    """Give what became of each row: 1 or 0, and 2 without a label."""
    import numpy as np

    known, event = label["id"], np.append(label["event"], np.int8(2))
    place = np.searchsorted(known, ids)
    there = np.append(known, -1)[place] == ids
    return np.where(there, event[place], np.int8(2))
