"""Leases: one holder per name, the others wait in the order in which they asked."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from waystage.store import schema as t
from waystage.store.shared import lock_name

LONGEST = 300  # characters of a name as the table keeps it


def take_lease(connection: Connection, name: str, run: int, state: str, entry: int) -> bool:
    """Take the lease if nobody holds it, or stand in line; answers whether it is held now."""
    name = name if len(name) <= LONGEST else hashlib.sha256(name.encode()).hexdigest()
    lock_name(connection, "lease", name)
    held = connection.execute(
        select(t.leases.c.id).where(t.leases.c.name == name, t.leases.c.held == 1)
    ).first()
    row = {"name": name, "run": run, "state": state, "entry": entry, "held": int(held is None)}
    connection.execute(insert(t.leases).values(row))
    return held is None


def free_lease(connection: Connection, run: int, state: str) -> Any:
    """Give a lease up, or the place in line; answers the row that holds it from now on, if any."""
    mine = (t.leases.c.run == run) & (t.leases.c.state == state)
    gone = connection.execute(select(t.leases).where(mine)).first()
    if gone is None:
        return None
    lock_name(connection, "lease", gone.name)
    # who held it may have given it to this run since
    gone = connection.execute(delete(t.leases).where(mine).returning(*t.leases.c)).first()
    if gone is None:
        return None  # another daemon moved this run: the commit will find out
    waiting = select(t.leases).where(t.leases.c.name == gone.name).order_by(t.leases.c.id).limit(1)
    following = connection.execute(waiting).first()
    if not gone.held or following is None:
        return None
    connection.execute(update(t.leases).where(t.leases.c.id == following.id).values(held=1))
    return following
