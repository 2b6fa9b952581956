"""The step `runtime.restore`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel

from waystage.errors import Retryable
from waystage.plugin import Answer, Change, Context, Done, Handle, Placement, Step, Undeployed
from waystage_plugins.steps.placed import online_runtime
from waystage_plugins.steps.undeploy import take_out


class Restore(Step):
    """Go back to the champion that ran in the stage before; the undo of `runtime.deploy`.

        - use: runtime.restore

    The run's snapshot is taken out, so that the one before is what the stage has again. It is
    looked at first whether that one really answers; if there was none, the stage is empty.
    """

    use: ClassVar[str] = "runtime.restore"
    refuses: ClassVar[bool] = False
    changes: ClassVar[Change] = "back"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "any"

    class Output(BaseModel):
        """The snapshot that the stage has now as `name/version`, or nothing."""

        restored: str

    def run(self, ctx: Context) -> Answer:
        """Take the new one out, then make sure of the old one."""
        runtimes = take_out(ctx, "champion")
        previous = _previous(ctx)
        if previous is not None:
            _make_sure(ctx, previous)
        facts = tuple(Undeployed(stage=str(ctx.stage), runtime=name) for name in runtimes)
        return Done(self.Output(restored=previous.snapshot.id if previous else ""), facts=facts)


def _previous(ctx: Context) -> Placement | None:
    rows = ctx.placements(stage=ctx.stage, role="champion")
    return next((row for row in rows if row.snapshot.id != ctx.snapshot.id), None)


def _make_sure(ctx: Context, previous: Placement) -> None:
    """Raise `Retryable` when the inventory's earlier champion is not what answers."""
    if previous.deployed.mode == "batch":
        return
    runtime, handle = online_runtime(ctx, previous), Handle(ref=previous.deployed.handle)
    seen = runtime.observe(ctx, handle)
    digest = previous.snapshot.digest
    if seen.phase != "ready" or seen.digest not in (None, digest):
        raise Retryable(
            f"{previous.snapshot.id} should run in {ctx.stage} again but does not answer: "
            f"{seen.phase} {seen.reason} {seen.message}".rstrip()
        )
    if "switch" in runtime.capabilities:
        runtime.set_traffic(ctx, handle, 100)
