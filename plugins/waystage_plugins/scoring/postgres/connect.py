"""Ways to the server: connections that are used again, transactions, errors in one line."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from waystage.errors import Hopeless, Retryable
from waystage_plugins.scoring.postgres.tables import settle

if TYPE_CHECKING:
    from psycopg import Connection

IDLE_AT_MOST = 4  # connections to one log that this process keeps open
CONNECT_SECONDS = 10
WORK_MEMORY = "64MB"  # of one sort or hash: a day's rows fit


class Place(NamedTuple):
    """Where a log is: the server's URL and the schema there."""

    url: str
    namespace: str


_idle: dict[tuple[int, Place], list[Connection[Any]]] = {}  # by process: a fork has none
_guard = threading.Lock()


@contextmanager
def connected(place: Place) -> Iterator[Connection[Any]]:
    """Give a connection to the log, its tables made; errors name the log and are ours."""
    import psycopg

    try:
        connection = _taken(place) or _opened(place)
        try:
            yield connection
        finally:
            _given_back(place, connection)
    except (UnicodeEncodeError, psycopg.DataError) as error:
        raise Hopeless(f"{_named(place)} cannot keep this: {_line(error)}") from error
    except psycopg.ProgrammingError as error:
        raise Hopeless(f"{_named(place)}: {_line(error)}") from error
    except psycopg.Error as error:
        raise Retryable(f"{_named(place)}: {_line(error)}") from error


@contextmanager
def transaction(place: Place, *, one_moment: bool = False) -> Iterator[Connection[Any]]:
    """Give a connection in a transaction that is durable when this ends without an error.

    With `one_moment` everything that is read is of the moment of the first statement.
    """
    with connected(place) as connection, within(connection, place, one_moment=one_moment):
        yield connection


@contextmanager
def within(
    connection: Connection[Any], place: Place, *, one_moment: bool = False
) -> Iterator[None]:
    """Hold a transaction on a connection that is there already."""
    with connection.transaction():
        if one_moment:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # for this transaction alone, so that a pooler may give the connection to others
        connection.execute(f"SET LOCAL search_path TO {place.namespace}, pg_temp")
        connection.execute(f"SET LOCAL work_mem TO '{WORK_MEMORY}'")
        yield


def _taken(place: Place) -> Connection[Any] | None:
    with _guard:
        waiting = _idle.get((os.getpid(), place), [])
        while waiting:
            connection = waiting.pop()
            if _alive(connection):
                return connection
            connection.close()
    return None


def _alive(connection: Connection[Any]) -> bool:
    """Whether the server is still there: a server that ended has closed the line."""
    import select

    with suppress(OSError):
        readable, _, _ = select.select([connection.fileno()], [], [], 0)
        return not connection.closed and not readable
    return False


def _opened(place: Place) -> Connection[Any]:
    import psycopg

    connection = psycopg.connect(
        place.url, autocommit=True, connect_timeout=CONNECT_SECONDS,
        prepare_threshold=None,  # poolers that share connections know no prepared statements
    )  # fmt: skip
    try:
        settle(connection, place.namespace)
    except BaseException:
        connection.close()
        raise
    return connection


def _given_back(place: Place, connection: Connection[Any]) -> None:
    from psycopg.pq import TransactionStatus

    with _guard:
        waiting = _idle.setdefault((os.getpid(), place), [])
        idle = connection.info.transaction_status == TransactionStatus.IDLE
        if idle and len(waiting) < IDLE_AT_MOST:
            waiting.append(connection)
            return
    connection.close()


def forget_connections(place: Place) -> None:
    """Close what is kept open to the log."""
    with _guard:
        for connection in _idle.pop((os.getpid(), place), []):
            connection.close()


@atexit.register
def _close_all() -> None:
    for process, place in list(_idle):
        if process == os.getpid():
            forget_connections(place)


def _named(place: Place) -> str:
    """Name the log without what may be secret in its URL."""
    return f"scoring log {place.url.rpartition('@')[2].partition('?')[0]}, schema {place.namespace}"


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
