"""The step `batch.score`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, Field, field_validator

from waystage.errors import Hopeless
from waystage.plugin import Answer, Context, Done, Job, JsonObject, Refused, Step, Waiting
from waystage.plugin.snapshot import DIGEST
from waystage_plugins.runtimes.files import read_json
from waystage_plugins.steps.artifact import deploy_spec, fetch_artifact, need_stage
from waystage_plugins.steps.data import FINISHED, bring, check_target, once, publish, unchanged
from waystage_plugins.steps.jobs import follow, score_of
from waystage_plugins.storage.address import Address
from waystage_plugins.storage.files import file_digest


class ScoreBatch(Step):
    """Score a file or a table of rows with the run's snapshot on the stage's batch runtime.

        - id: scoring
          use: batch.score
          with:
            rows: table://warehouse/applicants
            keep: [applicant_id]
            output: "s3://lake/scores/{{ run.id }}.jsonl"

    `rows` is a JSON-lines file, one object per row (a path that starts at the project, or an
    object of a connection), or a table. Without `output` the scores stay with the job. `keep`
    names columns of the rows that stand beside their scores; those of them that are no inputs of
    the snapshot are not shown to the model. What is at `output` already stays
    as it is and parks the run, unless `replace` says otherwise; rows are added to a table.
    """

    use: ClassVar[str] = "batch.score"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "batch"

    rows: Address
    output: Address | None = None
    keep: tuple[str, ...] = Field(default=(), max_length=100)
    replace: bool = False

    @field_validator("keep")
    @classmethod
    def _beside(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "score" in value:
            raise ValueError("'score' is what the model gives; a row's own one cannot be kept")
        return value

    class Output(BaseModel):
        """Where the scores are, how many, and the digests of scores and rows."""

        scores: str
        rows: int
        digest: str = Field(pattern=DIGEST)
        rows_digest: str = Field(pattern=DIGEST)

    def run(self, ctx: Context) -> Answer:
        """Run one job; refuse what it wrote unless every row has a score from 0 to 1."""
        need_stage(ctx)
        targets = () if self.output is None else (self.output,)
        if read_json(ctx.scratch / FINISHED):
            return Done(self.Output.model_validate(once(ctx, targets, dict)))
        runtime = ctx.runtime("batch").batch
        outputs = follow(ctx, runtime, lambda: self._job(ctx))
        if isinstance(outputs, Waiting):
            return outputs
        try:
            answer = once(ctx, targets, lambda: self._taken(ctx, outputs / "scores.jsonl"))
        except ValueError as error:
            return Refused(f"{ctx.snapshot.id}: {error}")
        return Done(self.Output.model_validate(answer))

    def _job(self, ctx: Context) -> Job:
        if self.output is not None:
            check_target(ctx, self.output)
        rows = bring(ctx, "rows", self.rows)
        spec = deploy_spec(ctx, need_stage(ctx), fetch_artifact(ctx))
        path = self._inputs_alone(ctx, rows.path)
        return ctx.runtime("batch").batch.score_command(spec, str(path))

    def _inputs_alone(self, ctx: Context, rows: Path) -> Path:
        """Give the rows without the kept columns that the model does not take, as an id is one.

        Of a snapshot that does not say what it takes, the rows are left as they are.
        """
        inputs = {column.name for column in ctx.snapshot.inputs}
        beside = [name for name in self.keep if name not in inputs]
        if not inputs or not beside:
            return rows
        place = ctx.scratch / "inputs.jsonl"
        unfinished = place.with_suffix(".unfinished")
        with rows.open(encoding="utf-8") as given, unfinished.open("w", encoding="utf-8") as file:
            file.writelines(_without(line, beside) for line in given)
        return unfinished.replace(place)

    def _taken(self, ctx: Context, scores: Path) -> JsonObject:
        """Check every score, put the kept columns beside them, and bring them to their place."""
        rows = bring(ctx, "rows", self.rows)
        if not scores.is_file():
            raise ValueError(f"the job wrote no {scores.name}")
        joined, count = ctx.scratch / "scores.jsonl", 0
        with joined.open("w", encoding="utf-8") as file:
            for line in _joined(rows.path, scores, self.keep):
                file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
                count += 1
        unchanged(ctx, rows)
        own = joined if self.keep else scores
        digest = file_digest(own)
        if self.output is not None:
            digest = publish(ctx, own, self.output, replace=self.replace)
        place = self.output or str(own)
        return {"scores": place, "rows": count, "digest": digest, "rows_digest": rows.digest}


def _without(line: str, names: Sequence[str]) -> str:
    """Give a row without some of its columns; what is no row is for the model to refuse."""
    try:
        row = json.loads(line)
    except ValueError:
        return line
    if not isinstance(row, dict):
        return line
    kept = {name: value for name, value in row.items() if name not in names}
    return json.dumps(kept, ensure_ascii=False) + "\n"


def _joined(rows: Path, scores: Path, keep: tuple[str, ...]) -> Iterator[JsonObject]:
    """Give each row's kept columns with its score; raises `ValueError` when they do not match."""
    with rows.open(encoding="utf-8") as given, scores.open(encoding="utf-8") as answered:
        asked = (line for line in given if line.strip())
        for number, (row, score) in enumerate(zip_longest(asked, answered), start=1):
            if row is None or score is None:
                counted = number + sum(1 for _ in (asked if score is None else answered))
                fewer = number - 1
                answers, wanted = (fewer, counted) if score is None else (counted, fewer)
                raise ValueError(f"the job answered {answers} rows for {wanted}")
            found = score_of(number, json.loads(score))
            yield _kept(number, json.loads(row), keep) | {"score": found}


def _kept(number: int, row: JsonObject, keep: tuple[str, ...]) -> JsonObject:
    missing = [name for name in keep if name not in row]
    if missing:
        raise Hopeless(f"row {number} has no column {missing[0]!r} to keep")
    return {name: row[name] for name in keep}
