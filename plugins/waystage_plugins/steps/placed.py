"""Where a snapshot runs, by the inventory, together with the runtime that runs it."""

from __future__ import annotations

from waystage.errors import Hopeless
from waystage.plugin import Context, OnlineRuntime, Placement, Role
from waystage_plugins.steps.artifact import need_stage


def own_placements(ctx: Context, role: Role | None = None) -> list[Placement]:
    """Give where the run's snapshot runs in the state's stage, newest first."""
    rows = ctx.placements(stage=need_stage(ctx), role=role)
    return [row for row in rows if row.snapshot.id == ctx.snapshot.id]


def online_runtime(ctx: Context, placement: Placement) -> OnlineRuntime:
    """Give the plugin that made a placement; raises `Hopeless` when the stage has it no more."""
    placed = ctx.runtime("online", stage=placement.deployed.stage)
    if placed.name != placement.deployed.runtime:
        raise Hopeless(
            f"{placement.snapshot.id} runs in runtime {placement.deployed.runtime} of stage "
            f"{placement.deployed.stage}, which now has {placed.name} for {ctx.service}; "
            f"put the old runtime back or take the deployment away by hand"
        )
    return placed.online
