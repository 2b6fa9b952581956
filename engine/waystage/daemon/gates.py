"""A stage's answer to a run that wants to change it: its conditions, then its windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from waystage.daemon.delivery import Delivery, Touched
from waystage.daemon.opening import snapshot_id
from waystage.daemon.stage_use import restoring
from waystage.errors import Conflict, Hopeless, NotFound
from waystage.kernel import Run, events
from waystage.kernel import commands as c
from waystage.kernel.admission import WINDOW
from waystage.kernel.windows import Stop, closed
from waystage.people import need_right
from waystage.spec.stage import Requires, Stage
from waystage.store.codec import micros
from waystage.store.inside import runs_named
from waystage.store.stops import (
    open_stage,
    signatures_of,
    stop_stage,
    stops_of,
    waiting_for_stages,
    was_verified,
)

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.daemon.transaction import Transaction

SOON = timedelta(seconds=2)  # until a run asks again whose place is being restored
AGAIN = timedelta(minutes=5)  # until keys that could not be read are looked for again


def answer(tx: Transaction, touched: Touched, command: c.AskStage) -> None:
    """Tell the run whether it may change the stage now."""
    run, no = touched.hot.run, touched.hot.no
    if run.entered.get(command.state) != command.entry:
        return
    stage = tx.definitions.stage(command.stage) or Stage(stage=command.stage)
    where = (command.state, command.entry)
    try:
        lacks = unmet(tx, stage.requires, run) if command.change == "forward" else ""
    except Hopeless as error:  # technical, so it is no refusal: asked again later
        told = {"until": (tx.now + AGAIN).isoformat(), "why": str(error)}
        tx.queue.append(Delivery(no, events.stage_answered(*where, "closed", told)))
        return
    stops = [Stop(s.by, s.reason, bool(s.strict)) for s in stops_of(tx.connection, stage.stage)]
    shut = closed(stage.windows, stops, command.change, tx.now)
    if lacks:
        event = events.stage_answered(*where, "unmet", {"why": f"{stage.stage} takes only {lacks}"})
    elif shut:
        until = shut.until.isoformat() if shut.until else None
        event = events.stage_answered(*where, "closed", {"until": until, "why": shut.why})
    elif restored := restoring(tx, run.service, stage.stage):
        soon = (tx.now + SOON).isoformat()
        why = f"{restored} is being made as it was there"
        event = events.stage_answered(*where, "closed", {"until": soon, "why": why})
    else:
        event = events.stage_answered(*where, "open")
    tx.queue.append(Delivery(no, event))


def unmet(tx: Transaction, requires: Requires, run: Run) -> str:
    """Say what of a stage's conditions the run's snapshot does not meet; empty if it meets all.

    Raises `Hopeless` when a signer's keys cannot be read.
    """
    if lacks := requires.lacks(run.snapshot):
        return lacks
    tx.write_rest()  # what this very transaction tells of the inventory counts
    name = snapshot_id(run)
    for stage in requires.verified_in:
        if not was_verified(tx.connection, run.service, stage, name):
            return f"what was verified in {stage}, and {name} was not"
    return _unsigned(tx, requires.signed_by, run) if requires.signed_by else ""


def _unsigned(tx: Transaction, signers: Sequence[str], run: Run) -> str:
    """Say why none of the signers' verified signatures stands for the snapshot, if none does."""
    name, digest, found = snapshot_id(run), run.snapshot.get("digest", ""), set[str]()
    for signer in signers:
        mark = tx.mark(signer) if tx.mark else ""
        for of, by in signatures_of(tx.connection, name, signer):
            if (of, by) == (digest, mark):
                return ""
            found.add(f"{signer} signed other files of it" if of != digest else
                      f"it was verified by keys that {signer} had before")  # fmt: skip
    told = "; ".join(sorted(found)) or "no such signature was verified"
    return f"what is signed by {' or '.join(signers)}, and of {name}: {told}"


def stop_the_line(
    daemon: Daemon, stage: str, person: str, reason: str, *, strict: bool = False
) -> dict[str, Any]:
    """Close a stage until a person opens it; what has begun is finished."""
    need_right(daemon.files.project.spec, person, "operate")
    _known(daemon, stage)
    if not reason.strip():
        raise Conflict("stopping the line needs a reason")

    def act(tx: Transaction) -> dict[str, Any]:
        row = {"stage": stage, "by": person, "reason": reason, "strict": int(strict)}
        stop_stage(tx.connection, since=micros(tx.now), **row)
        return row

    return daemon.engine.act(act).result(timeout=60)


def open_the_line(daemon: Daemon, stage: str, person: str) -> dict[str, Any]:
    """End the stops of a stage; what waits for it asks again."""
    need_right(daemon.files.project.spec, person, "override")
    _known(daemon, stage)

    def act(tx: Transaction) -> dict[str, Any]:
        ended = open_stage(tx.connection, stage, person, micros(tx.now))
        if not ended:
            raise Conflict(f"the line of {stage} is not stopped")
        return {"stage": stage, "ended": ended, "asked": ask_again(tx)}

    return daemon.engine.act(act).result(timeout=60)


def override(daemon: Daemon, run: str, person: str, reason: str, via: str = "") -> dict[str, Any]:
    """Let a run change its stage though the window is closed; who and why is in its history."""
    need_right(daemon.files.project.spec, person, "override")
    if not reason.strip():
        raise Conflict("override needs a reason")

    def act(tx: Transaction) -> dict[str, Any]:
        rows = runs_named(tx.connection, run, "")
        if not rows:
            raise NotFound(f"there is no run {run!r}")
        tx.load([rows[0].no])
        now = tx.touched[rows[0].no].hot.run
        states = [state for state, each in now.activities.items() if "waits" in each]
        if not states:
            raise Conflict(f"{run} waits for no window")
        for state in states:
            _need_met(tx, tx.touched[rows[0].no], state)
        told = [events.stage_answered(s, now.entered[s], "override", {"reason": reason}, person)
                .by_means_of(via) for s in states]  # fmt: skip
        tx.deliver([Delivery(rows[0].no, event) for event in told])
        return {"run": run, "states": states}

    return daemon.engine.act(act).result(timeout=60)


def _need_met(tx: Transaction, touched: Touched, state: str) -> None:
    """Refuse to open what is more than a window: a stage's conditions hold for everybody."""
    node = touched.definition.nodes[state]
    stage = tx.definitions.stage(node.stage)
    if stage is None or node.change != "forward":
        return
    if lacks := unmet(tx, stage.requires, touched.hot.run):
        raise Conflict(f"{stage.stage} takes only {lacks}; an override opens windows alone")


def ask_again(tx: Transaction) -> int:
    """Have everything that waits for its stage ask once more; answers how many."""
    rows = waiting_for_stages(tx.connection, WINDOW)
    tx.deliver([Delivery(r.run, events.stage_answered(r.state, r.entry, "ask")) for r in rows])
    return len(rows)


def _known(daemon: Daemon, stage: str) -> None:
    if stage not in daemon.files.stages:
        known = ", ".join(sorted(daemon.files.stages)) or "none"
        raise NotFound(f"there is no stage {stage!r}; the project has {known}")
