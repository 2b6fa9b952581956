"""The daemon's heart: one writer that commits whatever waits, then calls what it ordered.

Events gather while a transaction commits and go into the next one together, so that batches
form by themselves. Steps that promise not to block are called in the loop, others in a pool.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from waystage.clock import Clock, wall_seconds
from waystage.daemon.crash import crash_point
from waystage.daemon.definitions import Definitions
from waystage.daemon.hot import HotRuns
from waystage.daemon.opening import Opening, open_run
from waystage.daemon.sweep import sweep
from waystage.daemon.transaction import Delivery, Transaction
from waystage.daemon.workers import Workers
from waystage.errors import Unavailable, WaystageError
from waystage.kernel import Event
from waystage.plugin import Plugin
from waystage.store import DatabaseError, Store
from waystage.store.codec import instant, micros
from waystage.store.rows import Claim
from waystage.timers import Alarm

log = logging.getLogger("waystage.daemon")
LEASE_SECONDS = 60
BATCH = 512
POLL_SECONDS = 1.0
RETRY_SECONDS = 0.5
R = TypeVar("R")
_serial = itertools.count(1)


class _Stale(Exception):  # no error: another daemon was faster
    """A run of the transaction was moved by another daemon."""

    def __init__(self, tx: Transaction) -> None:
        super().__init__()
        self.tx = tx


@dataclass(slots=True)
class Item:
    """One thing for the writer to do, and who waits for its commit."""

    deliveries: list[Delivery] = field(default_factory=list)
    action: Callable[[Transaction], Any] | None = None
    future: Future[Any] | None = None
    result: Any = None


class Engine:
    """Runs lifecycles on a store until it is stopped."""

    def __init__(
        self,
        store: Store,
        definitions: Definitions,
        catalog: Mapping[str, type[Plugin]],
        clock: Clock,
        *,
        connections: Any = None,
        threads: int = 8,
    ) -> None:
        self.store, self.definitions, self.clock = store, definitions, clock
        self.owner = f"{socket.gethostname()[:30]}-{os.getpid()}-{next(_serial)}"
        self.runs = HotRuns()
        self.workers = Workers(self, catalog, connections, threads)
        self._inbox: SimpleQueue[Item | None] = SimpleQueue()
        self._local: deque[Item] = deque()
        self._alarm = Alarm(self.wake)
        self._next_due: int | None = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="waystage-writer", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Take the database, take up what a dead daemon left, and begin."""
        self.store.occupy()
        if not self.store.shared:
            with self.store.writing() as connection:
                self.store.release_all(connection)
        self._alarm.start()
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch under way; what is being called is called again by the next daemon."""
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self._alarm.stop()
        self.workers.stop()

    def wake(self) -> None:
        """Look for due work now."""
        self._inbox.put(None)

    def turned(self) -> None:
        """The clock was turned: everything may be due."""
        self._next_due = 0
        self.wake()

    def submit(self, no: int, event: Event) -> Future[Any]:
        """Deliver an event; the future is done when it is committed."""
        return self.act(lambda tx: tx.deliver([Delivery(no, event)]))

    def under_way(self) -> int:
        """Count what the writer has not committed yet."""
        return self._inbox.qsize() + len(self._local) + int(self._is_due())

    def act(self, action: Callable[[Transaction], R]) -> Future[R]:
        """Do something in the next transaction; the future is done when it is committed.

        A `WaystageError` of the action goes to its future and leaves nothing behind.
        """
        future: Future[R] = Future()
        self._inbox.put(Item(action=action, future=future))
        return future

    def open(self, opening: Opening) -> Future[str]:
        """Open a run, once per `opening.key`; gives its id."""
        return self.act(lambda tx: open_run(tx, opening))

    def answered(self, item: Item) -> None:
        """Take a step's answer, from any thread."""
        self._inbox.put(item)

    def soon(self, item: Item) -> None:
        """Take an answer of a step that was called in the loop."""
        self._local.append(item)

    def _loop(self) -> None:
        try:
            while not self._stopping.is_set():
                self._turn(self._gather())
        except BaseException as error:  # whatever stops the writer must be seen
            self.failure = error
            log.critical("the writer stopped: %s", error, exc_info=error)

    def _gather(self) -> list[Item]:
        items = [self._local.popleft() for _ in range(min(len(self._local), BATCH))]
        if not items and not self._is_due():
            self._rest()
            try:
                first = self._inbox.get(timeout=POLL_SECONDS)
            except Empty:
                self._next_due = 0
                return items
            if first is None:
                self._next_due = 0
            else:
                items.append(first)
        while len(items) < BATCH:
            try:
                more = self._inbox.get_nowait()
            except Empty:
                break
            if more is None:
                self._next_due = 0
            else:
                items.append(more)
        return items

    def _is_due(self) -> bool:
        return self._next_due is not None and self._next_due <= micros(self.clock.now())

    def _rest(self) -> None:
        due = None if self._next_due is None else instant(self._next_due)
        self._alarm.set(due, self.clock.now())

    def _turn(self, items: list[Item]) -> None:
        due = self._is_due()
        if not items and not due:
            return
        try:
            self._commit(items, due)
        except _Stale as stale:
            self._reload(stale.tx, items)
        except DatabaseError as error:
            self._postpone(items, error)
        except Exception as error:  # noqa: BLE001  # one bad item must not stop the others
            self._one_by_one(items, error)

    def _commit(self, items: list[Item], due: bool) -> None:
        wall = int(wall_seconds() * 1e6)
        with self.store.writing() as connection:
            tx = Transaction(
                self.store, connection, self.definitions, self.runs, self.clock.now(),
                self.owner, wall, LEASE_SECONDS * 1_000_000,
            )  # fmt: skip
            self._fill(tx, items, due)
            if not tx.write():
                raise _Stale(tx)
            crash_point("before-commit")
        crash_point("after-commit")
        tx.committed()
        for item in items:
            if item.future is not None:
                item.future.set_result(item.result)
        if tx.wake is not None:
            self._next_due = tx.wake if self._next_due is None else min(self._next_due, tx.wake)
        self.workers.begin(tx)

    def _fill(self, tx: Transaction, items: list[Item], due: bool) -> None:
        answers = self.workers.still_ours(tx, [d for item in items for d in item.deliveries])
        tx.deliver(answers)
        for item in items:
            if item.action is not None:
                item.result = item.action(tx)
        if due:
            self._next_due = sweep(tx, self.workers)

    def _reload(self, tx: Transaction, items: list[Item]) -> None:
        for no in tx.touched:
            self.runs.drop(no)
        self._local.extendleft(reversed(items))

    def _one_by_one(self, items: list[Item], error: Exception) -> None:
        """A refused action must not take the others of its batch with it."""
        if len(items) <= 1:
            if not isinstance(error, WaystageError):
                log.error("a transaction failed: %s", error, exc_info=error)
            if not items:
                self._next_due = None  # looked at again at the next poll
            elif items[0].future is not None:
                items[0].future.set_exception(error)
            return
        for item in items:
            self._turn([item])

    def _postpone(self, items: list[Item], error: DatabaseError) -> None:
        """Nothing was written: tell those who wait, keep the answers of steps, try again."""
        reason = str(error.orig or error).splitlines()[0]
        log.error("the database cannot be written (%s); trying again", reason)
        kept = [item for item in items if item.future is None]
        for item in items:
            if item.future is not None:
                text = f"the database cannot be written ({reason}); nothing was changed, try again"
                item.future.set_exception(Unavailable(text))
        self._local.extendleft(reversed(kept))
        self._stopping.wait(RETRY_SECONDS)


def answer_item(claim: Claim, event: Event, facts: Any = ()) -> Item:
    """Make the writer's item of a step's answer."""
    return Item([Delivery(claim.no, event, claim, tuple(facts))])
