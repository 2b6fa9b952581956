"""Rows and labels on their way in: a batch by COPY, then set by set to where they belong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from waystage.errors import Hopeless
from waystage.plugin import Label, Outcome, ScoredRow
from waystage_plugins.scoring.encode import (
    EPOCH,
    Encoded,
    encode_label,
    encode_outcome,
    encode_row,
)
from waystage_plugins.scoring.postgres.connect import Place, connected, within
from waystage_plugins.scoring.postgres.tables import lock_labels, make_days

if TYPE_CHECKING:
    from psycopg import Connection

ID_AT_MOST = 1000  # characters; an index cannot hold much longer ones
DAY = 86_400_000_000
FIRST = EPOCH.date()

INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    id bigint, day date, request_id text COLLATE "C", at bigint, place integer, snapshot integer,
    score double precision, latency_ms double precision, inputs text
) ON COMMIT DELETE ROWS
"""
TYPES = ("int8", "date", "text", "int8", "int4", "int4", "float8", "float8", "text")
# sorted by request id, so that two writers with the same ids wait for each other in one order
APPEND = """
WITH one AS MATERIALIZED (
    SELECT DISTINCT ON (request_id, place) * FROM incoming ORDER BY request_id, place, id
), fresh AS (
    INSERT INTO request SELECT request_id, place, day, id FROM one
    ON CONFLICT DO NOTHING RETURNING request_id, place, day, id
), kept AS (
    INSERT INTO scored (day, id, at, place, snapshot, score)
    SELECT day, id, at, place, snapshot, score FROM one WHERE id IN (SELECT id FROM fresh)
), beside AS (
    INSERT INTO asked SELECT day, id, request_id, latency_ms, inputs
    FROM one WHERE id IN (SELECT id FROM fresh)
), early AS (
    INSERT INTO labelled SELECT f.day, f.id, l.event, l.at
    FROM fresh f JOIN label l USING (request_id)
), known AS (
    UPDATE label l SET known = true FROM fresh f WHERE l.request_id = f.request_id AND NOT l.known
), marked AS (
    INSERT INTO changed SELECT DISTINCT day, place FROM fresh
)
SELECT count(*) FROM fresh
"""
PLACE = "SELECT id FROM place WHERE service = %s AND stage = %s AND role = %s"
NEW_PLACE = "INSERT INTO place (service, stage, role) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
SNAPSHOT = "SELECT id FROM snapshot WHERE name = %s"
NEW_SNAPSHOT = "INSERT INTO snapshot (name) VALUES (%s) ON CONFLICT DO NOTHING"
NUMBERS = "SELECT nextval('row_numbers')"

TOLD = """
CREATE TEMPORARY TABLE IF NOT EXISTS told (request_id text COLLATE "C", event smallint, at bigint)
ON COMMIT DELETE ROWS
"""
LATEST = """
latest AS MATERIALIZED (
    SELECT DISTINCT ON (request_id) request_id, event, at FROM told
    ORDER BY request_id, at DESC, event DESC
)
"""
# every label that does not stand: one that came too late, one that was corrected
VERSIONS = f"""
WITH {LATEST}
INSERT INTO label_version (request_id, event, at)
SELECT t.request_id, t.event, t.at FROM told t JOIN latest n USING (request_id)
WHERE (t.at, t.event) < (n.at, n.event)
UNION SELECT n.request_id, n.event, n.at FROM latest n JOIN label l USING (request_id)
WHERE (n.at, n.event) < (l.at, l.event)
UNION SELECT l.request_id, l.event, l.at FROM label l JOIN latest n USING (request_id)
WHERE (l.at, l.event) < (n.at, n.event)
ON CONFLICT DO NOTHING
"""  # noqa: S608  # made of the constants above alone
LABEL = f"""
WITH {LATEST}, new AS (
    INSERT INTO label AS l (request_id, event, at, known)
    SELECT request_id, event, at,
           EXISTS (SELECT FROM request r WHERE r.request_id = latest.request_id)
    FROM latest
    ON CONFLICT (request_id) DO UPDATE SET event = excluded.event, at = excluded.at
    WHERE (excluded.at, excluded.event) > (l.at, l.event)
    RETURNING request_id, event, at
), theirs AS MATERIALIZED (
    SELECT r.day, r.id, r.place, n.event, n.at FROM new n JOIN request r USING (request_id)
), placed AS (
    INSERT INTO labelled SELECT day, id, event, at FROM theirs
    ON CONFLICT (day, id) DO UPDATE SET event = excluded.event, at = excluded.at
), marked AS (
    INSERT INTO changed SELECT DISTINCT day, place FROM theirs
)
SELECT count(*) FROM new
"""  # noqa: S608  # made of the constants above alone
FROM_INBOX = """
WITH taken AS (
    DELETE FROM label_inbox WHERE ctid IN (SELECT ctid FROM label_inbox LIMIT %s)
    RETURNING request_id, event, at
)
INSERT INTO told SELECT request_id, event, (extract(epoch FROM at) * 1000000)::bigint FROM taken
"""

VALUES = """
CREATE TEMPORARY TABLE IF NOT EXISTS told_value (
    request_id text COLLATE "C", value double precision, at bigint
) ON COMMIT DELETE ROWS
"""
VALUE = """
WITH new AS (
    INSERT INTO true_value AS v SELECT DISTINCT ON (request_id) request_id, value, at
    FROM told_value ORDER BY request_id, at DESC, value DESC
    ON CONFLICT (request_id) DO UPDATE SET value = excluded.value, at = excluded.at
    WHERE (excluded.at, excluded.value) > (v.at, v.value)
    RETURNING 1
)
SELECT count(*) FROM new
"""
VALUES_FROM_INBOX = """
WITH taken AS (
    DELETE FROM value_inbox WHERE ctid IN (SELECT ctid FROM value_inbox LIMIT %s)
    RETURNING request_id, value, at
)
INSERT INTO told_value
SELECT request_id, value, (extract(epoch FROM at) * 1000000)::bigint FROM taken
"""


def append(place: Place, rows: Iterable[ScoredRow]) -> int:
    """Keep at most BATCH rows in one transaction; answers how many were new."""
    encoded = [_checked(row) for row in rows]
    with connected(place) as connection:
        make_days(connection, place.namespace, {day_of(row[1]) for row in encoded})
        with within(connection, place):
            names = _numbered(connection, encoded)
            lock_labels(connection, place.namespace, shared=True)
            connection.execute(INCOMING)
            _copy(connection, "incoming", TYPES, names)
            return _count(connection, APPEND)


def label(place: Place, labels: Iterable[Label]) -> int:
    """Keep a batch of labels in one transaction; answers of how many requests they changed."""
    encoded = [encode_label(each) for each in labels]
    with connected(place) as connection, within(connection, place):
        lock_labels(connection, place.namespace)
        connection.execute(TOLD)
        _copy(connection, "told", ("text", "int2", "int8"), encoded)
        return _labelled(connection)


def take_inbox(connection: Connection[Any], place: Place, at_once: int) -> int:
    """Take labels that somebody inserted by SQL; answers how many there were."""
    with within(connection, place):
        if not connection.execute("SELECT 1 FROM label_inbox LIMIT 1").fetchone():
            return 0
        lock_labels(connection, place.namespace)
        connection.execute(TOLD)
        taken = connection.execute(FROM_INBOX, (at_once,)).rowcount
        _labelled(connection)
        return taken


def take_value_inbox(connection: Connection[Any], place: Place, at_once: int) -> int:
    """Take true values that somebody inserted by SQL; answers how many there were."""
    with within(connection, place):
        if not connection.execute("SELECT 1 FROM value_inbox LIMIT 1").fetchone():
            return 0
        connection.execute(VALUES)
        taken = connection.execute(VALUES_FROM_INBOX, (at_once,)).rowcount
        _count(connection, VALUE)
        return taken


def outcomes(place: Place, values: Iterable[Outcome]) -> int:
    """Keep a batch of true values in one transaction; answers how many changed."""
    encoded = [encode_outcome(each) for each in values]
    with connected(place) as connection, within(connection, place):
        connection.execute(VALUES)
        _copy(connection, "told_value", ("text", "float8", "int8"), encoded)
        return _count(connection, VALUE)


def day_of(at: int) -> date:
    """Give the UTC day of an instant in microseconds."""
    return FIRST + timedelta(days=at // DAY)


def _labelled(connection: Connection[Any]) -> int:
    connection.execute(VERSIONS)
    return _count(connection, LABEL)


def _checked(row: ScoredRow) -> Encoded:
    if len(row.request_id) > ID_AT_MOST:
        raise Hopeless(
            f"request id {row.request_id[:60]!r}… has {len(row.request_id)} characters; "
            f"{ID_AT_MOST} are the most"
        )
    return encode_row(row)


def _numbered(connection: Connection[Any], rows: Sequence[Encoded]) -> Iterator[tuple[Any, ...]]:
    """Give the rows as `incoming` has them: numbered, with numbers for what many share."""
    places = _numbers(connection, PLACE, NEW_PLACE, {(row[2], row[3], row[5]) for row in rows})
    snapshots = _numbers(connection, SNAPSHOT, NEW_SNAPSHOT, {(row[4],) for row in rows})
    first = _count(connection, NUMBERS)
    return (
        (first + n, day_of(at), request_id, at, places[service, stage, role],
         snapshots[snapshot,], None if score != score else score, latency, inputs)
        for n, (request_id, at, service, stage, snapshot, role, score, latency, inputs)
        in enumerate(rows)
    )  # fmt: skip


def _numbers(
    connection: Connection[Any], known: str, new: str, names: set[tuple[str, ...]]
) -> dict[tuple[str, ...], int]:
    """Give the number of each name, which gets one if it has none."""
    found = {}
    for name in sorted(names):
        row = connection.execute(known, name).fetchone()
        if row is None:
            connection.execute(new, name)
            row = connection.execute(known, name).fetchone()
        assert row is not None
        found[name] = int(row[0])
    return found


def _copy(
    connection: Connection[Any], table: str, types: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _count(connection: Connection[Any], statement: str) -> int:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])
