"""What services had done of what is counted: begun once per step, ended once, kept for good."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from waystage.store import schema as t
from waystage.store.shared import lock_name


def uses_of(connection: Connection, service: str, name: str) -> list[Any]:
    """Give key, beginning and end of all; nobody else begins one before this transaction ends."""
    lock_name(connection, "allowance", f"{service} {name}")
    a = t.allowances.c
    mine = (a.service == service) & (a.name == name)
    return list(connection.execute(select(a.key, a.began, a.ended).where(mine).order_by(a.id)))


def begin_use(connection: Connection, key: str, **row: Any) -> None:
    """Note that it begins; one that is ordered once more goes on from when it began."""
    mine = t.allowances.c.key == key
    if connection.execute(update(t.allowances).where(mine).values(ended=None)).rowcount == 0:
        connection.execute(insert(t.allowances).values(key=key, **row))


def end_use(connection: Connection, run: int, state: str, at: int) -> None:
    """Note that what the state has under way is over."""
    a = t.allowances.c
    mine = (a.run == run) & (a.state == state) & a.ended.is_(None)
    connection.execute(update(t.allowances).where(mine).values(ended=at))


def forget_use(connection: Connection, key: str) -> None:
    """Count it no more: it was refused before anything was done."""
    connection.execute(delete(t.allowances).where(t.allowances.c.key == key))
