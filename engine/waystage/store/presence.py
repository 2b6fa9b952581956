"""Who is at work on a PostgreSQL, and with which version; who is silent for a lease is dead."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from waystage.store import schema as t
from waystage.store.commit import lease_clock

KEPT = 86_400_000_000  # µs for which one that fell silent is remembered


@dataclass(frozen=True, slots=True)
class AtWork:
    """A daemon: its version, the newest schema that it knows, and where it runs."""

    name: str
    version: str
    knows: str
    place: str


def say_present(connection: Connection, daemon: AtWork, lease: int) -> None:
    """Keep that a daemon is at work for `lease` microseconds from now on."""
    clock = lease_clock(connection.engine)
    row = {"name": daemon.name, "version": daemon.version, "knows": daemon.knows,
           "place": daemon.place[:300], "since": clock, "until": lease + clock}  # fmt: skip
    new = insert(t.daemons).values(**row)
    connection.execute(
        new.on_conflict_do_update(index_elements=["name"], set_={"until": new.excluded.until})
    )


def say_gone(connection: Connection, names: Collection[str]) -> None:
    """Forget daemons that have ended, and those that fell silent long ago."""
    d = t.daemons.c
    old = d.until < lease_clock(connection.engine) - KEPT
    connection.execute(delete(t.daemons).where(d.name.in_(names) | old))


def present(connection: Connection) -> list[AtWork]:
    """Give the daemons that are at work, the oldest first."""
    d = t.daemons.c
    query = select(d.name, d.version, d.knows, d.place)
    query = query.where(d.until >= lease_clock(connection.engine)).order_by(d.since, d.name)
    return [AtWork(*row) for row in connection.execute(query)]
