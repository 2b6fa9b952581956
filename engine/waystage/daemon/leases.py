"""Leases: one holder per name, the others wait in the order in which they asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from waystage.kernel import events
from waystage.kernel.commands import TakeLease
from waystage.store import schema as t

if TYPE_CHECKING:
    from waystage.daemon.transaction import Transaction


def take_lease(tx: Transaction, no: int, command: TakeLease) -> None:
    """Grant the lease now if nobody holds it, or stand in line."""
    from waystage.daemon.transaction import Delivery

    held = tx.connection.execute(
        select(t.leases.c.id).where(t.leases.c.name == command.name, t.leases.c.held == 1)
    ).first()
    row = {"name": command.name, "run": no, "state": command.state, "entry": command.entry,
           "held": int(held is None)}  # fmt: skip
    tx.connection.execute(insert(t.leases).values(row))
    if held is None:
        tx.queue.append(Delivery(no, events.lease_granted(command.state, command.entry)))


def free_lease(tx: Transaction, no: int, state: str) -> None:
    """Give the lease up and grant it to the next in line."""
    from waystage.daemon.transaction import Delivery

    mine = (t.leases.c.run == no) & (t.leases.c.state == state)
    gone = tx.connection.execute(select(t.leases).where(mine)).first()
    if gone is None:
        return
    tx.connection.execute(delete(t.leases).where(t.leases.c.id == gone.id))
    waiting = select(t.leases).where(t.leases.c.name == gone.name).order_by(t.leases.c.id).limit(1)
    following = tx.connection.execute(waiting).first()
    if gone.held and following is not None:
        tx.connection.execute(update(t.leases).where(t.leases.c.id == following.id).values(held=1))
        event = events.lease_granted(following.state, following.entry)
        tx.queue.append(Delivery(following.run, event))
