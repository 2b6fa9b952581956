"""The step `runtime.split`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.errors import Hopeless
from waystage.plugin import Answer, Change, Context, Done, Handle, Shared, Step
from waystage_plugins.steps.artifact import need_stage
from waystage_plugins.steps.placed import online_runtime, own_placements


class Split(Step):
    """Send a share of the service's requests to the run's snapshot, the others to the champion.

        - use: runtime.split
          with: {percent: 10}

    The snapshot is deployed before, as challenger. The runtime must be able to split. The
    inventory keeps the share, so that it is set again when somebody else moves it.
    """

    use: ClassVar[str] = "runtime.split"
    refuses: ClassVar[bool] = False
    changes: ClassVar[Change] = "forward"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "online"
    needs_capabilities: ClassVar[frozenset[str]] = frozenset({"split"})

    percent: int = Field(ge=0, le=99)

    class Output(BaseModel):
        """The share that the snapshot gets now, in percent."""

        percent: int

    def run(self, ctx: Context) -> Answer:
        """Tell the runtime where the snapshot runs."""
        rows = own_placements(ctx, "challenger")
        if not rows:
            raise Hopeless(f"{ctx.snapshot.id} is no challenger in {need_stage(ctx)}; deploy it")
        runtime = online_runtime(ctx, rows[0])
        deployed = rows[0].deployed
        runtime.set_traffic(ctx, Handle(ref=deployed.handle), self.percent)
        fact = Shared(stage=deployed.stage, runtime=deployed.runtime, percent=self.percent)
        return Done(self.Output(percent=self.percent), facts=(fact,))
