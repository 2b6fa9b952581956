"""The SQLite file of a scoring log: its tables, its version, and safe ways in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from waystage.errors import Hopeless, Retryable

VERSION = 1
BUSY_SECONDS = 30.0
DAY = 86_400_000_000  # microseconds
CACHE_KIB = 65_536

# `by_time` holds all that statistics need, so that they never touch the pages with inputs;
# times are microseconds since 1970 in UTC.
TABLES = """
CREATE TABLE scored (
    request_id TEXT NOT NULL, at INTEGER NOT NULL, service TEXT NOT NULL, stage TEXT NOT NULL,
    snapshot TEXT NOT NULL, role TEXT NOT NULL, score REAL, latency_ms REAL, inputs TEXT NOT NULL
);
CREATE UNIQUE INDEX once ON scored (request_id, service, stage, role);
CREATE INDEX by_time ON scored (service, stage, at, request_id, snapshot, role, score);
CREATE TABLE label (
    request_id TEXT NOT NULL PRIMARY KEY, event INTEGER NOT NULL CHECK (event IN (0, 1)),
    at INTEGER NOT NULL
) WITHOUT ROWID;
"""

# these are beside the tables of version 1, so that an older Waystage reads the file as always
OUTCOME = """
CREATE TABLE IF NOT EXISTS outcome (
    request_id TEXT NOT NULL PRIMARY KEY, value REAL NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID
"""

# The roll-up: what was counted of a whole day stands while `rolled` says `done` of it. Triggers
# take that back, so that it is right whoever writes: an older Waystage, or SQL by hand. `day`
# is its first microsecond; before 1970 it is still the one below.
_DAY_OF = f"{{at}} - (({{at}} % {DAY} + {DAY}) % {DAY})"
_ROW_CHANGED = """
CREATE TRIGGER IF NOT EXISTS rolled_{name} AFTER {what} ON scored BEGIN
    DELETE FROM rolled WHERE service = {row}.service AND stage = {row}.stage
    AND role = {row}.role AND day = {day};
END
"""
_LABEL_CHANGED = """
CREATE TRIGGER IF NOT EXISTS rolled_{name} AFTER {what} ON label BEGIN
    DELETE FROM rolled WHERE (service, stage, role, day) IN (
        SELECT service, stage, role, {day} FROM scored WHERE request_id = {row}.request_id);
END
"""
ROLL_UP = (
    """
CREATE TABLE IF NOT EXISTS rolled (
    service TEXT NOT NULL, stage TEXT NOT NULL, role TEXT NOT NULL, day INTEGER NOT NULL,
    ticket TEXT NOT NULL, done INTEGER NOT NULL, PRIMARY KEY (service, stage, role, day)
) WITHOUT ROWID
""",
    """
CREATE TABLE IF NOT EXISTS daily (
    service TEXT NOT NULL, stage TEXT NOT NULL, role TEXT NOT NULL, day INTEGER NOT NULL,
    snapshot TEXT NOT NULL, counts BLOB NOT NULL, others BLOB NOT NULL, rows INTEGER NOT NULL,
    labelled INTEGER NOT NULL, excluded INTEGER NOT NULL,
    PRIMARY KEY (service, stage, role, day, snapshot)
)
""",
    *(
        _ROW_CHANGED.format(name=name, what=what, row=row, day=_DAY_OF.format(at=f"{row}.at"))
        for name, what, row in (("row", "INSERT", "NEW"), ("row_gone", "DELETE", "OLD"))
    ),
    *(
        _LABEL_CHANGED.format(name=name, what=what, row=row, day=_DAY_OF.format(at="at"))
        for name, what, row in (
            ("label", "INSERT", "NEW"), ("relabel", "UPDATE", "NEW"), ("unlabel", "DELETE", "OLD")
        )
    ),
)  # fmt: skip


@contextmanager
def opened(path: Path, busy: float | None = None) -> Iterator[sqlite3.Connection]:
    """Open the log, made if it is not there, and close it; errors name the file.

    `busy` is how many seconds it waits for others who write, `BUSY_SECONDS` unless said.
    """
    try:
        with closing(_connect(path, BUSY_SECONDS if busy is None else busy)) as connection:
            _settle(connection, path)
            yield connection
    except sqlite3.OperationalError as error:
        raise Retryable(f"scoring log {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Hopeless(f"scoring log {path}: {error}; restore it or name another file") from error


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the log for one transaction that is durable when this ends without an error."""
    with opened(path) as connection, transaction(connection):
        yield connection


@contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """Have everything that is read in here be of the moment of the first statement."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold a transaction that writes; it is undone when this ends with an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _connect(path: Path, busy: float) -> sqlite3.Connection:
    if not path.absolute().parent.is_dir():
        raise Hopeless(f"scoring log {path}: there is no directory {path.absolute().parent}")
    # no transactions of the driver's own making: a deferred one ignores the busy timeout
    connection = sqlite3.connect(path, timeout=busy, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    return connection


def _settle(connection: sqlite3.Connection, path: Path) -> None:
    """Check the version, or make the tables in an empty file; see to write-ahead logging."""
    if _version(connection) == 0:
        _create(connection, path)
    version = _version(connection)
    if version != VERSION:
        raise Hopeless(
            f"scoring log {path} has schema {version}, this Waystage knows {VERSION}: "
            "update Waystage"
        )
    # the switch does not wait for others: who comes next makes it, and all is as safe without
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=WAL")


def _create(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        if _version(connection):
            return  # another process made them while this one waited for the lock
        if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise Hopeless(f"{path} is no scoring log but another database: name another file")
        for statement in (*TABLES.split(";\n"), *ROLL_UP):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
