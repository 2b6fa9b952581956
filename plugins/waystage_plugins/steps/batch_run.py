"""The step `batch.run`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, Field, field_validator

from waystage.plugin import Answer, Context, Done, Job, JsonObject, Refused, Step, Waiting
from waystage.plugin.snapshot import DIGEST
from waystage_plugins.repositories.tree import tree_digest, tree_files
from waystage_plugins.runtimes.files import read_json
from waystage_plugins.steps.data import FINISHED, bring, check_target, once, publish, unchanged
from waystage_plugins.steps.jobs import follow, job_name
from waystage_plugins.storage.address import Address


class RunBatch(Step):
    """Run a command as one job on the stage's batch runtime, with inputs and outputs by address.

        - id: features
          use: batch.run
          with:
            command: [python, features.py]
            inputs: {cases: table://warehouse/cases}
            outputs: {features.jsonl: "s3://lake/features/{{ run.id }}.jsonl"}

    The job finds the input `cases` as the file in `WAYSTAGE_INPUT_CASES`, and writes below the
    directory in `WAYSTAGE_OUTPUT`. Each of `outputs` is a file that it must write there, and
    where that goes; it is refused when one is missing. What is at an output's address already
    stays as it is and parks the run, unless `replace` says otherwise; rows are added to a table.
    """

    use: ClassVar[str] = "batch.run"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "batch"

    command: tuple[str, ...] = Field(min_length=1, max_length=100)
    inputs: dict[str, Address] = Field(default={}, max_length=100)
    outputs: dict[str, Address] = Field(default={}, max_length=100)
    environment: dict[str, str] = Field(default={}, description="no secrets: they would be kept")
    replace: bool = False

    class Output(BaseModel):
        """Where the outputs are, and the digests of all that was read and written.

        `digest` is that of everything below the job's directory, kept in `directory`.
        """

        directory: str
        digest: str = Field(pattern=DIGEST)
        inputs: dict[str, str]
        outputs: dict[str, str]

    @field_validator("outputs")
    @classmethod
    def _below(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if {"", ".", ".."} & {*name.split("/")}:
                raise ValueError(f"{name!r} is no path below the job's directory")
        return value

    def run(self, ctx: Context) -> Answer:
        """Bring the inputs, run one job, bring the outputs."""
        targets = tuple(self.outputs.values())
        if read_json(ctx.scratch / FINISHED):
            return Done(self.Output.model_validate(once(ctx, targets, dict)))
        outputs = follow(ctx, ctx.runtime("batch").batch, lambda: self._job(ctx))
        if isinstance(outputs, Waiting):
            return outputs
        if missing := [name for name in self.outputs if not (outputs / name).is_file()]:
            return Refused(f"the job succeeded and wrote no file {missing[0]}")
        return Done(
            self.Output.model_validate(once(ctx, targets, lambda: self._taken(ctx, outputs)))
        )

    def _job(self, ctx: Context) -> Job:
        for address in self.outputs.values():
            check_target(ctx, address)
        inputs = {
            name: str(bring(ctx, name, address).path) for name, address in self.inputs.items()
        }
        return Job(
            name=job_name("run", ctx.service),
            command=self.command,
            inputs=inputs,
            environment=self.environment,
        )

    def _taken(self, ctx: Context, outputs: Path) -> JsonObject:
        given = {name: bring(ctx, name, address) for name, address in self.inputs.items()}
        for each in given.values():
            unchanged(ctx, each)
        written: JsonObject = {
            name: publish(ctx, outputs / name, address, replace=self.replace)
            for name, address in self.outputs.items()
        }
        read: JsonObject = {name: each.digest for name, each in given.items()}
        digest = tree_digest(tree_files(outputs))
        return {"directory": str(outputs), "digest": digest, "inputs": read, "outputs": written}
