"""The step `batch.train`."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, Field, field_validator

from waystage.errors import Hopeless
from waystage.plugin import Answer, Context, Done, Job, JsonObject, Refused, Slice, Step, Waiting
from waystage.plugin.snapshot import DIGEST
from waystage.plugin.values import Value
from waystage_plugins.repositories.manifest import read_manifest
from waystage_plugins.repositories.tree import MANIFEST, tree_files
from waystage_plugins.steps.artifact import fetch_artifact, need_stage
from waystage_plugins.steps.data import bring, unchanged
from waystage_plugins.steps.jobs import follow, job_name
from waystage_plugins.steps.window import Frozen, freeze
from waystage_plugins.storage.address import Address


class Data(Value):
    """Which part of the scoring log: `length` up to `label_delay` before now.

    The share `holdout` of the requests, always the same ones, is left for `challenger.compare`
    with the same `holdout`.
    """

    length: timedelta = Field(default=timedelta(days=90), gt=timedelta())
    label_delay: timedelta = Field(default=timedelta(), ge=timedelta())
    stage: str | None = None
    holdout: float = Field(default=0.0, ge=0, lt=1)


class Train(Step):
    """Train a new model on what the service was asked lately and how it came out.

        - id: training
          use: batch.train
          with:
            command: [python, train.py]
            data: {length: P90D, label_delay: P30D}
            minimum_rows: 1000

    The job finds the labelled rows as CSV in `WAYSTAGE_INPUT_DATA`, the files of the run's
    snapshot in `WAYSTAGE_INPUT_PARENT` and its manifest as JSON in `WAYSTAGE_INPUT_SNAPSHOT`.
    `inputs` names more of them by address, as `batch.run` does.
    It writes the model's files and their `manifest.yaml` to `WAYSTAGE_OUTPUT`, or to `model/`
    below it. `data.stage` says whose requests to take; the default is the state's stage.
    """

    use: ClassVar[str] = "batch.train"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "batch"

    command: tuple[str, ...] = Field(min_length=1, max_length=100)
    data: Data = Data()
    minimum_rows: int = Field(default=100, ge=1)
    inputs: dict[str, Address] = Field(default={}, max_length=100)

    class Output(BaseModel):
        """The directory with the trained model, its metrics, and what it was trained on.

        `data` is the digest of the labelled rows, `inputs` has those of the other inputs.
        """

        artifact: str
        metrics: dict[str, float]
        data: str = Field(pattern=DIGEST)
        rows: int
        events: int
        inputs: dict[str, str]

    def run(self, ctx: Context) -> Answer:
        """Freeze the data, run the job, hold what it wrote against what is expected."""
        frozen = self._freeze(ctx)
        if isinstance(frozen, Refused):
            return frozen
        outputs = follow(ctx, ctx.runtime("batch").batch, lambda: self._job(ctx, frozen))
        if isinstance(outputs, Waiting):
            return outputs
        given = {name: bring(ctx, name, address) for name, address in self.inputs.items()}
        for each in given.values():
            unchanged(ctx, each)
        artifact = outputs / "model" if (outputs / "model").is_dir() else outputs
        tree_files(artifact)  # refuses links and the like before anybody uses the directory
        return Done(
            self.Output(
                artifact=str(artifact),
                metrics=_metrics(read_manifest(artifact / MANIFEST), artifact),
                data=frozen.digest,
                rows=frozen.rows,
                events=frozen.events,
                inputs={name: each.digest for name, each in given.items()},
            )
        )

    @field_validator("inputs")
    @classmethod
    def _others(cls, value: dict[str, str]) -> dict[str, str]:
        if taken := sorted({"data", "parent", "snapshot"} & {*value}):
            raise ValueError(f"{taken[0]!r} is what every training gets; choose another name")
        return value

    def _freeze(self, ctx: Context) -> Frozen | Refused:
        if not ctx.snapshot.inputs:
            return Refused(
                f"{ctx.snapshot.id} names no inputs, so there are no columns to train on"
            )
        end = ctx.now - self.data.label_delay
        stage = self.data.stage or need_stage(ctx)
        which = Slice(ctx.service, stage, end - self.data.length, end)
        frozen = freeze(ctx.scoring_log, which, ctx.snapshot.inputs, ctx.scratch, self.data.holdout)
        counts: JsonObject = {"rows": frozen.rows, "events": frozen.events}
        if frozen.rows < self.minimum_rows:
            return Refused(
                f"{frozen.rows} labelled rows are fewer than the {self.minimum_rows} needed",
                output=counts,
            )
        if frozen.events in (0, frozen.rows):
            return Refused("all labelled rows came out the same; nothing can be learnt", counts)
        return frozen

    def _job(self, ctx: Context, frozen: Frozen) -> Job:
        snapshot = ctx.scratch / "snapshot.json"
        snapshot.write_text(ctx.snapshot.model_dump_json())
        return Job(
            name=job_name("train", ctx.service),
            command=self.command,
            inputs={
                **{name: str(bring(ctx, name, each).path) for name, each in self.inputs.items()},
                "data": frozen.path,
                "parent": str(fetch_artifact(ctx)),
                "snapshot": str(snapshot),
            },
        )


def _metrics(manifest: JsonObject, artifact: Path) -> dict[str, float]:
    metrics = manifest.get("metrics") or {}
    if not isinstance(metrics, dict):
        raise Hopeless(f"{artifact / MANIFEST}: field metrics: is not a map of name to number")
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isinf(value):
            raise Hopeless(f"{artifact / MANIFEST}: field metrics.{name}: is not a number")
    return {name: float(value) for name, value in metrics.items()}  # type: ignore[arg-type]  # checked
