"""The step `challenger.compare`."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.errors import Hopeless
from waystage.plugin import (
    Answer,
    Context,
    Done,
    Job,
    Minimum,
    Refused,
    Slice,
    Snapshot,
    Step,
    Waiting,
)
from waystage_plugins.monitors.frozen import Frozen, freeze, frozen_before, known
from waystage_plugins.monitors.labelled import lack
from waystage_plugins.steps.artifact import deploy_spec, fetch_artifact, need_stage
from waystage_plugins.steps.jobs import follow, score_of

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.paired import Pairs

UNSCORED_AT_MOST = 0.01  # a challenger that leaves out the hard requests must not gain by it


class ChallengerCompare(Step):
    """Compare the run's snapshot with the champion on the same labelled requests.

        - id: comparison
          use: challenger.compare
          with:
            metric: auc
            margin: 0.01
            length: P90D
            label_delay: P30D
            minimum: {events: 200, nonevents: 200, label_coverage: 0.8}

    The requests are those that the champion of `stage` answered in the window, which ends
    `label_delay` before now and is frozen at the first attempt; the state's batch runtime
    scores them with the challenger. `verdict` is `promote` if the lower end of the gain's
    interval exceeds `margin`, `wait` if there are too few requests or labels, else `keep`.
    Who compares again and again declares the number of `looks`; the interval allows for it.

    A challenger must not be judged on what it was trained on. `holdout: 0` takes all requests,
    which is right when its training data end before the window begins. Otherwise training
    leaves out a share of the requests, chosen by their ids, and the same share stands here.
    """

    use: ClassVar[str] = "challenger.compare"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "batch"

    metric: Literal["auc", "ks"] = "auc"
    margin: float = Field(default=0.0, ge=0, lt=1, description="gain that is not worth a change")
    confidence: float = Field(default=0.95, ge=0.5, lt=1, description="of the two-sided interval")
    looks: int = Field(default=1, ge=1, le=100, description="comparisons of this challenger in all")
    stage: str = Field(default="PROD", description="whose champion and whose requests")
    length: timedelta = Field(default=timedelta(days=90), gt=timedelta())
    label_delay: timedelta = Field(default=timedelta(), ge=timedelta())
    holdout: float = Field(default=0.0, ge=0, lt=1, description="share kept out of training")
    minimum: Minimum = Minimum()

    class Output(BaseModel):
        """The verdict and all that it stands on; values are null where there are none."""

        verdict: Literal["promote", "keep", "wait"]
        why: str
        metric: str
        champion: str
        challenger: str
        gain: float | None = None
        low: float | None = None
        high: float | None = None
        champion_value: float | None = None
        challenger_value: float | None = None
        rows: int
        events: int
        nonevents: int
        unscored: int = 0
        start: datetime
        end: datetime
        data: str

    def run(self, ctx: Context) -> Answer:
        """Freeze the requests, have them scored, and judge the gain."""
        frozen = frozen_before(ctx) or freeze(ctx, self._slice(ctx), self.holdout)
        if why := lack(frozen.counts, self.minimum):
            return Done(self._output(ctx, frozen, "wait", why))
        outputs = follow(ctx, ctx.runtime("batch").batch, lambda: _scoring(ctx))
        if isinstance(outputs, Waiting):
            return outputs
        rows = known(ctx, frozen)
        try:
            scores = _scores(outputs / "scores.jsonl", len(rows))
        except ValueError as error:
            return Refused(f"{ctx.snapshot.id}: {error}")
        return Done(self._judged(ctx, frozen, rows, scores))

    def _slice(self, ctx: Context) -> Slice:
        end = ctx.now - self.label_delay
        champion = _champion(ctx, self.stage)
        return Slice(ctx.service, self.stage, end - self.length, end, champion.id)

    def _judged(
        self,
        ctx: Context,
        frozen: Frozen,
        rows: list[tuple[str, float, int]],
        scores: list[float | None],
    ) -> Output:
        unscored = scores.count(None)
        if unscored > UNSCORED_AT_MOST * len(scores):
            why = f"the challenger has no score for {unscored} of {len(scores)} requests"
            return self._output(ctx, frozen, "keep", why, unscored=unscored)
        pairs = _pairs(rows, scores)
        counts = _left(frozen.counts, pairs)
        if why := lack(counts, self.minimum):
            return self._output(ctx, frozen, "wait", why, unscored=unscored)
        return self._weighed(ctx, frozen.model_copy(update={"counts": counts}), pairs, unscored)

    def _weighed(self, ctx: Context, frozen: Frozen, pairs: Pairs, unscored: int) -> Output:
        from waystage_plugins.monitors.statistics.paired import auc_gain, ks_gain

        compare = auc_gain if self.metric == "auc" else ks_gain
        # Bonferroni: each of the looks gets its share of the error that is allowed in all
        found = compare(pairs, 1 - (1 - self.confidence) / self.looks)
        better = found.low > self.margin
        return self._output(
            ctx,
            frozen,
            "promote" if better else "keep",
            f"the gain is at least {found.low:.4g}, {'more' if better else 'not more'} "
            f"than {self.margin:g}",
            gain=found.gain,
            low=found.low,
            high=found.high,
            champion_value=found.champion,
            challenger_value=found.challenger,
            unscored=unscored,
        )

    def _output(
        self,
        ctx: Context,
        frozen: Frozen,
        verdict: Literal["promote", "keep", "wait"],
        why: str,
        *,
        unscored: int = 0,
        **values: float,
    ) -> Output:
        return self.Output(
            verdict=verdict,
            why=why,
            metric=self.metric,
            champion=frozen.champion,
            challenger=ctx.snapshot.id,
            rows=frozen.counts["usable"],
            events=frozen.counts["events"],
            nonevents=frozen.counts["nonevents"],
            unscored=unscored,
            start=frozen.start,
            end=frozen.end,
            data=frozen.digest,
            **values,
        )


def _champion(ctx: Context, stage: str) -> Snapshot:
    """Give the newest champion that is not the run's own snapshot, else that one itself."""
    placed = [each.snapshot for each in ctx.placements(stage=stage, role="champion")]
    others = [snapshot for snapshot in placed if snapshot.id != ctx.snapshot.id]
    if not placed:
        raise Hopeless(
            f"service {ctx.service} has no champion in {stage} to compare {ctx.snapshot.id} with"
        )
    return (others or placed)[0]


def _scoring(ctx: Context) -> Job:
    runtime, source = ctx.runtime("batch").batch, fetch_artifact(ctx)
    spec = deploy_spec(ctx, need_stage(ctx), source, "challenger")
    return runtime.score_command(spec, str(ctx.scratch / "rows.jsonl"))


def _scores(place: Path, expected: int) -> list[float | None]:
    """Read what the job wrote; None for an answer that is no score from 0 to 1."""
    if not place.is_file():
        raise ValueError(f"the job wrote no {place.name}")
    lines = place.read_text().splitlines()
    if len(lines) != expected:
        raise ValueError(f"the job answered {len(lines)} rows for {expected}")
    scores: list[float | None] = []
    for number, line in enumerate(lines, start=1):
        try:
            scores.append(score_of(number, json.loads(line)))
        except ValueError:
            scores.append(None)
    return scores


def _pairs(rows: list[tuple[str, float, int]], scores: list[float | None]) -> Pairs:
    import numpy as np

    from waystage_plugins.monitors.statistics.paired import Pairs

    champion, event = (np.array([row[place] for row in rows]) for place in (1, 2))
    challenger = np.array([np.nan if score is None else score for score in scores])
    both = ~np.isnan(challenger)
    return Pairs(champion[both].astype(np.float64), challenger[both], event[both].astype(np.int64))


def _left(counts: dict[str, int], pairs: Pairs) -> dict[str, int]:
    """Count anew what has a score of both models."""
    usable, events = len(pairs.event), int(pairs.event.sum())
    return counts | {"usable": usable, "events": events, "nonevents": usable - events}
