"""The tables of the log, and its partitions: one for each UTC day on which something was scored.

What statistics read is narrow and lies by day: `scored` and `labelled`. What people read back,
`asked`, lies beside it. Request ids are known over all days in `request`, so that a repeated
request counts once, and labels by the request's id in `label`, whether its request is known or
not. Times are microseconds since 1970 in UTC.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from waystage.errors import Hopeless

if TYPE_CHECKING:
    from psycopg import Connection

VERSION = 1
BATCH = 10_000  # rows in one transaction: the numbers that it takes at once
PARTED = ("scored", "asked", "labelled")
# the latest label stands, so that one from a wrong year would stand for good; the error that
# PostgreSQL gives has this name and the row, and 'infinity' is no time either
IN_TIME = """
    CONSTRAINT at_is_from_2000_to_a_day_after_now
    CHECK (at BETWEEN '2000-01-01 00:00:00+00' AND now() + interval '1 day')"""

# who changes the shape waits for others who do; who labels waits for those who append
SHAPE, LABELS = 1, 2
LOCK = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
THERE = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'log_version'"
SHARED_LOCK = "SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))"

TABLES = f"""
CREATE TABLE log_version (version integer NOT NULL);
CREATE TABLE kept_day (day date PRIMARY KEY);
CREATE TABLE place (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text NOT NULL, stage text NOT NULL, role text NOT NULL,
    UNIQUE (service, stage, role)
);
CREATE TABLE snapshot (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE
);
CREATE SEQUENCE row_numbers INCREMENT BY {BATCH};
CREATE TABLE request (
    request_id text COLLATE "C" NOT NULL, place integer NOT NULL, day date NOT NULL,
    id bigint NOT NULL, PRIMARY KEY (request_id, place)
);
CREATE INDEX request_by_day ON request USING brin (day);
CREATE TABLE scored (
    day date NOT NULL, id bigint NOT NULL, at bigint NOT NULL, place integer NOT NULL,
    snapshot integer NOT NULL, score double precision
) PARTITION BY RANGE (day);
CREATE TABLE asked (
    day date NOT NULL, id bigint NOT NULL, request_id text COLLATE "C" NOT NULL,
    latency_ms double precision, inputs text NOT NULL
) PARTITION BY RANGE (day);
CREATE TABLE labelled (
    day date NOT NULL, id bigint NOT NULL, event smallint NOT NULL, at bigint NOT NULL,
    PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
CREATE TABLE label (
    request_id text COLLATE "C" PRIMARY KEY, event smallint NOT NULL CHECK (event IN (0, 1)),
    at bigint NOT NULL, known boolean NOT NULL
);
CREATE INDEX label_unknown ON label (at) WHERE NOT known;
CREATE TABLE label_version (
    request_id text COLLATE "C" NOT NULL, event smallint NOT NULL, at bigint NOT NULL,
    PRIMARY KEY (request_id, at, event)
);
CREATE TABLE label_inbox (
    request_id text COLLATE "C" NOT NULL, event smallint NOT NULL CHECK (event IN (0, 1)),
    at timestamptz NOT NULL DEFAULT now(),{IN_TIME}
);
CREATE TABLE true_value (
    request_id text COLLATE "C" PRIMARY KEY, value double precision NOT NULL, at bigint NOT NULL
);
CREATE TABLE value_inbox (
    request_id text COLLATE "C" NOT NULL,
    value double precision NOT NULL CHECK (value - value = 0), -- neither NaN nor infinite
    at timestamptz NOT NULL DEFAULT now(),{IN_TIME}
);
CREATE TABLE changed (day date NOT NULL, place integer NOT NULL);
CREATE INDEX changed_where ON changed (place, day);
CREATE TABLE rolled (day date NOT NULL, place integer NOT NULL, PRIMARY KEY (place, day));
CREATE TABLE daily (
    day date NOT NULL, place integer NOT NULL, snapshot integer NOT NULL,
    counts bytea NOT NULL, others bytea NOT NULL, rows bigint NOT NULL,
    labelled bigint NOT NULL, excluded bigint NOT NULL, PRIMARY KEY (place, day, snapshot)
);
ALTER TABLE daily ALTER COLUMN counts SET STORAGE EXTERNAL,
    ALTER COLUMN others SET STORAGE EXTERNAL;
"""


def settle(connection: Connection[Any], namespace: str) -> None:
    """Make the tables if they are not there, and check their version."""
    if _version(connection, namespace) is None:
        with connection.transaction():
            connection.execute(LOCK, (SHAPE, namespace))
            if _version(connection, namespace) is None:  # nobody made them meanwhile
                _create(connection, namespace)
    found = _version(connection, namespace)
    if found != VERSION:
        raise Hopeless(
            f"the scoring log in schema {namespace} has version {found}, this Waystage knows "
            f"{VERSION}: update Waystage"
        )


def lock_shape(connection: Connection[Any], namespace: str) -> None:
    """Let nobody else make or drop partitions before this transaction ends."""
    connection.execute(LOCK, (SHAPE, namespace))


def lock_labels(connection: Connection[Any], namespace: str, *, shared: bool = False) -> None:
    """Keep rows and labels from passing each other unseen: rows share it, labels do not."""
    connection.execute(SHARED_LOCK if shared else LOCK, (LABELS, namespace))


def make_days(connection: Connection[Any], namespace: str, days: Collection[date]) -> None:
    """Make the partitions of these days that are not there yet, in a transaction of their own."""
    wanted = sorted(days)
    known = f"SELECT day FROM {namespace}.kept_day WHERE day = ANY(%s)"  # noqa: S608  # a name that settings allow
    with connection.transaction():
        if len(connection.execute(known, (wanted,)).fetchall()) == len(wanted):
            return
    with connection.transaction():
        lock_shape(connection, namespace)
        there = {day for (day,) in connection.execute(known, (wanted,))}
        for day in [day for day in wanted if day not in there]:
            _make_day(connection, namespace, day)


def drop_day(connection: Connection[Any], day: date) -> None:
    """Take a day's partitions away, with all that is counted of it."""
    for table in PARTED:
        connection.execute(f"DROP TABLE {part_of(table, day)}")
    for table in ("daily", "rolled", "changed", "kept_day"):
        connection.execute(f"DELETE FROM {table} WHERE day = %s", (day,))  # noqa: S608  # names of ours


def _make_day(connection: Connection[Any], namespace: str, day: date) -> None:
    # attached, not made as a partition: that would wait for everybody who reads
    for table in PARTED:
        whole, part = f"{namespace}.{table}", f"{namespace}.{part_of(table, day)}"
        bounds = f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
        connection.execute(f"CREATE TABLE {part} (LIKE {whole} INCLUDING ALL)")
        connection.execute(f"ALTER TABLE {whole} ATTACH PARTITION {part} FOR VALUES {bounds}")
    connection.execute(f"INSERT INTO {namespace}.kept_day VALUES (%s)", (day,))  # noqa: S608  # a name that settings allow


def part_of(table: str, day: date) -> str:
    """Give the name of a table's partition of a day."""
    return f"{table}_{day:%Y%m%d}"


def _create(connection: Connection[Any], namespace: str) -> None:
    there = connection.execute("SELECT to_regnamespace(%s)", (namespace,)).fetchone()
    if there is None or there[0] is None:
        connection.execute(f"CREATE SCHEMA {namespace}")
    connection.execute(f"SET LOCAL search_path TO {namespace}")
    for statement in TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.execute("INSERT INTO log_version VALUES (%s)", (VERSION,))


def _version(connection: Connection[Any], namespace: str) -> int | None:
    # asked of the catalog's tables: a name's lookup may remember that there was nothing
    there = connection.execute(THERE, (namespace,)).fetchone()
    if there is None:
        return None
    row = connection.execute(f"SELECT version FROM {namespace}.log_version").fetchone()  # noqa: S608  # a name that settings allow
    return None if row is None else int(row[0])
