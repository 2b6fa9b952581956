"""The SQLite file of a scoring log: its tables, its version, and safe ways in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from waystage.errors import Hopeless, Retryable

VERSION = 1
BUSY_SECONDS = 30.0
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

# beside the tables of version 1, so that an older Waystage reads the file as it always did
OUTCOME = """
CREATE TABLE IF NOT EXISTS outcome (
    request_id TEXT NOT NULL PRIMARY KEY, value REAL NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID
"""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the log, made if it is not there, and close it; errors name the file."""
    try:
        with closing(_connect(path)) as connection:
            _settle(connection, path)
            yield connection
    except sqlite3.OperationalError as error:
        raise Retryable(f"scoring log {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Hopeless(f"scoring log {path}: {error}; restore it or name another file") from error


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the log for one transaction that is durable when this ends without an error."""
    with opened(path) as connection, _transaction(connection):
        yield connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _connect(path: Path) -> sqlite3.Connection:
    if not path.absolute().parent.is_dir():
        raise Hopeless(f"scoring log {path}: there is no directory {path.absolute().parent}")
    # no transactions of the driver's own making: a deferred one ignores the busy timeout
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
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
    with _transaction(connection):
        if _version(connection):
            return  # another process made them while this one waited for the lock
        if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise Hopeless(f"{path} is no scoring log but another database: name another file")
        for statement in TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
