"""The intake of the scoring log: what comes at one time is written together, nothing is lost.

A request is answered once its rows are durable. What cannot be written soon is refused with
`Busy`, so that the sender keeps it and comes again; nothing is ever taken and then dropped.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from waystage.errors import Busy, Unavailable, WaystageError
from waystage.plugin import Label, Outcome, ScoredRow, ScoringLog

log = logging.getLogger("waystage.daemon")
MOST_WAITING = 50_000  # rows and labels that wait to be written, of all senders together
TOGETHER = 10_000  # rows in one transaction


@dataclass
class _Order:
    rows: list[ScoredRow] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    values: list[Outcome] = field(default_factory=list)
    kept: Future[int] = field(default_factory=Future)

    @property
    def size(self) -> int:
        return len(self.rows) + len(self.labels) + len(self.values)


@dataclass
class Counted:
    """What the intake has done since the daemon began."""

    taken: int = 0  # rows and labels that were kept
    refused: int = 0  # that were turned away because too many waited
    waiting: int = 0  # that are not written yet


class Intake:
    """Takes rows and labels from many senders, and writes them with one thread."""

    def __init__(self, target: Callable[[], ScoringLog], most: int = MOST_WAITING) -> None:
        self._target, self._most = target, most
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._left: _Order | None = None  # came after rows that were written together
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = False
        self.counted = Counted()

    def scores(self, rows: list[ScoredRow]) -> Future[int]:
        """Give what is done once the rows are durable: their number. Raises `Busy` when full."""
        return self._take(_Order(rows=rows))

    def labels(self, labels: list[Label], values: list[Outcome] | None = None) -> Future[int]:
        """Give what is done once labels and true values are durable: how many changed something."""
        return self._take(_Order(labels=labels, values=values or []))

    def close(self) -> None:
        """Write what waits, and take nothing more."""
        with self._guard:
            self._ended = True
        if self._thread is not None:
            self._orders.put(None)
            self._thread.join(timeout=10)

    def _take(self, order: _Order) -> Future[int]:
        with self._guard:
            if self._ended:
                raise Unavailable("the daemon is ending; send it again in a moment")
            counted = self.counted
            # whoever comes first is taken whatever its size, else a large batch never were
            if counted.waiting and counted.waiting + order.size > self._most:
                counted.refused += order.size
                raise Busy(
                    f"{counted.waiting} rows and labels wait to be written, and no more than "
                    f"{self._most} may; send it again in a moment"
                )
            counted.waiting += order.size
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="intake", daemon=True)
                self._thread.start()
        self._orders.put(order)
        return order.kept

    def _work(self) -> None:
        while orders := self._next():
            try:
                self._write(orders)
            except Exception as error:  # noqa: BLE001  # whatever a log raises; senders are told
                self._fail(orders, error)

    def _next(self) -> list[_Order]:
        """Give orders that are written together: one of labels, or several of rows."""
        first = self._left or self._orders.get()
        self._left = None
        if first is None:
            return []
        orders = [first]
        while first.rows and sum(order.size for order in orders) < TOGETHER:
            try:
                following = self._orders.get_nowait()
            except queue.Empty:
                break
            if following is None or not following.rows:
                self._put_back(following)
                break
            orders.append(following)
        return orders

    def _put_back(self, order: _Order | None) -> None:
        if order is None:
            self._orders.put(None)  # the end, which comes after everything else
        else:
            self._left = order

    def _write(self, orders: list[_Order]) -> None:
        target = self._target()
        if not orders[0].rows:
            told = orders[0]
            changed = target.label(told.labels) if told.labels else 0
            changed += target.outcomes(told.values) if told.values else 0
            self._done(told, changed)
            return
        target.append(row for order in orders for row in order.rows)
        for order in orders:
            self._done(order, order.size)

    def _fail(self, orders: list[_Order], error: Exception) -> None:
        """Tell the senders; of several the guilty one alone."""
        if len(orders) > 1:
            for order in orders:
                try:
                    self._write([order])
                except Exception as own:  # noqa: BLE001  # as above
                    self._fail([order], own)
            return
        if not isinstance(error, WaystageError):
            log.error("the scoring log failed", exc_info=error)
        self._release(orders[0])
        told = Unavailable(f"the scoring log cannot be written: {error}")
        told.__cause__ = error
        orders[0].kept.set_exception(told)

    def _done(self, order: _Order, answer: int) -> None:
        self._release(order)
        with self._guard:
            self.counted.taken += order.size
        order.kept.set_result(answer)

    def _release(self, order: _Order) -> None:
        with self._guard:
            self.counted.waiting -= order.size
