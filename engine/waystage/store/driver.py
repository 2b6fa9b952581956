"""The driver below SQLAlchemy, for statements that are run at every commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def driver_of(connection: Connection) -> Any:
    """Give the driver's own connection, in the same transaction."""
    return connection.connection.driver_connection


@contextmanager
def told(connection: Connection) -> Iterator[None]:
    """Raise what goes wrong at the driver as the kind of error that all other questions raise."""
    base = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except base as error:
        gone = connection.dialect.is_disconnect(error, driver_of(connection), None)
        if gone:
            connection.invalidate()
        raise DBAPIError.instance(
            None, None, error, base, connection_invalidated=gone, dialect=connection.dialect
        ) from error


def together(connection: Connection) -> AbstractContextManager[Any]:
    """Send the statements of the block to PostgreSQL in one go; answers come at its end."""
    driver = driver_of(connection)
    return driver.pipeline() if hasattr(driver, "pipeline") else nullcontext()


def asked(connection: Connection, text: str, parameters: Any) -> list[Any]:
    """Ask; the transaction's BEGIN goes along with its first question."""
    with told(connection):
        with together(connection):
            cursor = driver_of(connection).execute(text, parameters)
        return list(cursor.fetchall())  # inside, the answer and the block's end were two trips
