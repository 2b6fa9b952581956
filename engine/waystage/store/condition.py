"""How a database is: whole, of this version, with room, and what lies in it undone."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, select, text

from waystage.store import schema as t
from waystage.store.address import address
from waystage.store.drift import astray
from waystage.store.pooler import Pooling, look
from waystage.store.presence import AtWork, present
from waystage.store.shapes import STEPS, known_revisions, revision, steps


@dataclass(frozen=True, slots=True)
class Condition:
    """What a look at a database showed; times are microseconds since 1970."""

    kind: str  # sqlite, postgresql
    damage: tuple[str, ...]
    version: str | None
    known: bool  # whether this version of Waystage knows the schema
    current: bool
    ahead: int | None  # by how many steps it is newer, if this version does not know it
    journal: str  # of SQLite
    server: str  # version of PostgreSQL
    server_at: int | None  # the server's clock
    newest: int | None  # when a run was changed last
    overdue: int  # steps that are due for a while and that nobody has
    stuck: int  # steps whose holder's lease ran out
    owners: tuple[str, ...]
    daemons: tuple[AtWork, ...]  # that are at work on PostgreSQL
    astray: tuple[tuple[str, str, str, str], ...]  # service, snapshot, stage, state
    pooling: Pooling


def condition(engine: Engine, now: int, wall: int, late: int) -> Condition:
    """Look at a database without changing it; `late` µs after their time steps are overdue."""
    with engine.connect().execution_options(reads=True) as connection:
        found = revision(connection)
        known, head = known_revisions()
        sqlite = engine.dialect.name == "sqlite"
        facts: dict[str, Any] = {"newest": None, "overdue": 0, "stuck": 0, "owners": (),
                                 "daemons": (), "astray": ()}  # fmt: skip
        ahead = None if found is None or found in known else steps(str(head), found)
        if found in known or (ahead == STEPS and not sqlite):
            facts = _facts(connection, now - late, wall)
        return Condition(
            engine.dialect.name, _damage(connection) if sqlite else (), found, found in known,
            found == head, ahead,
            str(connection.exec_driver_sql("PRAGMA journal_mode").scalar()) if sqlite else "",
            "" if sqlite else str(connection.execute(text("SHOW server_version")).scalar()),
            None if sqlite else _server_at(connection), pooling=look(engine), **facts,
        )  # fmt: skip


def _facts(connection: Connection, before: int, wall: int) -> dict[str, Any]:
    w = t.work.c
    overdue = select(func.count()).select_from(t.work).where(w.owner.is_(None), w.due_at < before)
    stuck = select(func.count()).select_from(t.work).where(w.lease_until < wall)
    owners = select(w.owner).where(w.owner.is_not(None)).distinct()
    return {
        "newest": connection.execute(select(func.max(t.runs.c.changed_at))).scalar(),
        "overdue": connection.execute(overdue).scalar_one(),
        "stuck": connection.execute(stuck).scalar_one(),
        "owners": tuple(str(owner) for owner in connection.execute(owners).scalars()),
        "astray": tuple(astray(connection)),
        "daemons": tuple(present(connection)) if connection.dialect.name != "sqlite" else (),
    }


def _damage(connection: Connection) -> tuple[str, ...]:
    rows = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars()
    return tuple(str(row) for row in rows if row != "ok")


def _server_at(connection: Connection) -> int:
    query = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    return int(connection.execute(query).scalar_one())


def file_of(url: str) -> Path | None:
    """Give the file of a SQLite database; None for another."""
    parsed = address(url)
    named = parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:")
    return Path(str(parsed.database)) if named else None


def room(path: Path) -> tuple[int, float]:
    """Give the free bytes of the disk that a path lies on, and the part of it that is free."""
    usage = shutil.disk_usage(path if path.exists() else path.parent)
    return usage.free, usage.free / usage.total
