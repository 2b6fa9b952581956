"""Looking at what really runs: a deployment that is gone, or is another, is told at once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from waystage.errors import WaystageError
from waystage.plugin import Handle, Observation
from waystage.store import PlacementRow, rare
from waystage.store.codec import micros

if TYPE_CHECKING:
    from waystage.daemon.connections import Connections
    from waystage.daemon.engine import Engine
    from waystage.daemon.transaction import Transaction
    from waystage.store.turns import Turn

log = logging.getLogger("waystage.daemon")
GOOD = ("ready", "pending")


def look(engine: Engine, connections: Connections) -> int:
    """Look at every online deployment once; answer how many differ from what should be."""
    if not _online(engine):
        return 0
    with engine.turn("inventory") as turn:  # one daemon looks, so that people are told once
        differing = 0
        for row in _online(engine) if turn else ():
            if turn is None or engine.ends or not turn.renew():
                break  # it hung, and another daemon looks meanwhile
            differing += _look_at(engine, connections, row, turn)
        return differing


def _online(engine: Engine) -> list[PlacementRow]:
    return [row for row in engine.store.placements() if row.mode == "online"]


def _look_at(engine: Engine, connections: Connections, row: PlacementRow, turn: Turn) -> bool:
    seen = _observed(connections, row)
    phase, why = seen.phase, seen.message if seen.phase not in GOOD else ""
    if seen.phase == "ready" and seen.digest not in (None, row.digest):
        phase, why = "degraded", f"{seen.digest} runs, not {row.digest}"
    if (phase, why) != (row.seen, row.seen_why):
        _tell(engine, row, phase, why, turn)
    return phase not in GOOD


def _observed(connections: Connections, row: PlacementRow) -> Observation:
    handle = Handle(ref=row.body["deployed"]["handle"])
    try:
        placed = connections.runtime(row.service, row.stage, "online")
        return placed.online.observe(connections, handle)
    except WaystageError as error:
        return Observation(phase="unknown", reason="unreachable", message=str(error))


def _tell(engine: Engine, row: PlacementRow, phase: str, why: str, turn: Turn) -> None:
    text = f"{row.service}: {row.snapshot} in {row.stage}/{row.runtime} is {phase}: {why}"
    now = engine.clock.now()
    at = micros(now)

    def write(tx: Transaction) -> None:
        if not turn.holds(tx.connection):
            return  # another daemon has looked since, and tells what it saw
        tx.batch.rest.append(rare.look_at(row.id, phase, why))
        if phase not in GOOD:
            title = f"{row.stage}: {row.service} is {phase}"
            body = {"title": title, "text": text, "level": "alarm", "service": row.service,
                    "run": row.run, "at": now.isoformat()}  # fmt: skip
            tx.batch.rest.append(rare.send_message(f"placement/{row.id}/{phase}/{at}", body, at))
            tx.rings_at(at)

    if phase not in GOOD:
        log.error("%s", text)
    engine.act(write).result(timeout=60)
