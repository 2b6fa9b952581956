"""Making a deployment as the inventory has it again: when, when not, once, and with a record.

The intent is written before the runtime is called, so that a daemon which takes over from a dead
one does the same under the same key; the end is written afterwards.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waystage.daemon.calls import plain
from waystage.daemon.context import StepContext
from waystage.daemon.crash import crash_point
from waystage.daemon.delivery import Delivery
from waystage.daemon.drift import MOST, WINDOW, Judged, Kept, counted, next_restore
from waystage.daemon.meter import about
from waystage.daemon.stage_use import deploying
from waystage.errors import Conflict, NotFound, WaystageError
from waystage.kernel import events
from waystage.kernel.windows import Stop, closed
from waystage.people import need_right
from waystage.plugin import Deployed, DeploySpec, Handle, Snapshot
from waystage.spec.stage import Stage
from waystage.store.drift import drift_of, keep_deployed, keep_look
from waystage.store.stops import stops_of

if TYPE_CHECKING:
    from waystage.daemon.connections import Connections
    from waystage.daemon.daemon import Daemon
    from waystage.daemon.engine import Engine
    from waystage.daemon.transaction import Transaction
    from waystage.people import Caller
    from waystage.store import PlacementRow
    from waystage.store.turns import Turn

log = logging.getLogger("waystage.daemon")


@dataclass(frozen=True, slots=True)
class Begun:
    """A restore whose intent is written."""

    row: PlacementRow
    kept: Kept

    @property
    def key(self) -> str:
        """What the runtime knows the call by: the same one whoever makes it."""
        return f"restore/{self.row.id}/{self.kept.count}"


@dataclass(frozen=True, slots=True)
class Decided:
    """What is done about a drift; `follows` says it to people."""

    kept: Kept
    begins: bool = False
    follows: str = ""


def due(judged: Judged, stage: Stage, now: datetime) -> bool:
    """Whether there may be something to do now; `decide` says whether there is."""
    if judged.state != "drifted" or not _wanted(judged.kept, stage):
        return False
    at = next_restore(judged.kept, now)
    return at is not None and at <= now and judged.kept.starting_since is None


def _wanted(kept: Kept, stage: Stage) -> bool:
    return bool(kept.restart or kept.asked_by or kept.begun or stage.on_drift == "restore")


def decide(tx: Transaction, row: PlacementRow, judged: Judged) -> Decided:
    """Say what is done about a look; what begins is counted."""
    kept, now = judged.kept, tx.now
    if judged.state != "drifted" or kept.starting_since is not None:
        return Decided(kept)
    stage = tx.definitions.stage(row.stage) or Stage(stage=row.stage)
    if not _wanted(kept, stage):
        return Decided(kept.model_copy(update={"held": ""}), follows="It is left as it is")
    if counted(kept, now) >= MOST and not kept.asked_by:
        kept = kept.model_copy(update={"given_up": True})
    at = next_restore(kept, now)
    if kept.given_up and not kept.asked_by and (at is None or at > now):
        return Decided(kept, follows=_given_up(kept, at))
    if at is not None and at > now:
        return Decided(kept, follows=f"It is tried again at {at:%H:%M:%S} UTC")
    if held := _blocked(tx, row, kept, stage):
        return Decided(kept.model_copy(update={"held": held}), follows=f"It waits: {held}")
    again = {} if kept.begun else {"count": kept.count + 1,
                                   "restored": (*kept.restored, now)[-MOST:]}  # fmt: skip
    kept = kept.model_copy(update={"begun": now, "held": "", **again})
    return Decided(kept, begins=True, follows="It is made as it was")


def _given_up(kept: Kept, at: datetime | None) -> str:
    hours = WINDOW // timedelta(hours=1)
    often = f"It was made as it was {MOST} times within {hours} h and is otherwise again"
    if at is not None:
        return f"{often}; the next try is at {at:%H:%M:%S} UTC: look at its log"
    return f"{often}: someone else manages this, so it is only reported from now on"


def _blocked(tx: Transaction, row: PlacementRow, kept: Kept, stage: Stage) -> str:
    """Say why nothing may be touched now; empty if it may.

    What is gone is brought back like a rollback: strict freezes alone hold that up. Where
    something still answers, a change is a change.
    """
    if run := deploying(tx, row.service, row.stage):
        return f"{run} is changing {row.stage}"
    stops = [Stop(s.by, s.reason, bool(s.strict)) for s in stops_of(tx.connection, stage.stage)]
    shut = closed(stage.windows, stops, "back" if kept.gone else "forward", tx.now)
    if shut is None:
        return ""
    until = f" until {shut.until:%Y-%m-%d %H:%M} UTC" if shut.until else ""
    return f"{shut.why}{until}"


def record_begin(tx: Transaction, row: PlacementRow, kept: Kept) -> None:
    """Write into the run's history that it is made as it was, at whose word, and what differed."""
    actor = kept.asked_by or "engine"
    payload = {"stage": row.stage, "runtime": row.runtime, "snapshot": row.snapshot,
               "differs": kept.what, "reason": kept.asked_why}  # fmt: skip
    tx.deliver([Delivery(row.no, events.signal("runtime.restoring", payload, actor))])
    log.info("%s in %s/%s is made as it was: %s", row.snapshot, row.stage, row.runtime, kept.what,
             extra=about(row.run))  # fmt: skip


def carry_out(engine: Engine, connections: Connections, begun: Begun, turn: Turn) -> None:
    """Call the runtime and write how that ended, unless another daemon has taken over."""
    crash_point("before-restore")
    deployed: Deployed | None = None
    error = ""
    try:
        deployed = _restore(engine, connections, begun)
    except Exception as problem:  # noqa: BLE001  # a runtime may raise anything; it is told and tried again
        known = isinstance(problem, WaystageError)
        text = str(problem) if known else f"{type(problem).__name__}: {problem}"
        error = plain(connections.masks.cover(text))
        log.warning("%s in %s: restoring: %s", begun.row.snapshot, begun.row.stage, error,
                    extra=about(begun.row.run))  # fmt: skip
    crash_point("after-restore")
    engine.act(lambda tx: _end(tx, begun, deployed, error, turn)).result(timeout=60)


def _end(tx: Transaction, begun: Begun, deployed: Deployed | None, error: str, turn: Turn) -> None:
    row = begun.row
    drift = drift_of(tx.connection, row.id) if turn.holds(tx.connection) else None
    if drift is None:
        return
    changed = {"begun": None, "error": error, "asked_by": "", "asked_why": ""}
    kept = Kept.model_validate(drift).model_copy(update=changed)
    keep_look(tx.connection, row.id, drift=kept.to_json())
    if deployed is not None:
        told = deployed.model_dump(mode="json", include={"handle", "endpoints"})
        keep_deployed(tx.connection, row.id, **told)
    else:
        payload = {"stage": row.stage, "runtime": row.runtime, "snapshot": row.snapshot,
                   "why": error}  # fmt: skip
        tx.deliver([Delivery(row.no, events.signal("runtime.not_restored", payload))])


def _restore(engine: Engine, connections: Connections, begun: Begun) -> Deployed:
    row, deployed = begun.row, Deployed.model_validate(begun.row.body["deployed"])
    ctx = _context(engine, connections, begun)
    runtime = connections.named_runtime(row.stage, row.runtime).online
    spec = _spec(connections, row, deployed, _source(connections, ctx.snapshot, row.service))
    old, serves = Handle(ref=deployed.handle), row.role != "previous"
    handle = runtime.restore(ctx, spec, old, serves=serves)
    return deployed.model_copy(update={"handle": handle.ref})


def _context(engine: Engine, connections: Connections, begun: Begun) -> StepContext:
    row = begun.row
    snapshot = Snapshot.model_validate(row.body["snapshot"])
    return StepContext(
        connections, engine.workers.placements, begun.key, row.run, "", row.service, row.stage,
        snapshot, {}, 1, {},
    )  # fmt: skip


def _spec(
    connections: Connections, row: PlacementRow, deployed: Deployed, source: Path
) -> DeploySpec:
    log_of: dict[str, Any] | None = None
    if connections.files.project.spec.scoring_log is not None:
        found = connections.scoring_log()
        log_of = {"use": found.use, "with": found.model_dump(mode="json", by_alias=True)}
    return DeploySpec(
        service=row.service, stage=row.stage, source=str(source), role=deployed.role, run=row.run,
        snapshot=Snapshot.model_validate(row.body["snapshot"]), image=deployed.image,
        scoring_log=log_of,
        endpoints=connections.named_runtime(row.stage, row.runtime).endpoints,
    )  # fmt: skip


def _source(connections: Connections, snapshot: Snapshot, service: str) -> Path:
    """Give the directory with the snapshot's files, as steps leave them; fetched if it is gone.

    Its bytes are checked by the runtime that copies them, and by the repository that gives them.
    """
    home = connections.state / "artifacts"
    place = home / snapshot.digest.removeprefix("sha256:")
    if place.is_dir():
        return place
    home.mkdir(exist_ok=True)
    beside = place.with_suffix(".restored")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        connections.repository(service).fetch(connections, snapshot, beside).rename(place)
    except WaystageError as error:  # runtimes of images need no files; others say what is missing
        log.warning("the files of %s cannot be fetched: %s", snapshot.id, error)
    except OSError:
        if not place.is_dir():  # else a step has fetched them meanwhile
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return place


def ask(daemon: Daemon, placement: int, caller: Caller, reason: str) -> dict[str, Any]:
    """Have a deployment that has drifted made as it was, once, whatever its stage says."""
    need_right(daemon.files.project.spec, caller.person, "operate")
    if not reason.strip():
        raise Conflict("restoring needs a reason")

    def act(tx: Transaction) -> dict[str, Any]:
        drift = drift_of(tx.connection, placement)
        if drift is None:
            raise NotFound(f"the inventory has no entry {placement}; `waystage drift` lists them")
        kept = Kept.model_validate(drift)
        if not kept.differs:
            raise Conflict(f"nothing about entry {placement} is known to differ; there is nothing "
                           "to restore")  # fmt: skip
        changed = {"asked_by": caller.person, "asked_why": plain(reason), "given_up": False,
                   "restored": ()}  # fmt: skip
        kept = kept.model_copy(update=changed)
        keep_look(tx.connection, placement,
                  drift=kept.to_json())  # fmt: skip
        return {"placement": placement, "differs": kept.what}

    return daemon.engine.act(act).result(timeout=60)
