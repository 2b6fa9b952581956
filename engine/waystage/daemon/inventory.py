"""Looking at what really runs: what is gone, is another, or was changed is told, and made so again.

One daemon looks at a place at a time. What a look means is in `drift`, what is done about it in
`restoring`.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from waystage.daemon import restoring
from waystage.daemon.calls import plain
from waystage.daemon.delivery import Delivery
from waystage.daemon.drift import Judged, Kept, is_gone, judge
from waystage.daemon.meter import about
from waystage.daemon.restoring import Begun
from waystage.daemon.stage_use import taking_out
from waystage.errors import WaystageError
from waystage.kernel import events
from waystage.plugin import ELSEWHERE, Handle, Observation
from waystage.spec.stage import Stage
from waystage.store import PlacementRow, rare
from waystage.store.codec import micros
from waystage.store.drift import drift_of, keep_deployed, keep_look, places_online
from waystage.store.presence import present
from waystage.store.shared import answering

if TYPE_CHECKING:
    from waystage.daemon.connections import Connections
    from waystage.daemon.engine import Engine
    from waystage.daemon.transaction import Transaction
    from waystage.store.turns import Turn

log = logging.getLogger("waystage.daemon")
Place: TypeAlias = tuple[str, str]  # stage and runtime
GOOD = ("ready", "pending")
SAID = {
    "ok": "is well again",
    "degraded": "is degraded",
    "drifted": "has drifted",
    "unknown": "cannot be looked at",
}
LEVELS = {"ok": "info", "unknown": "warn"}


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one deployment, by the daemon whose turn it is."""

    row: PlacementRow
    seen: Observation
    turn: Turn

    @property
    def phase(self) -> str:
        """What the runtime says, in a word."""
        return self.seen.phase

    @property
    def why(self) -> str:
        """What it says besides, where it is not well."""
        return "" if self.phase in GOOD else self.seen.message

    @property
    def is_gone(self) -> bool:
        """Whether nothing of it answers any more."""
        return is_gone(self.seen, self.row.digest)

    def judged(self, kept: Kept, now: Any) -> Judged:
        """Say what it means."""
        row = self.row
        kept = kept.model_copy(update={"lag": self.seen.lag})
        return judge(self.seen, row.digest, row.state, row.seen, kept, now)  # type: ignore[arg-type]  # the column holds the words of State alone


class Looks:
    """Looks at all places side by side, so that a cluster that hangs holds up no other."""

    def __init__(self, engine: Engine, connections: Connections) -> None:
        self._engine, self._connections = engine, connections
        self._under_way: dict[Place, threading.Thread] = {}

    def begin(self) -> None:
        """Begin to look at each place that is not being looked at."""
        for place in places(self._engine):
            before = self._under_way.get(place)
            if before is None or not before.is_alive():
                thread = threading.Thread(target=self._look, args=(place,), daemon=True)
                self._under_way[place] = thread
                thread.start()

    def end(self, seconds: float) -> None:
        """Wait for what is under way, for so long together."""
        until = time.monotonic() + seconds
        for thread in self._under_way.values():
            thread.join(timeout=max(0.0, until - time.monotonic()))

    def _look(self, place: Place) -> None:
        try:
            look_in(self._engine, self._connections, place)
        except Exception as error:  # noqa: BLE001  # look again: the world may be back
            if not self._engine.ends:
                log.warning("%s cannot be looked at: %s", "/".join(place), error)


def look(engine: Engine, connections: Connections) -> int:
    """Look at every online deployment once; answer how many are not as they should be."""
    return sum(look_in(engine, connections, place) for place in places(engine))


def places(engine: Engine) -> list[Place]:
    """Give stage and runtime wherever something is online."""
    with answering(), engine.store.reading() as connection:
        return places_online(connection)


def look_in(engine: Engine, connections: Connections, place: Place) -> int:
    """Look at what is online in one runtime of a stage."""
    name = f"look {hashlib.sha256('/'.join(place).encode()).hexdigest()[:16]}"
    with engine.turn(name) as turn:  # one daemon looks, so that people are told once
        differing = 0
        for row in engine.store.placements(place=place) if turn else ():
            if turn is None or engine.ends or not turn.renew():
                break  # it hung, and another daemon looks meanwhile
            try:
                differing += _look_at(engine, connections, row, turn)
            except WaystageError as error:  # the others are looked at all the same
                log.warning("%s in %s cannot be kept: %s", row.snapshot, "/".join(place), error,
                            extra=about(row.run))  # fmt: skip
        return differing


def _look_at(engine: Engine, connections: Connections, row: PlacementRow, turn: Turn) -> bool:
    seen = _observed(connections, row)
    if seen.reason == ELSEWHERE and engine.store.shared:
        if _others(engine):
            return False  # the daemon that it belongs to looks when it has the turn
        seen = seen.model_copy(update={"differs": ()})  # that one is away; this is not to be here
    found = Look(row, seen, turn)
    kept, now = Kept.model_validate(row.drift), engine.clock.now()
    judged = found.judged(kept, now)
    changed = (found.phase, found.why, judged.state, judged.kept)
    stage = engine.definitions.stage(row.stage) or Stage(stage=row.stage)
    is_due = restoring.due(judged, stage, now)
    if engine.ends:
        return False  # what is taken down with the daemon is not brought back
    if is_due or changed != (row.seen, row.seen_why, row.state, kept):
        begun = engine.act(lambda tx: _take_in(tx, found, connections)).result(timeout=60)
        if begun is not None:
            restoring.carry_out(engine, connections, begun, turn)
    return judged.state != "ok"


def _others(engine: Engine) -> bool:
    with engine.store.reading() as connection:
        return any(each.name != engine.owner for each in present(connection))


def _observed(connections: Connections, row: PlacementRow) -> Observation:
    handle = Handle(ref=row.body["deployed"]["handle"])
    try:
        placed = connections.named_runtime(row.stage, row.runtime)
        seen = placed.online.observe(connections, handle)
    except WaystageError as error:
        seen = Observation(phase="unknown", reason="unreachable", message=str(error))
    except Exception as error:  # noqa: BLE001  # a runtime may raise anything; the others are looked at
        text = f"{type(error).__name__}: {error}"
        seen = Observation(phase="unknown", reason="error", message=text)
    if row.role == "previous":  # requests do not go to it any more, wherever they go
        left = tuple(each for each in seen.differs if each.what != "traffic")
        seen = seen.model_copy(update={"differs": left})
    covered = connections.masks.cover(seen.model_dump_json()) if connections.masks else ""
    seen = Observation.model_validate_json(covered) if covered else seen
    return seen.model_copy(update={"message": plain(seen.message)})


def _take_in(tx: Transaction, found: Look, connections: Connections) -> Begun | None:
    """Keep what a look showed, tell what changed by it, and begin what is to be done about it."""
    row = found.row
    # asked first: once the step's answer is kept, the deployment is not in the inventory any more
    if found.is_gone and taking_out(tx, row.service, row.stage):
        return None  # the next look says whether it was the step
    drift = drift_of(tx.connection, row.id) if found.turn.holds(tx.connection) else None
    if drift is None:
        return None  # another daemon has looked since, or it was taken out meanwhile
    judged = found.judged(Kept.model_validate(drift), tx.now)
    decided = restoring.decide(tx, row, judged)
    kept = _told(tx, row, judged, decided.kept, decided.follows)
    values: dict[str, Any] = {"seen": found.phase, "seen_why": found.why, "state": judged.state,
                              "drift": kept.to_json()}  # fmt: skip
    if judged.state != row.state:
        values["state_since"] = micros(tx.now)
    keep_look(tx.connection, row.id, **values)
    if judged.state == "ok" and row.state == "drifted" and found.seen.endpoints:
        told = [each.model_dump(mode="json") for each in found.seen.endpoints]
        keep_deployed(tx.connection, row.id, endpoints=told)  # it may have come back elsewhere
    if not decided.begins:
        return None
    if judged.kept.begun is None:  # else the daemon that died has written it
        restoring.record_begin(tx, row, kept)
    return Begun(row, kept)


def _told(tx: Transaction, row: PlacementRow, judged: Judged, kept: Kept, follows: str) -> Kept:
    """Tell people and the run what has changed since they were told last."""
    state = judged.state
    news = "|".join((state, kept.what, "left" if kept.given_up else "")).rstrip("|")
    first = state == "ok" and kept.told == ""
    if state == "" or first or news == kept.told:
        return kept
    text = f"{row.service}: {row.snapshot} in {row.stage}/{row.runtime} {SAID[state]}"
    text = ". ".join(filter(None, (": ".join(filter(None, (text, judged.why))), follows)))
    title = f"{row.stage}: {row.service} {SAID[state]}"
    body = {"title": title, "text": text, "level": LEVELS.get(state, "alarm"),
            "service": row.service, "run": row.run, "at": tx.now.isoformat()}  # fmt: skip
    (log.info if state == "ok" else log.error)("%s", text, extra=about(row.run))
    key = f"placement/{row.id}/{kept.tells + 1}"
    tx.batch.rest.append(rare.send_message(key, body, tx.at))
    tx.rings_at(tx.at)
    tell_run(tx, row, f"runtime.{state}", kept, why=judged.why, follows=follows)
    return kept.model_copy(update={"told": news, "tells": kept.tells + 1})


def tell_run(tx: Transaction, row: PlacementRow, name: str, kept: Kept, **more: str) -> None:
    """Put it into the history of the run that deployed it, which may listen to it."""
    payload = {"stage": row.stage, "runtime": row.runtime, "snapshot": row.snapshot,
               "role": row.role, "differs": kept.what,
               "by": ", ".join(sorted({d.by for d in kept.differs if d.by})), **more}  # fmt: skip
    tx.deliver([Delivery(row.no, events.signal(name, payload))])
