"""Which due steps this daemon takes: no more than it can call, and than the operator allows.

What it holds at its end it hands over.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from waystage.daemon.executors.lanes import INLINE, Lanes
from waystage.daemon.executors.limits import Room
from waystage.store import DatabaseError, Store
from waystage.store.codec import micros
from waystage.store.rows import Claim, Due

if TYPE_CHECKING:
    from waystage.daemon.transaction import Transaction
    from waystage.kernel import Run
    from waystage.kernel.commands import StartStep

log = logging.getLogger("waystage.daemon")
LIMIT = 500
HANDOVER = 5_000_000  # µs that a daemon needs at most to be gone when its calls are cut off


class Claiming:
    """Takes work as long as there is room in the lanes that would call it.

    `queued`: due work lies in the table that no lane here has room for. `held_up`: some that
    is over a limit. Both are looked at again when a call ends.
    """

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self.queued = self.held_up = False

    def at_once(self, tx: Transaction, order: StartStep, run: Run) -> bool:
        """Say whether a step may begin with the transaction that orders it.

        What is limited, or stands in line, is taken from the table in its turn.
        """
        lane = self._lanes.of(order.use)
        if lane == INLINE:
            return True
        if self.queued or self._lanes.limits.on(order.use, order.stage or "", run.service):
            return False
        if tx.taken[lane] >= self._lanes.free(lane):
            return False
        tx.taken[lane] += 1
        return True

    def take(self, tx: Transaction) -> tuple[list[Claim], bool]:
        """Claim what is due and can be called; say whether there may be more at once."""
        if self.queued or self._lanes.limits:
            return self._choose(tx)
        claimed = tx.store.claim(
            tx.connection, owner=tx.owner, now=micros(tx.now), wall=tx.wall, lease=tx.lease,
            limit=LIMIT,
        )  # fmt: skip
        left = self._left(tx)
        kept: list[Claim] = []
        over: list[tuple[int, str, int]] = []
        for claim in claimed:
            if self._fits(claim.order["use"], left):
                kept.append(claim)
                left[self._lanes.of(claim.order["use"])] -= 1
            else:
                over.append((claim.no, claim.slot, claim.fence))
        if over:
            tx.store.give_back(tx.connection, over)
            self.queued = True
        self._note(tx, kept)
        return kept, len(claimed) == LIMIT

    def _choose(self, tx: Transaction) -> tuple[list[Claim], bool]:
        room = self._room(tx)
        cannot, left = self._lanes.full(), self._left(tx)
        full = {kind: room.full(kind) for kind in ("plugin", "stage", "service")}
        found = tx.store.candidates(
            tx.connection, owner=tx.owner, now=micros(tx.now), wall=tx.wall, limit=LIMIT,
            without=cannot, full=full,
        )  # fmt: skip
        chosen, over = [], False
        for due in found:
            if _replaced(tx, due.no, due.slot):
                continue
            if not self._fits(due.order["use"], left):
                over = True
            elif due.begun or self._allowed(room, due):
                chosen.append(due)
                left[self._lanes.of(due.order["use"])] -= 1
            else:
                self.held_up = True
        claims = tx.store.claim_these(
            tx.connection, chosen, owner=tx.owner, wall=tx.wall, lease=tx.lease
        )
        self.queued = over or bool(cannot)
        self._note(tx, claims)
        return claims, bool(claims) and len(found) == LIMIT

    def _room(self, tx: Transaction) -> Room:
        limits = self._lanes.limits
        self.held_up = bool(limits)
        if not limits:
            return Room(limits, ())
        tx.store.alone(tx.connection, "steps at once")  # two daemons count one after the other
        return Room(limits, (
            (due.order["use"], due.order["stage"] or "", due.service)
            for due in tx.store.under_way(tx.connection)
            if self._lanes.of(due.order["use"]) != INLINE and not _replaced(tx, due.no, due.slot)
        ))  # fmt: skip

    def _allowed(self, room: Room, due: Due) -> bool:
        use = due.order["use"]
        return self._lanes.of(use) == INLINE or room.take(
            use, due.order["stage"] or "", due.service
        )

    def _left(self, tx: Transaction) -> Counter[str]:
        return Counter({n: self._lanes.free(n) - tx.taken[n] for n in self._lanes.names()})

    def _fits(self, use: str, left: Counter[str]) -> bool:
        lane = self._lanes.of(use)
        return lane == INLINE or left[lane] > 0

    def _note(self, tx: Transaction, claims: list[Claim]) -> None:
        for claim in claims:
            tx.taken[self._lanes.of(claim.order["use"])] += 1


def _replaced(tx: Transaction, no: int, slot: str) -> bool:
    """Say whether this very transaction takes the work away or puts other work there."""
    return no in tx.touched and slot in tx.touched[no].work


def hand_over(store: Store, owner: str, uncalled: list[Claim], cut_off: list[Claim]) -> None:
    """Give back what was not called, and have what is being called free when this daemon is gone.

    A database that cannot be written ends the leases by itself.
    """
    if not (uncalled or cut_off):
        return
    try:
        with store.writing() as connection:
            store.give_back(connection, [(c.no, c.slot, c.fence) for c in uncalled])
            until = store.wall() + HANDOVER
            store.cut_off(connection, [(c.no, c.slot, c.fence) for c in cut_off], until)
            store.announce(connection, owner)
    except DatabaseError as error:
        log.warning("claims could not be given back, their leases will end: %s", error)
