"""A stage's answer to a simulated run: what a snapshot shows, its signatures, and the windows."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from waystage.kernel import Event, Run, events
from waystage.kernel.commands import AskStage
from waystage.kernel.windows import closed
from waystage.simulate.world import World
from waystage.spec.stage import Requires


def answer(
    world: World, run: Run, asked: AskStage, now: datetime, signed: Collection[str] = ()
) -> Event:
    """Say whether the stage may be changed now; `verified_in` counts as met.

    `signed` are those whose signature a step has verified.
    """
    where = (asked.state, asked.entry)
    stage = world.stages.get(asked.stage)
    if stage is None:
        return events.stage_answered(*where, "open")
    lacks = _lacks(stage.requires, run, signed) if asked.change == "forward" else ""
    if lacks:
        return events.stage_answered(*where, "unmet", {"why": f"{stage.stage} takes only {lacks}"})
    shut = closed(stage.windows, (), asked.change, now)
    if shut is None:
        return events.stage_answered(*where, "open")
    until = shut.until.isoformat() if shut.until else None
    return events.stage_answered(*where, "closed", {"until": until, "why": shut.why})


def _lacks(requires: Requires, run: Run, signed: Collection[str]) -> str:
    wanted = requires.signed_by
    if wanted and not {*wanted} & {*signed}:
        told = f"what is signed by {' or '.join(wanted)}, and no step has verified that it is"
        return requires.lacks(run.snapshot) or told
    return requires.lacks(run.snapshot)
