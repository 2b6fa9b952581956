"""A stage's answer to a simulated run: the conditions that a snapshot shows, and the windows."""

from __future__ import annotations

from datetime import datetime

from waystage.kernel import Event, Run, events
from waystage.kernel.commands import AskStage
from waystage.kernel.windows import closed
from waystage.simulate.world import World


def answer(world: World, run: Run, asked: AskStage, now: datetime) -> Event:
    """Say whether the stage may be changed now; `verified_in` counts as met."""
    where = (asked.state, asked.entry)
    stage = world.stages.get(asked.stage)
    if stage is None:
        return events.stage_answered(*where, "open")
    lacks = stage.requires.lacks(run.snapshot) if asked.change == "forward" else ""
    if lacks:
        return events.stage_answered(*where, "unmet", {"why": f"{stage.stage} takes only {lacks}"})
    shut = closed(stage.windows, (), asked.change, now)
    if shut is None:
        return events.stage_answered(*where, "open")
    until = shut.until.isoformat() if shut.until else None
    return events.stage_answered(*where, "closed", {"until": until, "why": shut.why})
