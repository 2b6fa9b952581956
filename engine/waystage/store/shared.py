"""What several daemons on one PostgreSQL need of each other: wake-ups, names, faults told apart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Literal

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)

from waystage.errors import Unavailable
from waystage.store import schema as t

log = logging.getLogger("waystage.store")
CHANNEL = "waystage"
AGAIN_SECONDS = 0.5
SETTLE_SECONDS = 2  # that a commit of which nobody knows is waited for at a time
LOOK_SECONDS = 0.5  # between two looks at whether to stop
# serialization, deadlock, and a row that another daemon wrote first
CONFLICTS = ("40001", "40P01", "23505")
READ_ONLY = "25006"
REFUSED = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
Fault = Literal["conflict", "refused", "unreachable"]


def fault_of(error: DBAPIError) -> Fault:
    """Tell what to do: try the same again, refuse what was asked, or wait for the database."""
    if getattr(error.orig, "sqlstate", None) in CONFLICTS:
        return "conflict"
    return "refused" if isinstance(error, REFUSED) else "unreachable"


def settled(engine: Engine, run: int, seq: int) -> None:
    """Wait until no transaction that has written a history row is open any more.

    Its COMMIT may be on its way while its line is cut already. Who writes a row of the same key
    waits for it; that row is not kept. Raises what a database raises that does not answer when
    it is open for too long.
    """
    row = {"run": run, "seq": seq, "at": 0, "actor": "", "body": b"", "hash": b""}
    with engine.connect() as connection, connection.begin() as asking:
        connection.execute(text(f"SET LOCAL lock_timeout = '{SETTLE_SECONDS}s'"))
        connection.execute(postgresql.insert(t.history).values(row).on_conflict_do_nothing())
        asking.rollback()


def only_reads(error: BaseException) -> bool:
    """Whether the server takes no writes any more: another one is the primary by now."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) == READ_ONLY


@contextmanager
def answering() -> Iterator[None]:
    """Turn the fault of a database that is away into `Unavailable`, for who only asks."""
    try:
        yield
    except DBAPIError as error:
        if fault_of(error) != "unreachable":
            raise
        said = f"the database does not answer ({_first_line(error)}); try again"
        raise Unavailable(said) from error


def lock_name(connection: Connection, kind: str, name: str) -> None:
    """Have what is called so for this transaction alone; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(f"{kind} {name}", 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def announce(connection: Connection, owner: str) -> None:
    """Wake the other daemons when this transaction commits."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(CHANNEL, owner)))


class Listener:
    """Calls back when another daemon announces something; polling is the safety net."""

    def __init__(self, engine: Engine, owner: str, heard: Callable[[], None]) -> None:
        self._engine, self._owner, self._heard = engine, owner, heard
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="waystage-listen", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hear no more."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001  # polling goes on; listen again soon
                log.info("wake-ups are not heard at the moment: %s", _first_line(error))
                self._stopping.wait(AGAIN_SECONDS)

    def _listen(self) -> None:
        pooled = self._engine.raw_connection()
        driver: Any = pooled.driver_connection
        pooled.detach()  # a connection of its own, not the pool's
        with closing(driver):
            driver.autocommit = True
            driver.execute(f"LISTEN {CHANNEL}")
            self._heard()  # something may have been announced before
            while not self._stopping.is_set():
                for note in driver.notifies(timeout=LOOK_SECONDS, stop_after=1):
                    if note.payload != self._owner:
                        self._heard()


def _first_line(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0] if lines else type(error).__name__
