"""Calling the steps that a transaction ordered: in the loop, or in a pool of threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from waystage.daemon.calls import Answered, call
from waystage.daemon.context import StepContext, placement_from
from waystage.daemon.crash import crash_point
from waystage.errors import Hopeless
from waystage.kernel import Run, events
from waystage.plugin import Placement, Plugin, Snapshot, Step
from waystage.store.codec import micros
from waystage.store.rows import Claim, PlacementRow

if TYPE_CHECKING:
    from waystage.daemon.engine import Engine
    from waystage.daemon.transaction import Delivery, Transaction

DEFAULT_TIMEOUT = 3600.0


@dataclass(slots=True)
class Call:
    """A claim that is being called."""

    claim: Claim
    ctx: StepContext
    began: float
    running: bool = False  # not only in the pool's queue


class Workers:
    """All calls of this daemon."""

    def __init__(
        self, engine: Engine, catalog: Mapping[str, type[Plugin]], connections: Any, threads: int
    ) -> None:
        self._engine, self._catalog, self._connections = engine, catalog, connections
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="waystage-step")
        self._held: dict[tuple[int, str], int] = {}
        self._calls: dict[tuple[int, str], Call] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._unsure = False
        self._renewing, self._renew_at = False, 0.0  # by the monotonic clock

    def doubt(self) -> None:
        """Remember that a commit may have claimed work of which this daemon knows nothing."""
        self._unsure = True

    def begin(self, tx: Transaction) -> None:
        """Call everything that the committed transaction claimed."""
        if tx.looked:
            self._unsure = False
            if self._renewing:
                self._renew_at = time.monotonic() + tx.lease / 4e6
        for place in tx.answered:
            self._held.pop(place, None)
        for claim in tx.claims:
            self._held[(claim.no, claim.slot)] = claim.fence
            hot = self._engine.runs.get(claim.no)
            run = hot.run if hot is not None else tx.touched[claim.no].hot.run
            self._begin(claim, run)

    def stop(self) -> list[Claim]:
        """Ask running calls to stop and take no more; gives the claims that were never called."""
        with self._lock:
            calls = list(self._calls.values())
            for call_ in calls:
                call_.ctx.cancel()
            self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        return [call_.claim for call_ in calls if not call_.running]

    def busy(self) -> bool:
        """Say whether anything is being called, or waits in the pool's queue."""
        with self._lock:
            return bool(self._calls)

    def still_ours(self, tx: Transaction, deliveries: list[Delivery]) -> list[Delivery]:
        """Keep the answers whose claim is still held; late ones become a note in the history."""
        shared = self._engine.store.shared
        claims = [d.claim for d in deliveries if d.claim is not None]
        fences = tx.store.fences(tx.connection, claims) if shared and claims else self._held
        return [self._checked(tx, delivery, fences) for delivery in deliveries]

    def hold(self, tx: Transaction) -> None:
        """Renew the leases of what is held and give up on calls past their timeout."""
        held = {(no, slot, fence) for (no, slot), fence in self._held.items()}
        if self._unsure:
            unknown = tx.store.owned(tx.connection, tx.owner) - held
            tx.store.give_back(tx.connection, unknown)
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
        from waystage.daemon.transaction import Delivery

        claim = delivery.claim
        if claim is None or fences.get((claim.no, claim.slot)) == claim.fence:
            if claim is not None:
                tx.answered.append((claim.no, claim.slot))
            return delivery
        order = claim.order
        note = events.noted(order["state"], order["entry"], "late answer dropped",
                            {"detail": order["use"], "key": order["key"]}, "engine")  # fmt: skip
        return Delivery(claim.no, note)

    def _begin(self, claim: Claim, run: Run) -> None:
        plugin = self._catalog.get(claim.order["use"])
        ctx = self._context(claim, run)
        if plugin is not None and issubclass(plugin, Step) and plugin.inline:
            self._finish(claim, ctx, self._call(plugin, claim, ctx), here=True)
            return
        with self._lock:
            self._calls[(claim.no, claim.slot)] = Call(claim, ctx, time.monotonic())
        self._pool.submit(self._in_pool, plugin, claim, ctx)

    def _call(self, plugin: type[Plugin] | None, claim: Claim, ctx: StepContext) -> Answered:
        return self._engine.meter.call(claim, ctx, lambda: call(plugin, claim, ctx))

    def _in_pool(self, plugin: type[Plugin] | None, claim: Claim, ctx: StepContext) -> None:
        with self._lock:
            mine = self._calls.get((claim.no, claim.slot))
            if self._closed or mine is None or mine.claim.fence != claim.fence:
                return  # given up before it began
            mine.running = True
        answered = self._call(plugin, claim, ctx)
        with self._lock:
            running = self._calls.get((claim.no, claim.slot))
            if running is not None and running.claim.fence == claim.fence:
                del self._calls[(claim.no, claim.slot)]
        self._finish(claim, ctx, answered, here=False)

    def _finish(self, claim: Claim, ctx: StepContext, answered: Answered, *, here: bool) -> None:
        from waystage.daemon.engine import Item, answer_item

        engine = self._engine
        if answered.event is not None:
            item = answer_item(claim, answered.event, answered.facts)
        else:
            assert answered.again is not None
            due = ctx.now + answered.again
            deadline = claim.order.get("deadline")
            if deadline and due > datetime.fromisoformat(deadline):
                where = (claim.order["state"], claim.order["entry"], claim.order["index"])
                late = events.step_failed(*where, "still waiting at its deadline", hopeless=True)
                item = answer_item(claim, late)
            else:
                item = Item(action=lambda tx: self._postpone(tx, claim, micros(due), answered))
        (engine.soon if here else engine.answered)(item)

    def _postpone(self, tx: Transaction, claim: Claim, due: int, answered: Answered) -> None:
        crash_point("before-postpone")
        tx.answered.append((claim.no, claim.slot))
        if tx.store.postpone(tx.connection, claim, due, answered.memo or {}):
            tx.rings_at(due)
        crash_point("after-postpone")

    def _expire(self, running: Call) -> None:
        from waystage.daemon.engine import answer_item

        limit = running.claim.order.get("timeout") or DEFAULT_TIMEOUT
        if time.monotonic() - running.began < limit:
            return
        place = (running.claim.no, running.claim.slot)
        with self._lock:
            if self._calls.get(place) is not running:
                return
            del self._calls[place]
        running.ctx.cancel()
        order = running.claim.order
        where = (order["state"], order["entry"], order["index"])
        event = events.step_failed(*where, f"no answer within {limit:g} s")
        self._engine.answered(answer_item(running.claim, event))

    def _context(self, claim: Claim, run: Run) -> StepContext:
        order = claim.order
        return StepContext(
            self._connections, self.placements, order["key"], run.id, order["state"], run.service,
            order["stage"] or None, _snapshot(run), run.params, order["attempt"], claim.memo,
        )  # fmt: skip


def _snapshot(run: Run) -> Snapshot:
    try:
        return Snapshot.model_validate(run.snapshot)
    except ValueError as error:
        raise Hopeless(f"the run's snapshot is damaged: {error}") from error


def _placement(row: PlacementRow) -> Placement:
    """A champion that was replaced but still runs is, to plugins, an older champion."""
    return placement_from(row.body, row.run, row.service, row.since)
