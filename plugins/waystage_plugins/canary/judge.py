"""The step `canary.judge`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from waystage.errors import Hopeless
from waystage.plugin import Answer, Context, Done, Refused, Step
from waystage.plugin.snapshot import DIGEST
from waystage_plugins.canary.points import Frozen, freeze, frozen_before
from waystage_plugins.canary.prometheus import Grid, series
from waystage_plugins.canary.settings import (
    LONGEST,
    SIDES,
    Length,
    Metric,
    Prometheus,
    Side,
    check_ranges,
)
from waystage_plugins.canary.weighing import Rules, Verdict, Weighed, verdict, weigh
from waystage_plugins.steps.artifact import need_stage
from waystage_plugins.steps.placed import online_runtime


class JudgeCanary(Step):
    """Judge a canary by its online metrics against a baseline that was started with it.

        - id: judged
          use: canary.judge
          with:
            prometheus: {url: "https://prometheus.example.com"}
            metrics:
              latency:
                query: 'max(latency_seconds{quantile="0.95", version="$side"})'
                direction: increase
                critical: true
              sales:
                rows: table://warehouse/canary_sales
                direction: decrease
            length: PT2H

    Both sides are asked for the same times: the last `length`, ending `delay` ago, but nothing
    before `warm_up` after their start. `$side` in a query is `canary` or `baseline` as the
    settings name it, by default the run's snapshot and the champion of the stage (`credit/4`);
    `$step` is the step. A table or file (`rows`) has the columns `side`, `at` and `value`, each
    row a point of its own. `direction` is the change that is bad.

    `verdict` is `pass` if harm is ruled out, `fail` if it is shown, `marginal` in between (wait
    for more points), `inconclusive` if there are too few. It is refused when the two were not
    started within `together` of one another: a process that has just begun differs from one that
    is warm, whatever model is in it. Where one process holds both (`local.serving`), it is as warm
    for one as for the other. Who judges again and again says how many `looks` there are.
    """

    use: ClassVar[str] = "canary.judge"

    prometheus: Prometheus | None = None
    metrics: dict[str, Metric] = Field(min_length=1, max_length=100)
    canary: str | None = Field(default=None, min_length=1, max_length=400)
    baseline: str | None = Field(default=None, min_length=1, max_length=400)
    length: Length = timedelta(hours=1)
    step: Length = timedelta(minutes=1)
    warm_up: timedelta = Field(default=timedelta(minutes=5), ge=timedelta())
    delay: timedelta = Field(default=timedelta(minutes=1), ge=timedelta())
    together: Length = timedelta(minutes=10)
    minimum_points: int = Field(default=50, ge=10, le=LONGEST)
    missing: float = Field(default=0.1, ge=0, lt=1, description="largest share of missing points")
    confidence: float = Field(default=0.95, ge=0.5, lt=1, description="over all metrics and looks")
    looks: int = Field(default=1, ge=1, le=100, description="judgements of this canary in all")
    groups: dict[str, float] = Field(default={}, description="weights of groups of metrics")
    passes: float = Field(default=95.0, gt=0, le=100, description="score from which it passes")
    waits: float = Field(
        default=75.0, ge=0, le=100, description="it fails if this score is out of reach"
    )

    class Output(BaseModel):
        """The verdict and all that it stands on; `data` is the digest of all points."""

        verdict: Verdict
        why: str
        score: float | None = None
        canary: str
        baseline: str
        start: datetime
        end: datetime
        metrics: dict[str, Weighed]
        data: str = Field(pattern=DIGEST)

    @model_validator(mode="after")
    def _fits(self) -> JudgeCanary:
        if self.step % timedelta(milliseconds=1) or self.length < self.step:
            raise ValueError("step: is whole milliseconds, and no longer than length")
        if self.length // self.step > LONGEST:
            raise ValueError(f"length: has more than {LONGEST} points; lengthen the step")
        asked = {name: metric.query for name, metric in self.metrics.items() if metric.query}
        if asked and self.prometheus is None:
            raise ValueError(f"prometheus: is missing, and {min(asked)} has a query for it")
        for query in asked.values():
            check_ranges(query, self.step)
        if asked and self.length // self.step + 1 < self.minimum_points:
            raise ValueError(
                f"length: has {self.length // self.step + 1} points, fewer than minimum_points"
            )
        if self.waits > self.passes:
            raise ValueError("waits: is above passes")
        return self

    @model_validator(mode="after")
    def _weighs_what_there_is(self) -> JudgeCanary:
        groups = {metric.group for metric in self.metrics.values()}
        if self.groups and (other := groups ^ self.groups.keys()):
            raise ValueError(f"groups: {min(other)} is not in both groups and metrics")
        if any(not 0 < weight <= 1000 for weight in self.groups.values()):
            raise ValueError("groups: a weight is above 0 and at most 1000")
        return self

    def run(self, ctx: Context) -> Answer:
        """Ask for the points of both sides once, and judge them."""
        frozen = frozen_before(ctx)
        if frozen is None:
            names = self._names(ctx)
            if isinstance(names, Refused):
                return names
            grid = self._grid(ctx, names)
            if isinstance(grid, Refused):
                return grid
            frozen = freeze(ctx, self.prometheus, self.metrics, names, grid)
        return Done(self._judged(frozen))

    def _judged(self, frozen: Frozen) -> Output:
        rules = Rules(
            alpha=(1 - self.confidence) / self.looks,  # Bonferroni over the looks
            points=self.minimum_points,
            missing=self.missing,
            passes=self.passes,
            waits=self.waits,
            groups=self.groups,
        )
        weighed = weigh(self.metrics, frozen.points, rules)
        told, why, score = verdict(self.metrics, weighed, rules)
        return self.Output(
            verdict=told,
            why=why,
            score=score,
            canary=frozen.names[0],
            baseline=frozen.names[1],
            start=frozen.start,
            end=frozen.end,
            metrics=weighed,
            data=frozen.digest,
        )

    def _names(self, ctx: Context) -> tuple[str, str] | Refused:
        """Give what canary and baseline are called, by the settings or the inventory."""
        canary, baseline = self.canary or ctx.snapshot.id, self.baseline
        if baseline is None:
            placed = ctx.placements(stage=need_stage(ctx), role="champion")
            names = [each.snapshot.id for each in placed]
            baseline = next((name for name in names if name != canary), None)
        if baseline is None:
            return Refused(f"{ctx.service} has no champion in {ctx.stage} to be the baseline")
        if canary == baseline:
            return Refused(f"canary and baseline are both {canary}: nothing would be compared")
        return canary, baseline

    def _grid(self, ctx: Context, names: tuple[str, str]) -> Grid | Refused:
        """Give the times to ask for, or say why the two cannot be compared."""
        end = _floor(ctx.now - self.delay, self.step)
        starts = [
            self._started(ctx, side, name, end) for side, name in zip(SIDES, names, strict=True)
        ]
        for side, name, at in zip(SIDES, names, starts, strict=True):
            if at is None:
                return Refused(f"nothing says when the {side} {name} was started")
        first, last = sorted(at for at in starts if at is not None)
        if last - first > self.together and not self._in_one_process(ctx, names):
            told = " and ".join(
                f"the {side} {name} at {at:%Y-%m-%d %H:%M:%S} UTC"
                for side, name, at in zip(SIDES, names, starts, strict=True)
                if at
            )
            return Refused(
                f"{told} were not started together: start a baseline with the canary, "
                f"within {self.together}"
            )
        begin = _floor(last + self.warm_up, self.step) + self.step
        return Grid(min(max(end - self.length, begin), end), end, self.step)

    def _in_one_process(self, ctx: Context, names: tuple[str, str]) -> bool:
        """Whether one process has both, by the inventory; what a server says of them goes first."""
        if self.prometheus is not None and self.prometheus.started is not None:
            return False
        rows = [row for row in ctx.placements(stage=need_stage(ctx)) if row.snapshot.id in names]
        where = {row.deployed.runtime for row in rows}
        try:
            return len(where) == 1 and online_runtime(ctx, rows[0]).one_process
        except Hopeless:  # the stage has another runtime now, and nothing is known of the process
            return False

    def _started(self, ctx: Context, side: Side, name: str, end: datetime) -> datetime | None:
        """Give the latest start that the server knows of, or what the inventory says."""
        if self.prometheus is not None and self.prometheus.started is not None:
            grid = Grid(end - self.length, end, self.step)
            told = series(ctx, self.prometheus, self.prometheus.started, name, grid)
            return datetime.fromtimestamp(max(told.values()), UTC) if told else None
        role: Literal["champion", "challenger"] = "champion" if side == "baseline" else "challenger"
        placed = ctx.placements(stage=need_stage(ctx), role=role)
        return next((each.since for each in placed if each.snapshot.id == name), None)


def _floor(at: datetime, step: timedelta) -> datetime:
    """Round down to a whole step since 1970, so that points of two judgements fall together."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (at - epoch) // step * step
