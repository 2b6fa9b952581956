"""The step `runtime.undeploy`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel

from waystage.plugin import Answer, Change, Context, Done, Handle, Role, Step, Undeployed
from waystage_plugins.steps.placed import online_runtime, own_placements


class Undeploy(Step):
    """Take the run's snapshot out of the stage.

        - use: runtime.undeploy

    With `role` only what runs in that role is taken out. Nothing to take out is fine.
    """

    use: ClassVar[str] = "runtime.undeploy"
    refuses: ClassVar[bool] = False
    changes: ClassVar[Change] = "back"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "any"

    role: Role | None = None

    class Output(BaseModel):
        """The names of the runtimes that the snapshot was taken out of."""

        runtimes: list[str]

    def run(self, ctx: Context) -> Answer:
        """Delete what runs and tell the inventory."""
        runtimes = take_out(ctx, self.role)
        facts = tuple(Undeployed(stage=str(ctx.stage), runtime=name) for name in runtimes)
        return Done(self.Output(runtimes=runtimes), facts=facts)


def take_out(ctx: Context, role: Role | None) -> list[str]:
    """Delete the deployments of the run's snapshot in the stage; give their runtimes' names."""
    rows = own_placements(ctx, role)
    for row in rows:
        if row.deployed.mode == "online":
            online_runtime(ctx, row).delete(ctx, Handle(ref=row.deployed.handle))
    return list(dict.fromkeys(row.deployed.runtime for row in rows))
