"""The step `repository.annotate`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.plugin import Answer, Context, Done, Step


class Annotate(Step):
    """Write notes about the run's snapshot where it is kept, for those who look there.

        - use: repository.annotate
          with: {notes: {approved_by: "{{ tasks.approve.by }}", live_in: PROD}}

    A note of the same name is replaced. In MLflow they are tags of the version; the repository
    `folder` keeps none.
    """

    use: ClassVar[str] = "repository.annotate"
    refuses: ClassVar[bool] = False
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    notes: dict[str, str] = Field(min_length=1, max_length=50)

    class Output(BaseModel):
        """The notes as they were written."""

        notes: dict[str, str]

    def run(self, ctx: Context) -> Answer:
        """Write every note; those that are there already stay as they are."""
        ctx.repository.annotate(ctx, ctx.snapshot, self.notes)
        return Done(self.Output(notes=self.notes))
