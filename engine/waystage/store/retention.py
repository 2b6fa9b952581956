"""Removing runs that ended long ago, and leaving a chained row that tells of each."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, exists, insert, select

from waystage.store import schema as t
from waystage.store.audit import purge_hash
from waystage.store.codec import load_row
from waystage.store.heads import purge_head
from waystage.store.shared import lock_name

OWN = (t.history, t.work, t.timers, t.tasks, t.leases, t.incidents, t.inbox, t.placements,
       t.measurements, t.pauses)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Old:
    """A run that ended before an instant; `why` says what it is still needed for."""

    no: int
    run: str
    rows: int
    head: bytes
    why: str = ""


def old_runs(connection: Connection, before: int, after: int, limit: int) -> list[Old]:
    """Give runs that ended before an instant (µs), those behind a number, in order."""
    r, p = t.runs.c, t.placements.c
    lives = exists().where(p.run == r.no, p.until.is_(None)).label("lives")
    query = select(r.no, r.id, r.revision, r.head, r.opened_by, r.body, lives)
    query = query.where(r.status == "ended", r.changed_at < before, r.no > after)
    return [
        Old(row.no, row.id, row.revision, bytes(row.head), _needed(connection, row))
        for row in connection.execute(query.order_by(r.no).limit(limit))
    ]


def _needed(connection: Connection, row: Any) -> str:
    if row.lives:
        return "what it deployed still runs"
    parent = (load_row(row.body).get("parent") or {}) if row.opened_by.startswith("child/") else {}
    if parent:
        r = t.runs.c
        query = select(r.status).where(r.no == parent["no"])
        if connection.execute(query).scalar() == "open":
            return f"{parent['run']}, which called it, is open"
    return ""


def remove(connection: Connection, old: Old, by: str, at: int) -> bool:
    """Remove a run with all that is its own; False if it is not any more what was exported."""
    r = t.runs.c
    lock_name(connection, "purge", "")  # the rows that tell of it are one chain
    same = (r.no == old.no) & (r.revision == old.rows) & (r.head == old.head)
    if not connection.execute(delete(t.runs).where(same, r.status == "ended")).rowcount:
        return False
    for table in OWN:
        connection.execute(delete(table).where(table.c.run == old.no))
    _, before = purge_head(connection)
    told = (old.no, old.run, old.rows, old.head, at, by)
    row = dict(zip(("run", "name", "rows", "head", "at", "by"), told, strict=True))
    connection.execute(insert(t.purged).values(**row, hash=purge_hash(before, *told)))
    return True


def forget_sent(connection: Connection, before: int) -> int:
    """Remove messages that were sent before an instant; answers how many."""
    o = t.outbox.c
    return connection.execute(delete(t.outbox).where(o.sent_at < before)).rowcount


def vacuum(engine: Engine) -> None:
    """Give the disk back what removed rows took; who writes waits meanwhile."""
    if engine.dialect.name == "sqlite":
        with closing(engine.raw_connection()) as raw:  # beside the transactions of ours
            for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                raw.cursor().execute(statement).close()
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM")
