"""The store: one transaction per batch of events, claims, and what recovery needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import DBAPIError

from waystage.clock import wall_seconds
from waystage.store import schema as t
from waystage.store import shared
from waystage.store.address import address
from waystage.store.codec import dump
from waystage.store.commit import Statements
from waystage.store.damage import refuse_damaged
from waystage.store.database import for_writing, has_sessions, open_database
from waystage.store.driver import begin, commit
from waystage.store.filelock import FileLock
from waystage.store.foreign import Foreign
from waystage.store.log_room import lay_out_log
from waystage.store.openings import Openings
from waystage.store.turns import Turn, turn
from waystage.store.work import WorkStore

TRUSTED = 0.5  # seconds for which a connection is taken to be there still
SOON = 60_000_000  # microseconds: a step that asked to be called again within a minute is at work


class Store(WorkStore):
    """A database with Waystage's tables."""

    def __init__(self, url: str, *, upgrade: bool = True) -> None:
        super().__init__(open_database(url, upgrade=upgrade))
        self.foreign = Foreign()
        self.statements = Statements(self.engine)
        self.openings = Openings(self.engine)
        self.kept_definitions: set[str] = set()  # known to be committed; none is ever removed
        self.shared = self.engine.dialect.name != "sqlite"
        self._lock = _file_lock(url)
        self._writers = for_writing(self.engine)
        self._writer: Connection | None = None
        self._fresh_until = 0.0  # by the monotonic clock

    def occupy(self) -> None:
        """Take the database for this daemon; raises `StoreLocked` where only one may have it."""
        if self._lock is not None:
            self._lock.acquire()
            refuse_damaged(self.engine)

    def lay_out_log(self) -> bool:
        """Make room for SQLite's log, which makes commits cheaper; says whether it is there."""
        return lay_out_log(self.engine)

    def close(self) -> None:
        """Let go of the database."""
        self._let_go()
        self._writers.dispose()
        self.engine.dispose()
        if self._lock is not None:
            self._lock.release()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose transaction writes and commits at the end."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def committing(self) -> Iterator[Connection]:
        """Give the writer's own connection, in a transaction that commits at the end.

        It is held from one to the next; after a rest or a fault it is taken anew, and looked at.
        """
        if time.monotonic() > self._fresh_until:
            self._let_go()
        if self._writer is None:
            self._writer = self._writers.connect()
        try:
            begin(self._writer)
            yield self._writer
            commit(self._writer)
        except BaseException as error:
            self._let_go()
            self._turn_away(error)
            raise
        self._fresh_until = time.monotonic() + TRUSTED

    def _turn_away(self, error: BaseException) -> None:
        if shared.only_reads(error):
            for engine in (self.engine, self._writers):
                engine.dispose()  # all its connections are to a server that writes no more

    def _let_go(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def wall(self) -> int:
        """Give where leases are counted from; PostgreSQL adds its own clock."""
        return 0 if self.shared else int(wall_seconds() * 1e6)

    def turn(self, name: str, owner: str, lease: int) -> AbstractContextManager[Turn | None]:
        """Take the turn to do what only one daemon should do at a time; None: another has it."""
        return turn(self.engine, name, owner, lease)

    def alone(self, connection: Connection, name: str) -> None:
        """Have what is called so for this transaction alone, among all daemons."""
        shared.lock_name(connection, "alone", name)

    def announce(self, connection: Connection, owner: str) -> None:
        """Wake the other daemons when this transaction commits."""
        shared.announce(connection, owner)

    def listen(self, owner: str, heard: Callable[[], None]) -> shared.Listener | None:
        """Call back when another daemon announces something; None where that is not heard."""
        heard_of = self.shared and has_sessions(self.engine)
        return shared.Listener(self.engine, owner, heard) if heard_of else None

    def holds(self, run: int, seq: int, digest: bytes) -> bool:
        """Say whether a history row was written as given, also by a commit still on its way."""
        h = t.history.c
        try:
            if self.shared:
                shared.settled(self.engine, run, seq)
        except DBAPIError as error:
            self._turn_away(error)
            raise
        with self.reading() as connection:
            query = select(h.hash).where(h.run == run, h.seq == seq)
            found = connection.execute(query).scalar()
        return found is not None and bytes(found) == digest

    def load_runs(
        self, connection: Connection, numbers: list[int]
    ) -> dict[int, tuple[bytes, bytes, int]]:
        """Give body and head hash of runs, and since when (µs) they are where they are."""
        r = t.runs.c
        query = select(r.no, r.body, r.head, r.there_since).where(r.no.in_(numbers))
        found = connection.execute(query)
        return {row.no: (row.body, bytes(row.head), row.there_since) for row in found}

    def take_inbox(self, connection: Connection, limit: int) -> list[Any]:
        """Give events that wait for runs; the batch removes those that it delivers."""
        query = select(t.inbox).where(*self.foreign.without(t.inbox.c.run))
        query = query.order_by(t.inbox.c.id).limit(limit)
        return list(connection.execute(query.with_for_update(skip_locked=True, of=t.inbox)))

    def earliest(self, connection: Connection, after: int = -1) -> int | None:
        """Give the next instant at which the writer has something to do, held work left out.

        Work that was due by `after` is left out too: it lies there because it cannot be called
        yet. Messages are not the writer's work: their sender looks for them by itself.
        """
        w = t.work.c
        queries = (
            select(func.min(t.timers.c.due_at)).where(*self.foreign.without(t.timers.c.run)),
            select(func.min(w.due_at)).where(
                w.owner.is_(None), w.due_at > after, *self.foreign.without(w.run)
            ),
        )
        times = [connection.execute(query).scalar() for query in queries]
        return min((time for time in times if time is not None), default=None)

    def pending(self, now: int) -> int:
        """Count timers that are due, work that is held or due soon, and undelivered events."""
        soon = t.work.c.due_at <= now + SOON  # two questions, so that SQLite takes its index
        queries = (
            select(func.count()).select_from(t.timers).where(t.timers.c.due_at <= now),
            select(func.count()).select_from(t.work).where(soon, t.work.c.owner.is_(None)),
            select(func.count()).select_from(t.work).where(soon, t.work.c.owner.is_not(None)),
            select(func.count()).select_from(t.inbox),
        )
        with shared.answering(), self.reading() as connection:
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

    parsed = address(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return FileLock(Path(parsed.database))
