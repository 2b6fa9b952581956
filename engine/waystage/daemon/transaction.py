"""One transaction: events go through the kernel, and all that follows is written together."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from waystage.daemon.definitions import Definitions
from waystage.daemon.delivery import Delivery, Touched
from waystage.daemon.hot import HotRun, HotRuns
from waystage.daemon.opened import OpenedRuns
from waystage.errors import Newer, Spoiled, WaystageError
from waystage.kernel import Definition, Run
from waystage.kernel import commands as c
from waystage.kernel.definition import Node
from waystage.kernel.run import RUN_FIELDS
from waystage.store import Connection, Store
from waystage.store.codec import dump, load_row, micros, spoiled
from waystage.store.commit import Batch
from waystage.store.rows import FENCE_STEP, Claim
from waystage.store.work import HELD

log = logging.getLogger("waystage.daemon")
ALONE_SECONDS = 60.0


class Counts(Protocol):
    """Holds counted steps to their allowance."""

    def refuses(self, tx: Transaction, touched: Touched, order: c.StartStep) -> bool:
        """Count the step, or tell its run why it may not begin."""
        ...

    def over(self, tx: Transaction, touched: Touched, node: Node) -> None:
        """Note that the state has nothing under way any more."""
        ...

    def answered(
        self, tx: Transaction, touched: Touched, kind: str, order: Mapping[str, Any]
    ) -> None:
        """Note how a step ended."""
        ...


@dataclass
class Transaction(ABC):
    """Collects what one batch of deliveries leads to and writes it.

    What an event leads to is not known here, but to `Playing`: all that plays a part in it may
    know this class, and it knows none of them.
    """

    store: Store
    own: Connection
    definitions: Definitions
    runs: HotRuns
    now: datetime
    owner: str
    wall: int
    lease: int
    batch: Batch = field(default_factory=Batch)
    touched: dict[int, Touched] = field(default_factory=dict)
    queue: deque[Delivery] = field(default_factory=deque)
    asked: deque[tuple[Touched, c.AskStage]] = field(default_factory=deque)
    claims: list[Claim] = field(default_factory=list)
    answered: list[tuple[int, str]] = field(default_factory=list)
    left: list[tuple[str, str, float]] = field(default_factory=list)  # lifecycle, state, seconds
    _new: list[int] = field(default_factory=list)
    wake: int | None = None  # the earliest instant at which this batch made something due
    looked: bool = False  # what is due was looked for; `next_due` is what comes after
    next_due: int | None = None
    draining: bool = False  # the daemon is about to end: it orders, but others call
    sent: bool = False  # COMMIT is on its way
    mark: Callable[[str], str] | None = None  # of the keys that a signer has now
    room: Callable[[Transaction, c.StartStep, Run], bool] | None = None  # may it begin at once
    allowing: Counts | None = None
    taken: Counter[str] = field(default_factory=Counter)  # calls that this batch begins, by lane
    foreign: dict[int, WaystageError] = field(default_factory=dict)  # runs not readable here
    playing: int | None = None  # the run to which an event is just being delivered

    def __post_init__(self) -> None:
        self.opened = OpenedRuns(self.store, self.own)
        self.at = micros(self.now)

    @property
    def connection(self) -> Connection:
        """The connection for questions and changes besides the batch: they see the new runs."""
        self._show_opened()
        self.opened.changed()
        return self.own

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Advance the runs; what one event sets off in another run is delivered too."""
        self.queue.extend(deliveries)
        while self.queue or self.asked:
            if not self.queue:  # a stage answers when all that is known of the world is told
                self._answer(*self.asked.popleft())
                continue
            if self.queue[0].no not in self.touched:  # then all that the queue needs, at once
                self._load({d.no for d in self.queue} - self.touched.keys())
            delivery = self.queue.popleft()
            self.playing = delivery.no
            self._advance(delivery)
        self.playing = None

    @abstractmethod
    def _advance(self, delivery: Delivery) -> None:
        """Deliver one event to a run that is at hand, or see what else is to become of it."""

    @abstractmethod
    def _answer(self, touched: Touched, asked: c.AskStage) -> None:
        """Tell a run what the stage says that it asked."""

    def load(self, numbers: list[int], *, anew: bool = False) -> None:
        """Have runs at hand without delivering anything to them; raises `Newer` or `Spoiled`.

        `anew` is for who decides by what they are that nothing is written: what is held of a run
        may have been overtaken by another daemon, which only a write finds out.
        """
        for no in numbers if anew and self.store.shared else ():
            self.runs.drop(no)
        self._load(set(numbers) - self.touched.keys())
        for no in numbers:
            if no in self.foreign:
                raise self.foreign[no]

    def add(self, hot: HotRun, definition: Definition, row: tuple[Any, ...]) -> None:
        """Take in a run that is being opened; `row` is what never changes of its row."""
        self.touched[hot.no] = Touched(hot, 0, definition, row=row)
        self._new.append(hot.no)

    def load_for(self, numbers: set[int]) -> set[int]:
        """Have the runs at hand after the commit; gives those that cannot be read.

        Where others are at work they are read anew: what is held of a run may have been overtaken
        by the very daemon that ordered the step, and a call goes by what its run is.
        """
        wanted = numbers - self.touched.keys()
        held = {} if self.store.shared else {no: self.runs.get(no) for no in wanted}
        found = {no: hot for no, hot in held.items() if hot is not None}
        found |= {hot.no: hot for hot in self._read(list(wanted - found.keys()))}
        read = {no: hot for no, hot in found.items() if self._followed(hot) is not None}
        for hot in read.values():
            self.runs.put(hot)
        return wanted - read.keys()

    def write_rest(self) -> None:
        """Write the rare statements that were collected, so that questions see them."""
        for statement in self.batch.rest:
            self.connection.execute(statement)
        self.batch.rest.clear()

    def write(self) -> bool:
        """Write everything; False when another daemon moved one of the runs."""
        for touched in self.touched.values():
            self._flush(touched)
        if not self.store.statements.write(self.own, self.batch):
            return False
        if self.wake is not None and self.wake <= self.at:
            self.store.announce(self.own, self.owner)
        return True

    def last_history(self) -> tuple[int, int, bytes] | None:
        """Give run, number and hash of the last history row: what shows that this was committed."""
        if not self.batch.history:
            return None
        run, seq, *_, digest = self.batch.history[-1]
        return run, seq, digest

    def forget(self) -> None:
        """Have the runs of this transaction read anew: another daemon moved one of them."""
        for no in self.touched:
            self.runs.drop(no)

    def committed(self) -> None:
        """Hold what is now true for the next batch."""
        self.opened.committed()
        for no, touched in self.touched.items():
            if touched.hot.run.status == "ended":
                self.runs.drop(no)
            else:
                self.runs.put(touched.hot)

    def ended(self) -> list[Run]:
        """Give the runs that this transaction ended."""
        runs = [t.hot.run for t in self.touched.values() if t.open_before]
        return [run for run in runs if run.status == "ended"]

    def _load(self, numbers: set[int]) -> None:
        cold = []
        for no in numbers:
            hot = self.runs.get(no)
            if hot is None:
                cold.append(no)
            else:
                self._touch(hot)
        for hot in self._read(cold):
            self._touch(hot)

    def _read(self, numbers: list[int]) -> Iterator[HotRun]:
        rows = self.store.load_runs(self.own, numbers) if numbers else {}
        for no, (body, head, since) in rows.items():
            try:
                run = _run_from(no, load_row(body, "row", no))
            except (Newer, Spoiled) as why:
                self._leave(no, why)
            else:
                yield HotRun(no, run, head, ",".join(run.places), since)

    def leave_alone(self, no: int, why: Exception) -> None:
        """Look at a run that cannot be played again in a while, so that the others go on."""
        self.store.foreign.add_run(no, ALONE_SECONDS)
        trace = None if isinstance(why, WaystageError) else why
        log.error("%s; run number %d is left alone for a minute", why, no, exc_info=trace)

    def _leave(self, no: int, why: WaystageError) -> None:
        self.foreign[no] = why
        if isinstance(why, Spoiled):
            self.leave_alone(no, why)
        else:
            self.store.foreign.add_run(no)

    def _followed(self, hot: HotRun) -> Definition | None:
        """Give what the run is pinned to; None if only a newer daemon can follow it."""
        try:
            return self.definitions.by_hash(hot.run.definition)
        except Newer as why:
            self.store.foreign.add_definition(hot.run.definition)
            self.foreign[hot.no] = Newer(f"{hot.run.id}: {why}; ask a newer daemon")
            return None

    def _touch(self, hot: HotRun) -> None:
        definition = self._followed(hot)
        if definition is None:
            return
        own = hot.copy()  # the held one stays as it is until the commit
        was_open = hot.run.status == "open"
        self.touched[hot.no] = Touched(own, hot.run.revision, definition, open_before=was_open)

    def _show_opened(self) -> None:
        """Write the new runs as they are by now; what follows changes their rows."""
        for no in self._new:
            self._write_run(self.touched[no])
        self._new.clear()
        self.store.statements.show_opened(self.own, self.batch)

    def _flush(self, touched: Touched) -> None:
        hot = touched.hot
        if touched.row is not None or hot.run.revision != touched.before:
            self._write_run(touched)
        for slot, order in touched.work.items():
            if order is None:
                self.batch.drop_work.append((hot.no, slot))
            else:
                self._put_work(hot, slot, order)

    def _write_run(self, touched: Touched) -> None:
        run, no, at = touched.hot.run, touched.hot.no, self.at
        body = dump(run.to_json())
        row = (run.status, run.outcome, touched.hot.places, run.revision, body, touched.hot.head,
               at, touched.hot.since)  # fmt: skip
        if touched.row is not None:
            self.batch.insert_runs.append((*touched.row, *row))
            touched.row, touched.before = None, run.revision
        else:
            self.batch.update_runs.append((*row, no, touched.before))

    def _put_work(self, hot: HotRun, slot: str, order: c.StartStep) -> None:
        due, fence = micros(order.due), hot.run.revision * FENCE_STEP
        body = order_to_json(order)
        if hot.run.paused:
            due += HELD
        mine = order.due <= self.now and not self.draining and not hot.run.paused
        mine = mine and (self.room is None or self.room(self, order, hot.run))
        owner, until = (self.owner, self.wall + self.lease) if mine else (None, None)
        self.batch.put_work.append((hot.no, slot, dump(body), due, owner, until, fence, int(mine)))
        if mine:
            self.claims.append(Claim(hot.no, slot, fence, body))
        else:
            self.rings_at(due)

    def rings_at(self, due: int) -> None:
        """Note that something is due at that instant."""
        self.wake = due if self.wake is None else min(self.wake, due)


def _run_from(no: int, value: Any) -> Run:
    if isinstance(value, dict) and value.keys() - set(RUN_FIELDS):
        raise Newer(f"a newer version of Waystage wrote run number {no}")
    try:
        run = Run.from_json(value)
        run.places  # noqa: B018  # what else there is of it, its own history would not show
    except (TypeError, AttributeError) as error:
        raise spoiled("row", error, no) from error
    return run


def order_to_json(order: c.StartStep) -> dict[str, Any]:
    """Give the order as the work table keeps it."""
    return {
        "state": order.state, "entry": order.entry, "index": order.index, "key": order.key,
        "use": order.use, "config": order.config, "attempt": order.attempt, "kind": order.kind,
        "timeout": order.timeout, "stage": order.stage,
        "deadline": order.deadline.isoformat() if order.deadline else None,
        **({"again": True} if order.again else {}),
    }  # fmt: skip
