"""Calling the steps that a transaction ordered: in the loop, or by an executor."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from waystage.daemon.calls import Answered, call, covered, failed, lost
from waystage.daemon.claiming import Claiming
from waystage.daemon.context import StepContext, placement_from
from waystage.daemon.crash import crash_point
from waystage.daemon.delivery import Delivery
from waystage.daemon.executors.base import Call
from waystage.daemon.executors.lanes import INLINE, THREAD, Lanes
from waystage.daemon.items import Item, answer_item
from waystage.daemon.masks import Masks
from waystage.errors import Spoiled
from waystage.kernel import Event, Run, events
from waystage.kernel.work import POISON
from waystage.plugin import Placement, Plugin, Snapshot
from waystage.spec.execution import Execution
from waystage.store import rare
from waystage.store.codec import micros
from waystage.store.rows import Claim, PlacementRow

if TYPE_CHECKING:
    from waystage.daemon.engine import Engine
    from waystage.daemon.transaction import Transaction


log = logging.getLogger("waystage.daemon")


class Workers:
    """All calls of this daemon."""

    def __init__(
        self, engine: Engine, catalog: Mapping[str, type[Plugin]], connections: Any,
        execution: Execution,
    ) -> None:  # fmt: skip
        self._engine, self._catalog, self._connections = engine, catalog, connections
        known = getattr(connections, "masks", None)
        self._masks = Masks() if known is None else known
        self._lanes = Lanes(
            catalog, connections, execution, self._metered, self._answered, self._freed
        )
        self.claiming = Claiming(self._lanes)
        self._held: dict[tuple[int, str], int] = {}
        self._calls: dict[tuple[int, str], Call] = {}
        self._unsettled: dict[tuple[int, str], Call] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._unsure = self._ended = False
        self._renewing, self._renew_at = False, 0.0  # by the monotonic clock
        self._check_at = time.monotonic() + engine.lease / 1e6

    def mark_of(self, signer: str) -> str:
        """Give the mark of the keys that a signer has now; raises `Hopeless`."""
        return str(self._connections.mark_of(signer))

    def start(self) -> None:
        """Prepare what takes a while, in the background."""
        self._lanes.start()

    def doubt(self) -> None:
        """Remember that a commit may have claimed work of which this daemon knows nothing."""
        self._unsure = True

    def begin(self, tx: Transaction) -> None:
        """Call everything that the committed transaction claimed."""
        if tx.looked:
            if self._unsure:
                self._unsure, self._check_at = False, time.monotonic() + tx.lease / 1e6
            if self._renewing:
                self._renew_at = time.monotonic() + tx.lease / 4e6
        for place in tx.answered:
            self._held.pop(place, None)
        if self._calls or self._unsettled:
            self._let_go_of(tx)
        for claim in tx.claims:
            self._held[(claim.no, claim.slot)] = claim.fence
            hot = self._engine.runs.get(claim.no)
            run = hot.run if hot is not None else tx.touched[claim.no].hot.run
            self._begin(claim, run)
        if self._ended and (self.claiming.queued or self.claiming.held_up):
            self._ended = False
            self._engine.wake()  # what ended made room

    def stop(self) -> tuple[list[Claim], list[Claim]]:
        """Ask running calls to stop and take no more.

        Gives the claims that were never called, and those whose call ends with this daemon.
        """
        with self._lock:
            calls = list(self._calls.values())
            self._closed = True
        for each in calls:
            if not self._outlives(each):
                each.ctx.cancel()
        self._lanes.stop()
        uncalled = [each.claim for each in calls if not each.running]
        cut_off = [each.claim for each in calls if each.running and not self._outlives(each)]
        return uncalled, cut_off

    def busy(self) -> bool:
        """Say whether anything is being called that would end with this daemon."""
        with self._lock:
            return any(not self._outlives(each) for each in self._calls.values())

    def lose(self, item: Item) -> None:
        """Hold no more what was answered by what cannot be written.

        It is given back and called again, until it is in quarantine.
        """
        for delivery in item.deliveries:
            if delivery.claim is not None:
                self._held.pop((delivery.claim.no, delivery.claim.slot), None)

    def still_ours(self, tx: Transaction, deliveries: list[Delivery]) -> list[Delivery]:
        """Keep the answers whose claim is still held; late ones become a note in the history.

        Where several daemons are at work, what this one knows is held against the table when the
        batch is written; the table is asked first when that has just failed.
        """
        claims = [d.claim for d in deliveries if d.claim is not None]
        if claims and self._engine.careful:
            fences = tx.store.fences(tx.connection, claims)
            return [self._checked(tx, delivery, fences) for delivery in deliveries]
        kept = [self._checked(tx, delivery, self._held) for delivery in deliveries]
        if self._engine.store.shared:
            still = [d.claim for d in kept if d.claim is not None]
            tx.batch.in_force.extend((claim.no, claim.slot, claim.fence) for claim in still)
        return kept

    def hold(self, tx: Transaction) -> None:
        """Renew the leases of what is held and give up on calls past their timeout."""
        held = {(no, slot, fence) for (no, slot), fence in self._held.items()}
        self._unsure = self._unsure or time.monotonic() >= self._check_at
        if self._unsure:
            unknown = tx.store.owned(tx.connection, tx.owner) - held
            tx.store.give_back(tx.connection, unknown)
            for no, slot, _ in unknown:  # else its run would stand still while this daemon lives
                log.warning("a step of run number %d%s was called by nobody; it is due again",
                            no, f" in {slot}" if slot else "")  # fmt: skip
        self._renewing = time.monotonic() >= self._renew_at
        if self._renewing:
            tx.store.renew(tx.connection, held, tx.wall + tx.lease)
        with self._lock:
            calls = list(self._calls.values())
        for running in calls:
            self._expire(running)

    def placements(self, service: str) -> list[Placement]:
        """Give what runs now for a service."""
        rows = self._engine.store.placements(service=service)
        return [_placement(row) for row in rows]

    def _checked(
        self, tx: Transaction, delivery: Delivery, fences: Mapping[tuple[int, str], int]
    ) -> Delivery:
        claim = delivery.claim
        if claim is None or fences.get((claim.no, claim.slot)) == claim.fence:
            if claim is not None:
                tx.answered.append((claim.no, claim.slot))
            return delivery
        return self._late(tx, claim)

    def _late(self, tx: Transaction, claim: Claim) -> Delivery:
        """Drop an answer: the run is past it, or another daemon calls the step by now.

        The call ended, and its daemon did not: it does not count for the quarantine.
        """
        order = claim.order
        if tx.store.shared and not self._lives_on(order["use"]):
            tx.batch.rest.append(rare.came_late(claim))
        note = events.noted(order["state"], order["entry"], "late answer dropped",
                            {"detail": order["use"], "key": order["key"]}, "engine")  # fmt: skip
        return Delivery(claim.no, note)

    def _begin(self, claim: Claim, run: Run) -> None:
        use = claim.order["use"]
        try:
            ctx = self._context(claim, run)
        except Spoiled as error:  # what was committed stays so; the step cannot be called
            self._engine.soon(answer_item(claim, _failure(claim, str(error))))
            return
        plugin, lane = self._catalog.get(use), self._lanes.of(use)
        if lane == INLINE or plugin is None:
            if (poisoned := self._poisoned(claim, outlives=False)) is not None:
                self._finish(claim, ctx, poisoned, here=True)
                return
            self._finish(claim, ctx, self._call(plugin, claim, ctx), here=True)
            return
        executor = self._lanes.executor(use)
        if (poisoned := self._poisoned(claim, outlives=executor.outlives)) is not None:
            self._finish(claim, ctx, poisoned, here=True)
            return
        made = Call(claim, plugin, ctx, identity_of(claim, run, self._connections))
        with self._lock:
            self._calls[made.place] = made
        executor.begin(made)

    def _poisoned(self, claim: Claim, *, outlives: bool) -> Answered | None:
        """Give the end of a step during which daemons died again and again."""
        if claim.tries <= POISON or outlives:
            return None
        return failed(claim, "the daemon ended each time before it answered", crashes=POISON)

    def _call(self, plugin: type[Plugin] | None, claim: Claim, ctx: StepContext) -> Answered:
        return self._engine.meter.call(claim, ctx, lambda: call(plugin, claim, ctx))

    def _metered(self, made: Call) -> Answered | None:
        return self._call(made.plugin, made.claim, made.ctx)

    def _outlives(self, made: Call) -> bool:
        return self._lives_on(made.plugin.use)

    def _lives_on(self, use: str) -> bool:
        """Whether calls of the plugin go on when their daemon dies: `tries` names them then."""
        return self._lanes.of(use) != INLINE and self._lanes.executor(use).outlives

    def _answered(self, made: Call, answered: Answered) -> None:
        """Take an executor's answer, from any thread."""
        with self._lock:
            if self._closed and not made.running:
                return
            if self._calls.get(made.place) is made:
                del self._calls[made.place]
                if self._outlives(made):
                    self._unsettled[made.place] = made
        self._ended = True
        self._finish(made.claim, made.ctx, answered, here=False)

    def _freed(self) -> None:
        if self.claiming.queued:
            self._engine.wake()

    def _let_go_of(self, tx: Transaction) -> None:
        """End calls whose answer the transaction made useless; forget what it has written."""
        for place in tx.answered:
            if (settled := self._unsettled.pop(place, None)) is not None:
                self._lanes.executor(settled.plugin.use).settled(settled)
        for no, touched in tx.touched.items():
            for slot in touched.work:
                if (made := self._calls.get((no, slot))) is not None:
                    self._unwanted(made)

    def _unwanted(self, made: Call) -> None:
        """Its run has left the state: nobody waits for the answer."""
        made.ctx.cancel()
        if self._lanes.of(made.plugin.use) == THREAD:
            return  # it keeps its thread until it ends, or its timeout
        with self._lock:
            self._calls.pop(made.place, None)
        self._held.pop(made.place, None)
        self._ended = True
        self._lanes.executor(made.plugin.use).give_up(made)

    def _finish(self, claim: Claim, ctx: StepContext, answered: Answered, *, here: bool) -> None:
        engine = self._engine
        if self._masks:
            answered = covered(answered, claim, self._masks)
        if answered.event is not None:
            item = answer_item(claim, answered.event, answered.facts)
        elif answered.again is None:
            pause = timedelta(seconds=min(60, 2 * 4 ** (claim.tries - 1)))
            item = Item(action=lambda tx: self._again(tx, claim, micros(ctx.now + pause)))
        elif _too_late(claim, due := ctx.now + answered.again):
            item = answer_item(claim, _failure(claim, "still waiting at its deadline"))
        else:
            item = Item(action=lambda tx: self._postpone(tx, claim, micros(due), answered))
        (engine.soon if here else engine.answered)(item)

    def _again(self, tx: Transaction, claim: Claim, due: int) -> None:
        """Have a step whose answer was lost called again: it looks first what holds."""
        if tx.store.let_go(tx.connection, claim, due):  # else the run is already at something else
            tx.answered.append((claim.no, claim.slot))
            tx.rings_at(due)

    def _postpone(self, tx: Transaction, claim: Claim, due: int, answered: Answered) -> None:
        crash_point("before-postpone")
        if tx.store.postpone(tx.connection, claim, due, answered.memo or {}):
            tx.answered.append((claim.no, claim.slot))
            tx.rings_at(due)
        crash_point("after-postpone")

    def _expire(self, made: Call) -> None:
        if time.monotonic() - made.began < made.timeout:
            return
        with self._lock:
            if self._calls.get(made.place) is not made:
                return
            del self._calls[made.place]
        executor = self._lanes.executor(made.plugin.use)
        executor.give_up(made)
        self._ended = True
        text = f"no answer within {made.timeout:g} s"
        self._finish(made.claim, made.ctx, lost(made.plugin, made.claim, text), here=False)

    def _context(self, claim: Claim, run: Run) -> StepContext:
        order = claim.order
        return StepContext(
            self._connections, self.placements, order["key"], run.id, order["state"], run.service,
            order["stage"] or None, _snapshot(run), run.params, order["attempt"], claim.memo,
        )  # fmt: skip


def _snapshot(run: Run) -> Snapshot:
    try:
        return Snapshot.model_validate(run.snapshot)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        raise Spoiled(f"the run's snapshot is damaged: {where}: {wrong['msg']}") from error


def identity_of(claim: Claim, run: Run, connections: Any) -> str:
    """Name a call so that a daemon that makes it again, and nobody else, gives it the same name.

    The fencing number goes up by one with each claim, as `tries` does; their difference is that
    of the order, and of each time that the step asked to be called again.
    """
    order = claim.order
    project = connections.files.project.spec.project if hasattr(connections, "files") else ""
    started = str(run.activities.get(order["state"], {}).get("started", ""))
    parts = (project, order["key"], started, str(claim.fence - claim.tries))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def _too_late(claim: Claim, due: datetime) -> bool:
    deadline = claim.order.get("deadline")
    return deadline is not None and due > datetime.fromisoformat(deadline)


def _failure(claim: Claim, why: str) -> Event:
    event = failed(claim, why, hopeless=True).event
    assert event is not None
    return event


def _placement(row: PlacementRow) -> Placement:
    """A champion that was replaced but still runs is, to plugins, an older champion."""
    return placement_from(row.body, row.run, row.service, row.since)
