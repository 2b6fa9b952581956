"""Claiming due work, holding it, and giving it back; a lease is told by the database's clock."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Select,
    Text,
    case,
    cast,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from waystage.store import rows as r
from waystage.store import schema as t
from waystage.store.arrays import FENCES, places
from waystage.store.codec import dump, load_row
from waystage.store.commit import lease_clock
from waystage.store.driver import asked
from waystage.store.foreign import Foreign
from waystage.store.presence import present, say_gone
from waystage.store.reads import Reader, timer_of
from waystage.store.turns import forget_turns, turn_owners

Held = tuple[int, str, int]  # run, slot, fencing number
PART = 400
HELD = 5000 * 366 * 86_400_000_000  # µs by which the work of a paused run is due later
FREE = {"owner": None, "lease_until": None}


class WorkStore(Reader):
    """Claims on the work table and the timers.

    Instants of leases are counted from `lease_clock`: callers give the machine's time for
    SQLite, and nothing but the length for PostgreSQL, whose own clock is added.
    """

    foreign: Foreign

    def due_timers(self, connection: Connection, now: int, limit: int) -> list[r.TimerRow]:
        """Take away and give the timers that are due; who takes a row fires it."""
        x = t.timers.c
        due = select(x.run, x.state, x.name).where(x.due_at <= now, *self.foreign.without(x.run))
        due = due.order_by(x.due_at).limit(limit)
        # a CTE that locks is evaluated once, so that the limit holds
        cte = due.with_for_update(skip_locked=True, of=t.timers).cte("due")
        taken = delete(t.timers).where(tuple_(x.run, x.state, x.name).in_(select(cte)))
        found = connection.execute(taken.returning(*t.timers.c)).all()
        rows = sorted(found, key=lambda row: (row.due_at, row.run, row.state, row.name))
        return [timer_of(row) for row in rows]

    def claim(
        self, connection: Connection, *, owner: str, now: int, wall: int, lease: int, limit: int
    ) -> list[r.Claim]:
        """Claim due work that nobody holds or whose holder's lease ran out, the oldest first."""
        w, clock = t.work.c, lease_clock(self.engine)
        free = self._free(owner, wall)
        due = select(w.run, w.slot).where(w.due_at <= now, free, *self.foreign.without(w.run))
        due = due.order_by(w.due_at).limit(limit)
        cte = due.with_for_update(skip_locked=True, of=t.work).cte("due")
        taken = (
            update(t.work)
            .where(tuple_(w.run, w.slot).in_(select(cte)))
            .values(
                owner=owner, lease_until=wall + lease + clock, fence=w.fence + 1, tries=w.tries + 1
            )
        )
        found = connection.execute(taken.returning(*t.work.c)).all()
        rows = sorted(found, key=lambda row: (row.due_at, row.run, row.slot))
        return [_claim(row) for row in rows]

    def candidates(
        self,
        connection: Connection,
        *,
        owner: str,
        now: int,
        wall: int,
        limit: int,
        without: Collection[str],
        full: Mapping[str, Collection[str]],
    ) -> list[r.Due]:
        """Give due work that nobody holds, the oldest first, and keep others from taking it.

        Plugins `without` are left out, and what would begin for a plugin, a stage or a service
        that is `full`.
        """
        w = t.work.c
        free = self._free(owner, wall)
        query = self._dues().where(w.due_at <= now, free, *self.foreign.without(w.run))
        if without:
            query = query.where(self._said("use").not_in(without))
        columns = {"plugin": self._said("use"), "stage": self._said("stage"),
                   "service": t.runs.c.service}  # fmt: skip
        for kind, names in full.items():
            if names:
                query = query.where(or_(_begun(), columns[kind].not_in(names)))
        query = query.order_by(w.due_at).limit(limit).with_for_update(skip_locked=True, of=t.work)
        return [_due(row) for row in connection.execute(query)]

    def _free(self, owner: str, wall: int) -> ColumnElement[bool]:
        """What nobody holds, or another daemon held for too long.

        A daemon knows what it calls itself: its own leases may seem to have ended when the
        clock was set forward, or when it hung and nobody else was there.
        """
        w = t.work.c
        if not self._is_shared():
            return w.owner.is_(None)  # there is no other daemon, and what a dead one held was freed
        ended = (w.owner != owner) & (w.lease_until < wall + lease_clock(self.engine))
        return or_(w.owner.is_(None), ended)

    def claim_these(
        self, connection: Connection, chosen: Sequence[r.Due], *, owner: str, wall: int, lease: int
    ) -> list[r.Claim]:
        """Claim work that `candidates` gave in this transaction."""
        w, until = t.work.c, wall + lease + lease_clock(self.engine)
        held = {"owner": owner, "lease_until": until, "fence": w.fence + 1, "tries": w.tries + 1}
        claims: list[r.Claim] = []
        for some in _in_parts([(due.no, due.slot, due.fence) for due in chosen]):
            taken = update(t.work).where(_these(some)).values(**held).returning(*t.work.c)
            claims += [_claim(row) for row in connection.execute(taken)]
        return claims

    def under_way(self, connection: Connection) -> list[r.Due]:
        """Give the work that any daemon calls, or that waits to be called again."""
        return [_due(row) for row in connection.execute(self._dues().where(_begun()))]

    def let_go(self, connection: Connection, claim: r.Claim, due: int) -> bool:
        """Free a claim whose call was cut off, so that it is called again as after a crash.

        False when it is no longer this daemon's.
        """
        mine = _these([(claim.no, claim.slot, claim.fence)])
        held = case((t.work.c.due_at >= HELD, HELD), else_=0)  # its run is paused
        freed = update(t.work).where(mine).values(**FREE, due_at=due + held)
        return connection.execute(freed).rowcount == 1

    def cut_off(self, connection: Connection, claims: Collection[Held], until: int) -> None:
        """Note that calls are cut off by a daemon that ends as it should: that is no crash.

        Others take them up `until` then, when its process is gone for sure.
        """
        end = until + lease_clock(self.engine)
        for some in _in_parts(claims):
            cut = update(t.work).where(_these(some))
            connection.execute(cut.values(tries=1, lease_until=end))

    def _is_shared(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def _dues(self) -> Select[Any]:
        w = t.work.c
        begun = _begun().label("begun")
        query = select(w.run, w.slot, w.fence, w.body, t.runs.c.service, begun)
        return query.join(t.runs, t.runs.c.no == w.run)

    def _said(self, key: str) -> Any:
        """Give an entry of the order, which the table keeps as the bytes of a JSON text."""
        if self.engine.dialect.name == "postgresql":
            return cast(func.convert_from(t.work.c.body, "UTF8"), JSON)[key].as_string()
        return func.json_extract(cast(t.work.c.body, Text), f"$.{key}")

    def renew(self, connection: Connection, claims: Collection[Held], until: int) -> None:
        """Hold claims for longer."""
        for some in _in_parts(claims):
            held = update(t.work).where(_these(some))
            connection.execute(held.values(lease_until=until + lease_clock(self.engine)))

    def postpone(
        self, connection: Connection, claim: r.Claim, due: int, memo: dict[str, Any]
    ) -> bool:
        """Put a claim back until `due`; False when it is no longer this daemon's."""
        held = case((t.work.c.due_at >= HELD, HELD), else_=0)  # its run is paused
        back = {**FREE, "due_at": due + held, "memo": dump(memo), "tries": 0}
        mine = _these([(claim.no, claim.slot, claim.fence)])
        return connection.execute(update(t.work).where(mine).values(**back)).rowcount == 1

    def give_back(self, connection: Connection, claims: Collection[Held]) -> None:
        """Let others have claims that were never called."""
        free = {**FREE, "tries": t.work.c.tries - 1}
        for some in _in_parts(claims):
            connection.execute(update(t.work).where(_these(some)).values(**free))

    def owners(self, connection: Connection) -> list[str]:
        """Give the daemons that hold work or a turn, or said that they are at work."""
        query = select(t.work.c.owner).where(t.work.c.owner.is_not(None)).distinct()
        held = [str(owner) for owner in connection.execute(query).scalars()]
        said = [each.name for each in present(connection)] if self._is_shared() else []
        return [*held, *turn_owners(connection), *said]

    def release(self, connection: Connection, owners: Collection[str] | None = None) -> int:
        """Free what these daemons, or all, were calling when they died, as is known for sure."""
        w = t.work.c
        if owners:
            forget_turns(connection, owners)
            say_gone(connection, owners)
        theirs = w.owner.is_not(None) if owners is None else w.owner.in_(owners)
        return connection.execute(update(t.work).where(theirs).values(**FREE)).rowcount

    def owned(self, connection: Connection, owner: str) -> set[Held]:
        """Give what the table says that this daemon holds."""
        w = t.work.c
        query = select(w.run, w.slot, w.fence).where(w.owner == owner)
        return {(row.run, row.slot, row.fence) for row in connection.execute(query)}

    def fences(self, connection: Connection, claims: list[r.Claim]) -> dict[tuple[int, str], int]:
        """Give the fencing numbers now in force, and keep them from changing till the commit."""
        found = asked(connection, FENCES, places([(c.no, c.slot, c.fence) for c in claims]))
        return {(run, slot): fence for run, slot, fence in found}


def _in_parts(claims: Collection[Held]) -> Iterator[list[Held]]:
    # in one order for all daemons, and few enough for the limits of both databases
    ordered = sorted(claims)
    for start in range(0, len(ordered), PART):
        yield ordered[start : start + PART]


def _these(claims: list[Held]) -> Any:
    w = t.work.c
    return tuple_(w.run, w.slot, w.fence).in_(claims)


def _begun() -> ColumnElement[bool]:
    return or_(t.work.c.owner.is_not(None), t.work.c.memo.is_not(None))


def _claim(row: Any) -> r.Claim:
    order, memo = load_row(row.body, "order", row.run), load_row(row.memo, "memo", row.run) or {}
    return r.Claim(row.run, row.slot, row.fence, order, row.tries, memo)


def _due(row: Any) -> r.Due:
    order = load_row(row.body, "order", row.run)
    return r.Due(row.run, row.slot, row.fence, order, row.service, bool(row.begun))
