"""The store: one transaction per batch of events, claims, and what recovery needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlalchemy.engine import make_url

from waystage.store import rows as r
from waystage.store import schema as t
from waystage.store.codec import dump, instant, load
from waystage.store.commit import Statements
from waystage.store.database import FileLock, open_database
from waystage.store.reads import Reader

SOON = 60_000_000  # microseconds: a step that asked to be called again within a minute is at work


class Store(Reader):
    """A database with Waystage's tables."""

    def __init__(self, url: str) -> None:
        super().__init__(open_database(url))
        self.statements = Statements(self.engine)
        self.shared = self.engine.dialect.name != "sqlite"
        self._lock = _file_lock(url)

    def occupy(self) -> None:
        """Take the database for this daemon; raises `StoreLocked` where only one may have it."""
        if self._lock is not None:
            self._lock.acquire()

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()
        if self._lock is not None:
            self._lock.release()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose transaction writes and commits at the end."""
        with self.engine.begin() as connection:
            yield connection

    def release_all(self, connection: Connection) -> int:
        """Give back every claim of a daemon that is dead for sure (SQLite, lock held)."""
        free = (
            update(t.work).where(t.work.c.owner.is_not(None)).values(owner=None, lease_until=None)
        )
        return connection.execute(free).rowcount

    def load_runs(
        self, connection: Connection, numbers: list[int]
    ) -> dict[int, tuple[dict[str, Any], bytes]]:
        """Give body and head hash of runs."""
        query = select(t.runs.c.no, t.runs.c.body, t.runs.c.head).where(t.runs.c.no.in_(numbers))
        return {row.no: (load(row.body), bytes(row.head)) for row in connection.execute(query)}

    def due_timers(self, connection: Connection, now: int, limit: int) -> list[r.TimerRow]:
        """Take away and give the timers that are due; who takes a row fires it."""
        query = (
            select(t.timers)
            .where(t.timers.c.due_at <= now)
            .order_by(t.timers.c.due_at)
            .limit(limit)
        )
        query = query.with_for_update(skip_locked=True)
        found = list(connection.execute(query))
        for row in found:
            connection.execute(
                delete(t.timers).where(
                    t.timers.c.run == row.run,
                    t.timers.c.state == row.state,
                    t.timers.c.name == row.name,
                    t.timers.c.due_at == row.due_at,
                )
            )
        return [
            r.TimerRow(x.run, x.state, x.name, x.entry, instant(x.due_at), load(x.spec))
            for x in found
        ]

    def claim(
        self, connection: Connection, *, owner: str, now: int, wall: int, lease: int, limit: int
    ) -> list[r.Claim]:
        """Claim due work that nobody holds or whose holder's lease ran out."""
        w = t.work.c
        free = or_(w.owner.is_(None), w.lease_until < wall)
        query = select(t.work).where(w.due_at <= now, free).order_by(w.due_at).limit(limit)
        claims = []
        for row in list(connection.execute(query.with_for_update(skip_locked=True))):
            connection.execute(
                update(t.work)
                .where(w.run == row.run, w.slot == row.slot)
                .values(
                    owner=owner, lease_until=wall + lease, fence=row.fence + 1, tries=row.tries + 1
                )
            )
            memo = load(row.memo) or {}
            claims.append(
                r.Claim(row.run, row.slot, row.fence + 1, load(row.body), row.tries + 1, memo)
            )
        return claims

    def renew(self, connection: Connection, claims: list[tuple[int, str, int]], until: int) -> None:
        """Hold claims for longer."""
        w = t.work.c
        for run, slot, fence in claims:
            mine = (w.run == run) & (w.slot == slot) & (w.fence == fence)
            connection.execute(update(t.work).where(mine).values(lease_until=until))

    def postpone(
        self, connection: Connection, claim: r.Claim, due: int, memo: dict[str, Any]
    ) -> bool:
        """Put a claim back until `due`; False when it is no longer this daemon's."""
        w = t.work.c
        mine = (w.run == claim.no) & (w.slot == claim.slot) & (w.fence == claim.fence)
        back = {"owner": None, "lease_until": None, "due_at": due, "memo": dump(memo), "tries": 0}
        return connection.execute(update(t.work).where(mine).values(**back)).rowcount == 1

    def fences(self, connection: Connection, claims: list[r.Claim]) -> dict[tuple[int, str], int]:
        """Give the fencing numbers now in force, and keep them from changing till the commit."""
        w = t.work.c
        numbers = {claim.no for claim in claims}
        query = select(w.run, w.slot, w.fence).where(w.run.in_(numbers)).with_for_update()
        return {(row.run, row.slot): row.fence for row in connection.execute(query)}

    def take_inbox(self, connection: Connection, limit: int) -> list[Any]:
        """Give events that wait for runs; the batch removes those that it delivers."""
        query = (
            select(t.inbox).order_by(t.inbox.c.id).limit(limit).with_for_update(skip_locked=True)
        )
        return list(connection.execute(query))

    def earliest(self, connection: Connection) -> int | None:
        """Give the next instant at which something is due, held work left out."""
        queries = (
            select(func.min(t.timers.c.due_at)),
            select(func.min(t.work.c.due_at)).where(t.work.c.owner.is_(None)),
            select(func.min(t.outbox.c.due_at)).where(t.outbox.c.sent_at.is_(None)),
        )
        times = [connection.execute(query).scalar() for query in queries]
        return min((time for time in times if time is not None), default=None)

    def pending(self, now: int) -> int:
        """Count timers that are due, work that is held or due soon, and undelivered events."""
        queries = (
            select(func.count()).select_from(t.timers).where(t.timers.c.due_at <= now),
            select(func.count()).select_from(t.work).where(t.work.c.due_at <= now + SOON),
            select(func.count()).select_from(t.inbox),
        )
        with self.reading() as connection:
            return sum(connection.execute(query).scalar_one() for query in queries)

    def keep_definition(
        self, connection: Connection, digest: str, lifecycle: str, body: dict[str, Any], at: int
    ) -> None:
        """Keep a lifecycle's text under its hash."""
        known = connection.execute(
            select(t.definitions.c.hash).where(t.definitions.c.hash == digest)
        ).first()
        if known is None:
            row = {"hash": digest, "lifecycle": lifecycle, "body": dump(body), "at": at}
            connection.execute(insert(t.definitions).values(row))


def _file_lock(url: str) -> FileLock | None:
    from pathlib import Path

    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return FileLock(Path(parsed.database))
