"""The daemon's heart: one writer that commits whatever waits, then calls what it ordered.

Events gather while a transaction commits and go into the next one together, so that batches
form by themselves. Steps that promise not to block are called in the loop, others elsewhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from waystage.clock import Clock
from waystage.daemon.allowing import Allowing
from waystage.daemon.claiming import hand_over
from waystage.daemon.crash import crash_point
from waystage.daemon.definitions import Definitions
from waystage.daemon.delivery import Delivery
from waystage.daemon.hot import HotRuns
from waystage.daemon.items import Item, reason_of, refuse
from waystage.daemon.meter import Meter
from waystage.daemon.opening import Opening, open_run
from waystage.daemon.owner import dead_ones, own_name
from waystage.daemon.playing import Playing
from waystage.daemon.sweep import sweep
from waystage.daemon.transaction import Transaction
from waystage.daemon.workers import Workers
from waystage.errors import Spoiled, Unavailable, WaystageError
from waystage.kernel import Event
from waystage.plugin import Plugin
from waystage.spec.execution import Execution
from waystage.store import DatabaseError, Listener, Store, fault_of
from waystage.store.codec import instant, micros
from waystage.store.turns import Turn
from waystage.timers import Alarm

log = logging.getLogger("waystage.daemon")
LEASE_SECONDS = 60.0
BATCH = 512
POLL_SECONDS = 1.0
SOON = timedelta(seconds=2 * POLL_SECONDS)
RETRY_SECONDS = 0.5
PATIENCE_SECONDS = 5.0  # after that, who asked is told that nobody knows whether it was done
UNCHANGED, UNCERTAIN = "nothing was changed, try again", "look whether it was done"
MOST_CONFLICTS = 20  # in a row; then the batch is taken apart
# what a run that is not as it was written makes of the kernel
UNPLAYABLE = (LookupError, TypeError, ValueError, AttributeError)
R = TypeVar("R")


class _Stale(Exception):  # no error: another daemon was faster
    """A run of the transaction was moved by another daemon."""


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
        execution: Execution | None = None,
        lease: float = LEASE_SECONDS,
    ) -> None:
        self.store, self.definitions, self.clock = store, definitions, clock
        self.owner = own_name()
        self.runs = HotRuns()
        self.meter = Meter()
        self.fault = ""  # why nothing can be written at the moment
        self._allowing = Allowing(catalog)
        self.lease = int(lease * 1e6)  # µs for which it holds what it holds without a word
        self.workers = Workers(self, catalog, connections, execution or Execution())
        self._inbox: SimpleQueue[Item | None] = SimpleQueue()
        self._local: deque[Item] = deque()
        self._alarm = Alarm(self.wake)
        self._next_due: int | None = 0
        self._poll = min(POLL_SECONDS, lease / 3)
        self._look_at = 0.0  # by the monotonic clock: leases are renewed also under load
        self._conflicts = 0
        self._tx: Transaction | None = None
        self._listener: Listener | None = None
        self._draining, self._stopping = threading.Event(), threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._loop, name="waystage-writer", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Take the database, take up what a dead daemon left, and begin."""
        self.store.occupy()
        with self.store.writing() as connection:
            shared = self.store.shared
            dead = dead_ones(self.store.owners(connection)) if shared else None
            self.store.release(connection, dead)
        self._alarm.start()
        self.workers.start()
        self._thread.start()
        self._listener = self.store.listen(self.owner, self.wake)

    @property
    def ends(self) -> bool:
        """Whether nothing more is to be begun here."""
        return self._draining.is_set()

    @property
    def careful(self) -> bool:
        """Whether another daemon was faster just now: what is known of claims may be old."""
        return self.store.shared and self._conflicts > 0

    def turn(self, name: str) -> AbstractContextManager[Turn | None]:
        """Take the turn to do what only one daemon should do at a time; None: another has it."""
        return self.store.turn(name, self.owner, self.lease)

    def drain(self) -> None:
        """Begin nothing more: what comes is for others, what is being called is finished."""
        self._draining.set()

    def stop(self, grace: float = 0.0) -> None:
        """Take nothing more on, keep the answers that come within `grace` seconds, and end.

        What was not called yet is given back; what is still being called then is called again
        by another daemon when this one is gone for sure.
        """
        self.drain()
        self._wait_for_answers(grace)
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        if self._listener is not None:
            self._listener.stop()
        self._alarm.stop()
        hand_over(self.store, self.owner, *self.workers.stop())

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

    def act(self, action: Callable[[Transaction], R], *, key: str = "") -> Future[R]:
        """Do something in the next transaction; the future is done when it is committed.

        A `WaystageError` of the action goes to its future and leaves nothing behind.
        """
        future: Future[R] = Future()
        self._inbox.put(Item(action=action, future=future, key=key))
        if self._over:
            self._refuse_rest()
        return future

    def open(self, opening: Opening) -> Future[str]:
        """Open a run, once per `opening.key`; gives its id."""
        return self.act(lambda tx: open_run(tx, opening), key=opening.key)

    def answered(self, item: Item) -> None:
        """Take a step's answer, from any thread."""
        self._inbox.put(item)

    def soon(self, item: Item) -> None:
        """Take an answer of a step that was called in the loop."""
        self._local.append(item)

    def _wait_for_answers(self, grace: float) -> None:
        end = time.monotonic() + grace
        while self._thread.is_alive() and time.monotonic() < end:
            if not (self.workers.busy() or self._inbox.qsize() or self._local):
                return
            time.sleep(0.01)

    def _loop(self) -> None:
        try:
            while not self._stopping.is_set():
                self._turn(self._gather())
        except BaseException as error:  # whatever stops the writer must be seen
            self.failure = error
            log.critical("the writer stopped: %s", error, exc_info=error)
        finally:
            self._over = True
            self._refuse_rest()

    def _refuse_rest(self) -> None:
        """Tell those who ask at the very end at once that nobody will do it."""
        self._refuse_waiting("the daemon is ending; nothing was done")

    def _refuse_waiting(self, text: str) -> None:
        """Tell those whose turn has not come; the answers of steps are kept."""
        with suppress(Empty):
            while True:
                item = self._inbox.get_nowait()
                if item is not None:
                    self._local.append(item)
        refuse(self._local, text)
        self._local = deque(item for item in self._local if item.future is None)

    def _gather(self) -> list[Item]:
        items = [self._local.popleft() for _ in range(min(len(self._local), BATCH))]
        if time.monotonic() >= self._look_at:
            self._next_due = 0
        if not items and not self._is_due():
            self._rest()
            try:
                first = self._inbox.get(timeout=max(0.0, self._look_at - time.monotonic()))
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
        now = self.clock.now()
        due = None if self._next_due is None else instant(self._next_due)
        if due is not None and due - now > SOON:
            due = None  # the writer looks again before that
        self._alarm.set(due, now)

    def _turn(self, items: list[Item], *, alone: bool = False) -> None:
        due = self._is_due() and not alone
        if not items and not due:
            return
        try:
            self._commit(items, due)
            self._conflicts = 0
        except _Stale:
            self._again(items)
        except DatabaseError as error:
            self._failed(items, error)
        except Exception as error:  # noqa: BLE001  # one bad item must not stop the others
            self._isolate(items, error, due)

    def _commit(self, items: list[Item], due: bool) -> None:
        self._tx, began = None, time.perf_counter()
        with self.store.committing() as connection:
            tx = self._tx = Playing(
                self.store, connection, self.definitions, self.runs, self.clock.now(),
                self.owner, self.store.wall(), self.lease, draining=self._draining.is_set(),
                room=self.workers.claiming.at_once, mark=self.workers.mark_of,
                allowing=self._allowing,
            )  # fmt: skip
            self._fill(tx, items, due)
            if not tx.write():
                raise _Stale
            crash_point("before-commit")
            tx.sent = True
        self.meter.committed(len(tx.batch.history), time.perf_counter() - began)
        self._committed(tx, items)

    def _committed(self, tx: Transaction, items: list[Item]) -> None:
        crash_point("after-commit")
        self.fault = ""
        tx.committed()
        self.meter.moved(tx.left)
        if self.meter.ended is not None:
            for run in tx.ended():
                self.meter.ended(run)
        for item in items:
            if item.future is not None and not item.future.done():
                item.future.set_result(item.result)
        if tx.looked:
            self._next_due, self._look_at = tx.next_due, time.monotonic() + self._poll
        if tx.wake is not None:
            self._next_due = tx.wake if self._next_due is None else min(self._next_due, tx.wake)
        self.workers.begin(tx)

    def _fill(self, tx: Transaction, items: list[Item], due: bool) -> None:
        answers = self.workers.still_ours(tx, [d for item in items for d in item.deliveries])
        tx.deliver(answers)
        if keys := [item.key for item in items if item.key]:
            tx.opened.expect(keys)
        for item in items:
            if item.action is not None:
                item.result = item.action(tx)
        if due:
            tx.next_due, tx.looked = sweep(tx, self.workers), True

    def _again(self, items: list[Item]) -> None:
        """Another daemon was faster somewhere: do the same with what holds now."""
        self._conflicts += 1
        if self._tx is not None:
            self._tx.forget()
        self._local.extendleft(reversed(items))

    def _failed(self, items: list[Item], error: DatabaseError) -> None:
        fault = fault_of(error)
        if fault == "conflict" and self._conflicts < MOST_CONFLICTS:
            self._again(items)
        elif fault != "unreachable":
            self._conflicts = 0
            self._one_by_one(items, error)
        elif self.store.shared and self._tx is not None and self._tx.sent:
            self._find_out(self._tx, items, error)
        else:
            self._postpone(items, error)

    def _find_out(self, tx: Transaction, items: list[Item], error: DatabaseError) -> None:
        """The answer to COMMIT was lost: what the history says is what holds."""
        self.workers.doubt()
        row, since = tx.last_history(), time.monotonic()
        while row is not None and not self._stopping.is_set():
            try:
                if self.store.holds(*row):
                    self._committed(tx, items)
                    return
                break
            except DatabaseError as again:
                self._still_away(items, reason_of(again), time.monotonic() - since)
        tx.forget()
        self._postpone(items, error, certain=row is not None and not self._stopping.is_set())

    def _still_away(self, items: list[Item], reason: str, seconds: float) -> None:
        """Let nobody wait for a database that is gone; what was sent is looked for nevertheless."""
        log.error("the database does not answer (%s); trying again", reason)
        self.fault = reason
        self._refuse_waiting(f"the database does not answer ({reason}); {UNCHANGED}")
        if seconds > PATIENCE_SECONDS:
            refuse(items, f"the database went away while it was told ({reason}); {UNCERTAIN}")
        self._stopping.wait(RETRY_SECONDS)

    def _isolate(self, items: list[Item], error: Exception, due: bool) -> None:
        """Find out whose fault it is, so that one cannot hold up the others."""
        tx = self._tx
        if items and due:  # what is due comes again by itself
            for item in items:
                self._turn([item], alone=True)
        elif not items and tx is not None and isinstance(error, Spoiled) and error.run:
            tx.leave_alone(error.run, error)
        elif not items and tx is not None and tx.playing and isinstance(error, UNPLAYABLE):
            tx.leave_alone(tx.playing, error)
        else:
            self._one_by_one(items, error)

    def _one_by_one(self, items: list[Item], error: Exception) -> None:
        """A refused action must not take the others of its batch with it."""
        if len(items) <= 1:
            if items and self.store.shared and not items[0].fresh and self._tx is not None:
                items[0].fresh = True
                self._again(items)
                return
            if items and items[0].future is None and isinstance(error, Unavailable):
                self._local.extendleft(items)  # the answer of a step is kept until it is written
                self._stopping.wait(RETRY_SECONDS)
                return
            if not isinstance(error, WaystageError):
                log.error("a transaction failed: %s", error, exc_info=error)
            if not items:
                self._next_due, self._look_at = None, time.monotonic() + self._poll  # then again
            elif items[0].future is not None:
                items[0].future.set_exception(error)
            else:
                self.workers.lose(items[0])
            return
        for item in items:
            self._turn([item], alone=True)

    def _postpone(self, items: list[Item], error: DatabaseError, *, certain: bool = True) -> None:
        """Nothing was written: tell those who wait, keep the answers of steps, try again."""
        reason = reason_of(error)
        log.error("the database cannot be written (%s); trying again", reason)
        self.fault = reason
        kept = [item for item in items if item.future is None]
        so = UNCHANGED if certain else UNCERTAIN
        refuse(items, f"the database cannot be written ({reason}); {so}")
        self._local.extendleft(reversed(kept))
        self._stopping.wait(RETRY_SECONDS)
