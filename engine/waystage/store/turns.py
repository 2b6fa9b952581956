"""Turns: what only one daemon should do at a time, held by a lease of the database's clock.

A daemon that hangs loses its turn when the lease ends, whatever connections it holds; when it
goes on, its fencing number is an old one and nothing that it writes under it counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from waystage.store import schema as t
from waystage.store.commit import lease_clock

NEVER = 0  # an end that has passed


class Turn:
    """One daemon's right to do something; on SQLite, where there is one daemon, it always holds."""

    def __init__(self, engine: Engine, name: str, owner: str, lease: int, fence: int) -> None:
        self._engine, self._name, self._lease = engine, name, lease
        self._owner, self._fence = owner, fence

    def renew(self) -> bool:
        """Hold it for a whole lease from now on; False if another daemon has it."""
        if not _shared(self._engine):
            return True
        until = self._lease + lease_clock(self._engine)
        with self._engine.begin() as connection:
            return connection.execute(self._mine().values(until=until)).rowcount == 1

    def holds(self, connection: Connection) -> bool:
        """Say whether it is held; if so, nobody takes it before this transaction ends."""
        if not _shared(self._engine):
            return True
        turns = t.turns.c
        mine = (turns.name == self._name) & (turns.fence == self._fence)
        query = select(turns.fence).where(mine).with_for_update(read=True)
        return connection.execute(query).first() is not None

    def give_back(self) -> None:
        """Let another daemon have it at once."""
        if _shared(self._engine):
            with suppress(SQLAlchemyError), self._engine.begin() as connection:
                connection.execute(self._mine().values(until=NEVER))  # else its lease will end

    def _mine(self) -> Any:
        turns = t.turns.c
        return update(t.turns).where(turns.name == self._name, turns.fence == self._fence)


@contextmanager
def turn(engine: Engine, name: str, owner: str, lease: int) -> Iterator[Turn | None]:
    """Take the turn for `lease` microseconds; None while another daemon has it."""
    fence = _taken(engine, name, owner, lease) if _shared(engine) else 1
    if fence is None:
        yield None
        return
    mine = Turn(engine, name, owner, lease, fence)
    try:
        yield mine
    finally:
        mine.give_back()


def forget_turns(connection: Connection, owners: Collection[str]) -> None:
    """Free what daemons held that are known to be dead."""
    connection.execute(update(t.turns).where(t.turns.c.owner.in_(owners)).values(until=NEVER))


def turn_owners(connection: Connection) -> list[str]:
    """Give the daemons that hold turns."""
    query = select(t.turns.c.owner).where(t.turns.c.until > NEVER).distinct()
    return [str(owner) for owner in connection.execute(query).scalars()]


def _taken(engine: Engine, name: str, owner: str, lease: int) -> int | None:
    clock = lease_clock(engine)
    new = insert(t.turns).values(name=name, owner=owner, until=lease + clock, fence=1)
    free = t.turns.c.until < clock
    taken = new.on_conflict_do_update(
        index_elements=["name"], where=free,
        set_={"owner": owner, "until": new.excluded.until, "fence": t.turns.c.fence + 1},
    ).returning(t.turns.c.fence)  # fmt: skip
    with engine.begin() as connection:
        fence: int | None = connection.execute(taken).scalar()
    return fence


def _shared(engine: Engine) -> bool:
    return engine.dialect.name == "postgresql"
