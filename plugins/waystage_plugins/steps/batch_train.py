"""The step `batch.train`."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from waystage.plugin import (
    Allowance,
    Answer,
    Context,
    Done,
    Job,
    JsonObject,
    Refused,
    Slice,
    Step,
    Value,
    Waiting,
)
from waystage.plugin.snapshot import DIGEST
from waystage_plugins.repositories.tree import tree_files
from waystage_plugins.runtimes.files import read_json, write_json
from waystage_plugins.steps.artifact import fetch_artifact, need_stage
from waystage_plugins.steps.commit import COMMIT, commit_of
from waystage_plugins.steps.data import bring, unchanged
from waystage_plugins.steps.jobs import follow, job_name
from waystage_plugins.steps.metrics import read_metrics
from waystage_plugins.steps.window import Frozen, Target, freeze
from waystage_plugins.storage.address import Address


class Data(Value):
    """Which part of the scoring log: `length` up to `label_delay` before now.

    `target` is what is learnt: `event`, how a request came out (0 or 1), or `value`, what the
    number that a regression predicted turned out to be. The share `holdout` of the requests,
    always the same ones, is left for `challenger.compare` with the same `holdout`.
    """

    length: timedelta = Field(default=timedelta(days=90), gt=timedelta())
    label_delay: timedelta = Field(default=timedelta(), ge=timedelta())
    stage: str | None = None
    holdout: float = Field(default=0.0, ge=0, lt=1)
    target: Target = "event"

    @property
    def known(self) -> str:
        """What a row needs to be learnt from, in words."""
        return "label" if self.target == "event" else "true value"


class Budget(Value):
    """How many trainings of a service may begin within `per`, and how long all may take."""

    trainings: int = Field(ge=1, le=10_000)
    per: timedelta = Field(gt=timedelta())
    time: timedelta | None = Field(default=None, gt=timedelta())


class Metrics(Value):
    """A JSON file below the job's directory with numbers by name, and which there must be."""

    file: str | None = Field(default=None, min_length=1, max_length=400)
    needs: tuple[str, ...] = Field(default=(), max_length=100)

    @field_validator("file")
    @classmethod
    def _below(cls, value: str | None) -> str | None:
        if value is not None and {"", ".", ".."} & {*value.split("/")}:
            raise ValueError(f"{value!r} is no path below the job's directory")
        return value


class Train(Step):
    """Train a new model on what the service was asked lately and how it came out.

        - id: training
          use: batch.train
          with:
            command: [python, train.py]
            data: {length: P90D, label_delay: P30D}
            minimum_rows: 1000
            metrics: {file: metrics.json, needs: [ks]}
            cooldown: P30D
            budget: {trainings: 4, per: P365D}

    The job finds the rows with a label (`data.target: value`: with a true value) as CSV in
    `WAYSTAGE_INPUT_DATA`, the files of the run's snapshot in `WAYSTAGE_INPUT_PARENT` and its
    manifest as JSON in `WAYSTAGE_INPUT_SNAPSHOT`. `inputs` names more of them by address, as
    `batch.run` does.
    It writes the model's files and their `manifest.yaml` to `WAYSTAGE_OUTPUT`, or to `model/`
    below it. `data.stage` says whose requests to take; the default is the state's stage.
    `metrics.file` is a file below `WAYSTAGE_OUTPUT` with more metrics than the manifest's.

    A service is trained once at a time, and not more often than `budget` and `cooldown` (since
    the last training ended) say, whichever run asks: a training beyond them is refused, with
    when the next one may begin in `event.payload.output.again`.
    """

    use: ClassVar[str] = "batch.train"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "batch"
    counted: ClassVar[bool] = True

    command: tuple[str, ...] = Field(min_length=1, max_length=100)
    data: Data = Data()
    minimum_rows: int = Field(default=100, ge=1)
    minimum_coverage: float = Field(default=0.0, ge=0, le=1, description="share with a label")
    inputs: dict[str, Address] = Field(default={}, max_length=100)
    metrics: Metrics = Metrics()
    budget: Budget | None = None
    cooldown: timedelta = Field(default=timedelta(), ge=timedelta())

    class Output(BaseModel):
        """The directory with the trained model, its metrics, and what it was trained on.

        `data` is the digest of the rows, `events` how many of their labels are 1, `coverage` the
        share of the window's requests that have a label, or a true value. `inputs` has the
        digests of the other inputs. `commit` is what the project's directory was a checkout of
        when the job began, if it was one.
        """

        artifact: str
        metrics: dict[str, float]
        data: str = Field(pattern=DIGEST)
        rows: int
        events: int
        coverage: float
        commit: str = Field(pattern=COMMIT)
        inputs: dict[str, str]

    def allowance(self) -> Allowance:
        """Count the trainings of a service, and hold them to budget and cooldown."""
        budget = self.budget
        return Allowance(
            name="training",
            most=budget.trainings if budget else None,
            time=budget.time if budget else None,
            per=budget.per if budget else timedelta(),
            cooldown=self.cooldown,
        )

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
                metrics=read_metrics(artifact, outputs, self.metrics.file, self.metrics.needs),
                data=frozen.digest,
                rows=frozen.rows,
                events=frozen.events,
                coverage=round(frozen.coverage, 6),
                commit=_commit(ctx),
                inputs={name: each.digest for name, each in given.items()},
            )
        )

    @field_validator("inputs")
    @classmethod
    def _others(cls, value: dict[str, str]) -> dict[str, str]:
        if taken := sorted({"data", "parent", "snapshot"} & {*value}):
            raise ValueError(f"{taken[0]!r} is what every training gets; choose another name")
        return value

    @model_validator(mode="after")
    def _a_budget_that_counts(self) -> Train:
        budget = self.budget
        if budget and budget.time is None and self.cooldown * budget.trainings >= budget.per:
            raise ValueError(
                f"the cooldown alone keeps trainings below the budget: {budget.trainings} of them "
                f"take {self.cooldown * budget.trainings} of cooldown, and the budget's period "
                f"is {budget.per}; shorten the cooldown or lengthen per"
            )
        return self

    def _freeze(self, ctx: Context) -> Frozen | Refused:
        if not ctx.snapshot.inputs:
            return Refused(
                f"{ctx.snapshot.id} names no inputs, so there are no columns to train on"
            )
        end = ctx.now - self.data.label_delay
        stage = self.data.stage or need_stage(ctx)
        which = Slice(ctx.service, stage, end - self.data.length, end)
        frozen = freeze(
            ctx.scoring_log, which, ctx.snapshot.inputs, ctx.scratch, self.data.holdout,
            self.data.target,
        )  # fmt: skip
        _commit(ctx)
        return self._enough(frozen)

    def _enough(self, frozen: Frozen) -> Frozen | Refused:
        counts: JsonObject = {
            "rows": frozen.rows,
            "events": frozen.events,
            "coverage": round(frozen.coverage, 6),
        }
        if frozen.rows < self.minimum_rows:
            return Refused(
                f"{frozen.rows} rows with a {self.data.known} are fewer than the "
                f"{self.minimum_rows} needed",
                output=counts,
            )
        if frozen.coverage < self.minimum_coverage:
            return Refused(
                f"{frozen.coverage:.1%} of the window's requests have a {self.data.known}, fewer "
                f"than the {self.minimum_coverage:.1%} needed",
                output=counts,
            )
        if not frozen.varied:
            return Refused(
                f"all rows with a {self.data.known} came out the same; nothing can be learnt",
                counts,
            )
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


def _commit(ctx: Context) -> str:
    """Give the project's commit at the first call of the step, also after a crash."""
    place = ctx.scratch / "commit.json"
    if not place.exists():
        write_json(place, {"commit": commit_of(ctx.project)})
    return str(read_json(place).get("commit", ""))
