"""The step `runtime.mirror`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.errors import Conflict, Hopeless
from waystage.plugin import (
    Answer,
    Change,
    Context,
    Done,
    Handle,
    Mirrored,
    OnlineRuntime,
    Step,
)
from waystage_plugins.steps.artifact import need_stage
from waystage_plugins.steps.placed import online_runtime, own_placements


class Mirror(Step):
    """Have the run's snapshot score copies of the champion's requests, which nobody is answered.

        - use: runtime.mirror
          with: {percent: 100}

    The snapshot is deployed before, as challenger. Copies are in the scoring log under the ids of
    their requests, with the role `challenger`, for `challenger.compare` to join. `percent: 0` ends
    it. `validate` refuses a runtime that cannot mirror; with `required: false` the output says
    so instead, for who copies requests by a sidecar or compares otherwise. It says, too, when
    another challenger has the copies: one at a time can. The inventory keeps the share, so that
    what is restored gets it again.
    """

    use: ClassVar[str] = "runtime.mirror"
    refuses: ClassVar[bool] = False
    changes: ClassVar[Change] = "forward"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "online"
    needs_capabilities: ClassVar[frozenset[str]] = frozenset({"mirror"})

    percent: int = Field(default=100, ge=0, le=100)
    required: bool = True

    class Output(BaseModel):
        """Whether requests are copied, the share of them in percent, and why none are."""

        mirrored: bool
        percent: int
        why: str

    @classmethod
    def asks_of_runtime(
        cls, settings: Mapping[str, object]
    ) -> tuple[Literal["any", "online", "batch"] | None, frozenset[str]]:
        """Ask for nothing that is not required."""
        if settings.get("required", True) is False:
            return "any", frozenset()
        return cls.needs_runtime, cls.needs_capabilities

    def run(self, ctx: Context) -> Answer:
        """Tell the runtime where the snapshot runs."""
        rows = own_placements(ctx, "challenger")
        if not rows:
            raise Hopeless(f"{ctx.snapshot.id} is no challenger in {need_stage(ctx)}; deploy it")
        why, deployed = "none were asked for" if not self.percent else "", rows[0].deployed
        if deployed.mode == "batch":
            why = "nobody sends requests to a batch runtime"
        elif "mirror" in (runtime := online_runtime(ctx, rows[0])).capabilities:
            why = self._asked(ctx, runtime, Handle(ref=deployed.handle)) or why
        else:
            why = f"{runtime.use} cannot copy requests"
        if self.required and self.percent and why:
            raise Hopeless(f"{ctx.snapshot.id} in {need_stage(ctx)}: {why}; say required: false")
        percent = 0 if why else self.percent
        fact = Mirrored(stage=deployed.stage, runtime=deployed.runtime, percent=percent)
        output = self.Output(mirrored=percent > 0, percent=percent, why=why)
        return Done(output, facts=(fact,) if percent or deployed.copies else ())

    def _asked(self, ctx: Context, runtime: OnlineRuntime, handle: Handle) -> str:
        """Tell the runtime, and say why it could not do it; empty when it did."""
        try:
            runtime.mirror(ctx, handle, self.percent)
        except Conflict as error:
            return str(error)
        return ""
