"""The step `batch.score`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.errors import Hopeless
from waystage.plugin import Answer, Context, Done, Refused, Step, Waiting
from waystage_plugins.steps.artifact import deploy_spec, fetch_artifact, need_stage
from waystage_plugins.steps.jobs import follow, read_scores


class ScoreBatch(Step):
    """Score a file of rows with the run's snapshot on the stage's batch runtime.

        - id: scoring
          use: batch.score
          with: {rows: data/applicants.jsonl}

    `rows` is a JSON-lines file, one object per row; the path starts at the project.
    """

    use: ClassVar[str] = "batch.score"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "batch"

    rows: str = Field(min_length=1, max_length=4096)

    class Output(BaseModel):
        """The path of `scores.jsonl` and how many rows were scored."""

        scores: str
        rows: int

    def run(self, ctx: Context) -> Answer:
        """Run one job; refuse what it wrote unless every row has a finite score."""
        rows, stage = ctx.project / self.rows, need_stage(ctx)
        if not rows.is_file():
            raise Hopeless(f"there is no file {rows}")
        runtime = ctx.runtime("batch").batch
        outputs = follow(
            ctx,
            runtime,
            lambda: runtime.score_command(deploy_spec(ctx, stage, fetch_artifact(ctx)), str(rows)),
        )
        if isinstance(outputs, Waiting):
            return outputs
        with rows.open("rb") as file:
            expected = sum(1 for line in file if line.strip())
        try:
            read_scores(outputs / "scores.jsonl", expected)
        except ValueError as error:
            return Refused(f"{ctx.snapshot.id}: {error}")
        return Done(self.Output(scores=str(outputs / "scores.jsonl"), rows=expected))
