"""The step `runtime.probe`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel

from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    Answer,
    Context,
    Done,
    Handle,
    Job,
    Placement,
    Refused,
    Step,
    Verified,
    Waiting,
)
from waystage_plugins.steps.artifact import deploy_spec, fetch_artifact, need_stage
from waystage_plugins.steps.jobs import follow, read_scores, score_of
from waystage_plugins.steps.placed import online_runtime, own_placements


class Probe(Step):
    """Send one real scoring request with the snapshot's example rows to where it runs.

        - use: runtime.probe

    Refused when another snapshot answers, when the number of answers is not that of the
    rows, or when a score is not a number from 0 to 1. On a batch runtime it runs a small job.
    """

    use: ClassVar[str] = "runtime.probe"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "any"

    class Output(BaseModel):
        """One score per example row, and how long all of them took; 0 on a batch runtime."""

        scores: list[float]
        latency_ms: float

    def run(self, ctx: Context) -> Answer:
        """Probe what the inventory says runs in the stage."""
        stage = need_stage(ctx)
        rows = own_placements(ctx)
        if not rows:
            raise Hopeless(f"{ctx.snapshot.id} is not deployed in {stage}; deploy it first")
        if not ctx.snapshot.example:
            return Refused(f"{ctx.snapshot.id} has no example rows to score")
        if rows[0].deployed.mode == "batch":
            return self._probe_batch(ctx, stage)
        return self._probe_online(ctx, stage, rows[0])

    def _probe_online(self, ctx: Context, stage: str, placement: Placement) -> Answer:
        runtime, handle = online_runtime(ctx, placement), Handle(ref=placement.deployed.handle)
        seen = runtime.observe(ctx, handle)
        if seen.phase != "ready":
            raise Retryable(f"{ctx.snapshot.id} is {seen.phase} in {stage}: {seen.message}")
        if seen.digest != ctx.snapshot.digest:
            return Refused(f"in {stage} answers {seen.digest}, not {ctx.snapshot.digest}")
        rows = list(ctx.snapshot.example)
        started = time.perf_counter()
        answers = runtime.predict(ctx, handle, rows)
        latency = (time.perf_counter() - started) * 1000
        if len(answers) != len(rows):
            return Refused(f"{ctx.snapshot.id} answered {len(answers)} rows for {len(rows)}")
        try:
            scores = [score_of(number, answer) for number, answer in enumerate(answers, start=1)]
        except ValueError as error:
            return Refused(f"{ctx.snapshot.id} in {stage}: {error}")
        return self._done(stage, scores, latency)

    def _probe_batch(self, ctx: Context, stage: str) -> Answer:
        runtime = ctx.runtime("batch").batch
        outputs = follow(ctx, runtime, lambda: self._job(ctx, stage))
        if isinstance(outputs, Waiting):
            return outputs
        try:
            scores = read_scores(outputs / "scores.jsonl", len(ctx.snapshot.example))
        except ValueError as error:
            return Refused(f"{ctx.snapshot.id} in {stage}: {error}")
        return self._done(stage, scores, 0.0)

    def _job(self, ctx: Context, stage: str) -> Job:
        rows = ctx.scratch / "example.jsonl"
        rows.write_text("".join(json.dumps(row) + "\n" for row in ctx.snapshot.example))
        spec = deploy_spec(ctx, stage, Path(fetch_artifact(ctx)))
        return ctx.runtime("batch").batch.score_command(spec, str(rows))

    def _done(self, stage: str, scores: list[float], latency: float) -> Done:
        output = self.Output(scores=scores, latency_ms=round(latency, 3))
        return Done(output, facts=(Verified(stage=stage),))
