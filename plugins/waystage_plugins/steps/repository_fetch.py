"""The step `repository.fetch`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel

from waystage.plugin import Answer, Context, Done, Step
from waystage_plugins.steps.artifact import fetch_artifact


class FetchSnapshot(Step):
    """Bring the run's snapshot from its repository to this machine and check its digest.

    - id: model
      use: repository.fetch
    """

    use: ClassVar[str] = "repository.fetch"
    refuses: ClassVar[bool] = False
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    class Output(BaseModel):
        """Where the files are."""

        path: str
        digest: str

    def run(self, ctx: Context) -> Answer:
        """Fetch what is not here yet."""
        return Done(self.Output(path=str(fetch_artifact(ctx)), digest=ctx.snapshot.digest))
