"""A pooler between this daemon and PostgreSQL: whether one is there, and how it shares servers.

In transaction mode a connection has another server for each transaction. What belongs to a
session (settings, prepared statements, LISTEN) does not hold there; Waystage then does without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine

Mode = Literal["direct", "session", "transaction"]
LOOKS = 50  # others may be at work on the same pool
SETTINGS = ("synchronous_commit", "idle_in_transaction_session_timeout")


@dataclass(frozen=True, slots=True)
class Pooling:
    """How a database is reached, and what its sessions are set to where nobody sets them."""

    mode: Mode
    synchronous_commit: str = ""
    idle_timeout: str = ""

    @property
    def loses(self) -> bool:
        """Whether a crash of the server may lose commits that were acknowledged."""
        return self.mode == "transaction" and self.synchronous_commit == "off"


def look(engine: Engine) -> Pooling:
    """Look how the database is reached."""
    if engine.dialect.name != "postgresql":
        return Pooling("direct")
    with _lent(engine) as one:
        mode = _mode(engine, one)
        if mode != "transaction":
            return Pooling(mode)
        return Pooling(mode, *(_asked(one, f"SHOW {name}") for name in SETTINGS))


def _mode(engine: Engine, one: Any) -> Mode:
    # a pooler answers the greeting itself, with a number that is no server's
    before = _asked(one, "SELECT pg_backend_pid()")
    if before == str(one.info.backend_pid):
        return "direct"
    with _lent(engine) as other:
        other.autocommit = False
        for _ in range(LOOKS):
            # the server that was free last is lent first, unless somebody else is quicker
            seen = _asked(one, "SELECT pg_backend_pid()")
            taken = _asked(other, "SELECT pg_backend_pid()")
            other.rollback()
            if before != seen or taken == seen:
                return "transaction"
    return "session"


def _asked(driver: Any, query: str) -> str:
    return str(driver.execute(query, prepare=False).fetchone()[0])


@contextmanager
def _lent(engine: Engine) -> Iterator[Any]:
    """Give a driver's connection of its own, which commits each statement by itself."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.autocommit = True
        try:
            yield driver
        finally:
            connection.invalidate()  # whatever was done to it, nobody else gets it
