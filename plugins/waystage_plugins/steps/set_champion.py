"""The step `repository.set_champion`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.plugin import Answer, Championed, Change, Context, Done, Step
from waystage.plugin.snapshot import NAME


class SetChampion(Step):
    """Make the run's snapshot the champion of its service, also in the repository.

    - use: repository.set_champion
      with: {alias: champion}
    """

    use: ClassVar[str] = "repository.set_champion"
    refuses: ClassVar[bool] = False
    changes: ClassVar[Change] = "forward"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    alias: str = Field(default="champion", pattern=NAME)

    class Output(BaseModel):
        """The version that is champion now, and the one before; empty if there was none."""

        version: str
        previous: str

    def run(self, ctx: Context) -> Answer:
        """Move the alias unless somebody else moved it in between."""
        name, version = ctx.snapshot.name, ctx.snapshot.version
        old = ctx.repository.alias(ctx, name, self.alias)
        ctx.repository.set_alias(ctx, name, self.alias, version, expect=old)
        previous = old if old and old != version else ""
        return Done(self.Output(version=version, previous=previous), facts=(Championed(),))
