"""Opening a database with durable settings, in this version's shape."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from waystage.errors import StoreLocked, StoreUnfit
from waystage.store.address import address
from waystage.store.damage import DAMAGED, RESTORE, UNREADABLE
from waystage.store.driver import Told, driver_of
from waystage.store.log_room import LOG_PAGES
from waystage.store.packing import teach
from waystage.store.pooler import look
from waystage.store.upgrade import migrate

log = logging.getLogger("waystage.store")
# seconds, and milliseconds for the last: a server that is gone without a word is noticed
PATIENCE = {
    "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "client_encoding": "utf8",  # whatever the machine's or the database's own is
}  # fmt: skip
# that a transaction of the writer may take in all: what hangs in it holds rows of the others
HANGS = 30
KNOWS_LIMIT = 170_000  # PostgreSQL 17 has `transaction_timeout`


def open_database(url: str, *, upgrade: bool = True) -> Engine:
    """Open the database and bring its tables to this version's shape.

    Raises `StoreUnfit` when it cannot be reached, is damaged, or is of a newer version, and
    `StoreLocked` when it would have to be changed below a daemon that is at work.
    """
    engine = connect(url, session=False)
    try:
        if _has_sessions(engine):
            engine.dispose()
            engine = connect(url)
        migrate(engine, upgrade=upgrade)
    except (StoreLocked, StoreUnfit):
        engine.dispose()
        raise
    except (OperationalError, DatabaseError) as error:
        engine.dispose()
        reason = _first_line(error)
        cure = RESTORE if any(word in reason for word in DAMAGED) else ""
        raise StoreUnfit(f"database {address(url)!r}: {reason}{cure}") from error
    except UnicodeDecodeError as error:  # what the database says of itself is no text any more
        engine.dispose()
        raise StoreUnfit(f"database {address(url)!r}: {UNREADABLE}{RESTORE}") from error
    return engine


def _has_sessions(engine: Engine) -> bool:
    """Say whether sessions can be relied on: they cannot through a pooler in transaction mode."""
    found = look(engine)
    if found.loses:
        raise StoreUnfit(
            "through a pooler in transaction mode, and its sessions have synchronous_commit = off: "
            "acknowledged commits could be lost; ALTER ROLE … SET synchronous_commit = on"
        )
    if found.mode == "transaction":
        log.warning("the database is reached through a pooler in transaction mode: daemons do "
                    "not wake each other, each looks once a second")  # fmt: skip
    return found.mode != "transaction"


def connect(url: str, *, session: bool = True) -> Engine:
    """Open without touching the tables; without `session` each transaction stands alone."""
    parsed = address(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": 30, "check_same_thread": False})
        event.listen(engine, "connect", _sqlite_settings)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    if parsed.get_backend_name() == "postgresql":
        return _postgresql(parsed, session)
    raise StoreUnfit(f"database {parsed!r} is neither sqlite:///FILE nor postgresql://HOST/NAME")


def _postgresql(parsed: URL, session: bool) -> Engine:
    if find_spec("psycopg") is None:
        raise StoreUnfit('postgresql:// needs its driver: pip install "waystage[postgresql]"')
    # what is prepared belongs to a session
    arguments = PATIENCE if session else {**PATIENCE, "prepare_threshold": None}
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"), connect_args=arguments, pool_pre_ping=True
    )
    event.listen(engine, "connect", _postgresql_types)
    if session:
        event.listen(engine, "connect", _postgresql_settings)
    engine.update_execution_options(session=session)
    return engine


def for_writing(engine: Engine) -> Engine:
    """Give where the writer's connection comes from, whose transactions must not hang.

    What reads for long or migrates has no such limit, so it takes its connection elsewhere.
    """
    if engine.dialect.name != "postgresql" or not has_sessions(engine):
        return engine
    own = _postgresql(engine.url, session=True)
    event.listen(own, "connect", _limited)
    return own


def has_sessions(engine: Engine) -> bool:
    """Whether a connection keeps its session from one transaction to the next."""
    return bool(engine.get_execution_options().get("session", True))


def _postgresql_types(connection: Any, _record: Any) -> None:
    teach(connection.adapters)


def _postgresql_settings(connection: Any, _record: Any) -> None:
    connection.autocommit = True
    # an acknowledged commit must be one: a server that is set to lose some is overruled
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    )
    # a daemon that hangs in a transaction must not hold the others' rows for long
    connection.execute("SELECT set_config('idle_in_transaction_session_timeout', '15s', false)")
    connection.autocommit = False


def _limited(connection: Any, _record: Any) -> None:
    if connection.info.server_version < KNOWS_LIMIT:
        return
    connection.autocommit = True
    # the timeout of idle transactions does not see one whose last words were a pipeline's
    connection.execute(f"SELECT set_config('transaction_timeout', '{HANGS}s', false)")
    connection.autocommit = False


def _sqlite_settings(connection: Any, _record: Any) -> None:
    # the driver must not open transactions by itself: ours begin IMMEDIATE
    connection.isolation_level = None
    # 32 MB of log before its pages are copied: under load each page is copied once, not many times
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "cache_size=-16000",
        f"wal_autocheckpoint={LOG_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Any) -> None:
    # a read that turns into a write later ignores the busy timeout, so writers say so at once
    driver = driver_of(connection)
    if driver.in_transaction:
        return  # the writer's, which was begun below SQLAlchemy
    reads = connection.get_execution_options().get("reads")
    with Told(connection):
        driver.execute("BEGIN" if reads else "BEGIN IMMEDIATE")


def rooted(url: str, root: Path) -> str:
    """Give the URL, a relative SQLite file being one of the project's directory."""
    parsed = address(url)
    file = parsed.database
    if parsed.get_backend_name() == "sqlite" and file and not Path(file).is_absolute():
        parsed = parsed.set(database=str(root / file))
    return parsed.render_as_string(hide_password=False)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
