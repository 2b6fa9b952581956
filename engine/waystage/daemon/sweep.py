"""What is due by the clock: timers, postponed work, events from other runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from waystage.daemon.delivery import Delivery
from waystage.kernel import Event, events
from waystage.store.codec import load_row, micros
from waystage.store.rows import TimerRow

if TYPE_CHECKING:
    from waystage.daemon.transaction import Transaction
    from waystage.daemon.workers import Workers

LIMIT = 200  # one batch holds others up no longer than this takes


def sweep(tx: Transaction, workers: Workers) -> int | None:
    """Deliver and claim what is due; answer the next instant at which something is."""
    workers.hold(tx)
    if tx.draining:
        return None
    now = micros(tx.now)
    fired = tx.store.due_timers(tx.connection, now, LIMIT)
    tx.deliver([_fired(timer) for timer in fired])
    found = tx.store.take_inbox(tx.connection, LIMIT)
    tx.batch.drop_inbox.extend((row.id,) for row in found)
    tx.deliver([_told(row) for row in found])
    claimed, more = workers.claiming.take(tx)
    # what this very transaction replaces or takes away is not called any more
    claimed = [c for c in claimed if not (c.no in tx.touched and c.slot in tx.touched[c.no].work)]
    if left := tx.load_for({claim.no for claim in claimed}):
        theirs = [claim for claim in claimed if claim.no in left]
        tx.store.give_back(tx.connection, [(c.no, c.slot, c.fence) for c in theirs])
        tx.rings_at(now)
        claimed = [claim for claim in claimed if claim.no not in left]
    tx.claims.extend(claimed)
    if more or max(len(fired), len(found)) == LIMIT:
        return now
    return tx.store.earliest(tx.connection, now)


def _told(row: Any) -> Delivery:
    return Delivery(row.run, Event.from_json(load_row(row.body, "event", row.run), row.actor))


def _fired(timer: TimerRow) -> Delivery:
    due = timer.due.isoformat()
    return Delivery(timer.no, events.timer_fired(timer.state, timer.entry, timer.name, due))
