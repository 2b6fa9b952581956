"""The driver below SQLAlchemy, for what is done at every commit."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

NOT_TOGETHER: AbstractContextManager[None] = nullcontext()


def driver_of(connection: Connection) -> Any:
    """Give the driver's own connection, in the same transaction."""
    return connection.connection.driver_connection


class Told:
    """Raises what goes wrong at the driver as the kind of error that all other questions raise.

    A class and no generator: it is entered several times at each commit.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        """Begin; there is nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise the error of the driver as SQLAlchemy's."""
        if error is None:
            return
        connection, base = self._connection, self._connection.dialect.loaded_dbapi.Error
        if not isinstance(error, base):
            return
        gone = connection.dialect.is_disconnect(error, driver_of(connection), None)
        if gone:
            connection.invalidate()
        raise DBAPIError.instance(
            None, None, error, base, connection_invalidated=gone, dialect=connection.dialect
        ) from error


def begin(connection: Connection) -> None:
    """Begin a transaction that writes, below SQLAlchemy; its own questions take part in it.

    SQLAlchemy takes a tenth of a short transaction to begin and to end one.
    """
    if connection.dialect.name == "sqlite":  # PostgreSQL begins with the first statement
        with Told(connection):
            driver_of(connection).execute("BEGIN IMMEDIATE")


def commit(connection: Connection) -> None:
    """Commit what `begin` began."""
    if connection.in_transaction():  # it was asked something by way of SQLAlchemy
        connection.commit()
        return
    with Told(connection):
        driver_of(connection).commit()


def together(driver: Any) -> AbstractContextManager[Any]:
    """Send the statements of the block to PostgreSQL in one go; answers come at its end."""
    return driver.pipeline() if hasattr(driver, "pipeline") else NOT_TOGETHER


def asked(connection: Connection, text: str, parameters: Any) -> list[Any]:
    """Ask; the transaction's BEGIN goes along with its first question."""
    driver = driver_of(connection)
    with Told(connection):
        with together(driver):
            cursor = driver.execute(text, parameters)
        return list(cursor.fetchall())  # inside, the answer and the block's end were two trips
