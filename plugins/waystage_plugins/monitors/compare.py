"""The step `challenger.compare`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from waystage.errors import Hopeless
from waystage.plugin import (
    Answer,
    Compared,
    Context,
    Done,
    JsonObject,
    Minimum,
    Refused,
    Slice,
    Snapshot,
    Step,
    Waiting,
)
from waystage_plugins.monitors import challenger_scores
from waystage_plugins.monitors.challenger_scores import Answers
from waystage_plugins.monitors.frozen import Asked, Frozen, freeze, frozen_before
from waystage_plugins.monitors.guardrails import Guard, Guardrails, Side, guards
from waystage_plugins.monitors.labelled import lack
from waystage_plugins.monitors.looks import Look, Spending, level_of, numbered, place_of

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.paired import Gain

UNSCORED_AT_MOST = 0.01  # a challenger that leaves out the hard requests must not gain by it
EXPRESSION = "{{"


class ChallengerCompare(Step):
    """Compare the run's snapshot with the champion on labelled requests of one frozen window.

        - id: comparison
          use: challenger.compare
          with:
            mode: shadow
            metric: auc
            margin: 0.01
            looks: 4
            before: []
            length: P28D
            label_delay: P30D
            minimum: {events: 200, nonevents: 200, label_coverage: 0.8}
            guardrails:
              latency: 1.5
              errors: 0.01
              psi: 0.25
              fairness: {group: sex, threshold: 0.4, favourable: below, at_least: 0.8}

    The requests are those that the champion of `stage` answered in the window, which ends
    `label_delay` before now and is frozen at the first attempt. `mode` says where the
    challenger's scores come from: `replay` has them scored now, `by: job` of the state's batch
    runtime or `by: endpoint` where it is deployed; `shadow` joins, by request id, its answers to
    copies of them; `split` takes requests of its own, which nothing pairs, so it needs more. In
    both the window begins no sooner than the challenger was deployed.

    `verdict` is `promote` if the lower end of the gain's interval exceeds `margin` and every
    guardrail was measured and passed; `wait` if nothing can be compared yet, for too few
    requests or labels, one kind of outcome alone, or copies of too few; else `keep`. Who compares
    again and again declares the number of `looks`, keeps `looked` of the output, and gives it
    back as `before`: the window then grows from its first start, and all looks together promote
    in error no more often than one would (Lan and DeMets, 1983). Data that were looked at
    already are no other look. The scoring log keeps each look before anything is seen by it: looks
    of other runs for the same challenger, champion and metric count on, and their error is gone.

    A challenger must not be judged on what it was trained on. `holdout: 0` takes all requests,
    which is right when its training data end before the window begins. Otherwise training
    leaves out a share of the requests, chosen by their ids, and the same share stands here.
    """

    use: ClassVar[str] = "challenger.compare"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "batch"

    mode: Literal["replay", "shadow", "split"] = "replay"
    by: Literal["job", "endpoint"] = Field(default="job", description="what answers a replay")
    metric: Literal["auc", "gini", "ks", "brier"] = "auc"
    margin: float = Field(default=0.0, ge=0, lt=1, description="gain that is not worth a change")
    confidence: float = Field(default=0.95, ge=0.5, lt=1, description="of the two-sided interval")
    looks: int = Field(default=1, ge=1, le=100, description="comparisons of this challenger in all")
    before: tuple[Look, ...] | None = Field(
        default=None, description="`looked` of the comparison before; an empty list at first"
    )
    spending: Spending = Field(
        default="obrien_fleming", description="how the looks share the error that is allowed"
    )
    stage: str = Field(default="PROD", description="whose champion and whose requests")
    length: timedelta = Field(default=timedelta(days=90), gt=timedelta())
    label_delay: timedelta = Field(default=timedelta(), ge=timedelta())
    holdout: float = Field(default=0.0, ge=0, lt=1, description="share kept out of training")
    minimum: Minimum = Minimum()
    coverage: float = Field(
        default=0.9, gt=0, le=1, description="share of the requests that `shadow` must have too"
    )
    guardrails: Guardrails = Guardrails()

    class Output(BaseModel):
        """The verdict and all that it stands on; values are null where there are none.

        A `gain` above 0 is the challenger's; of `brier`, which is better when lower, it is how
        much lower it is. `low` and `high` are at the level that this look asks for. `data` is
        the digest of the frozen window.
        """

        verdict: Literal["promote", "keep", "wait"]
        why: str
        mode: str
        paired: bool
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
        coverage: float = 1.0
        guardrails: list[Guard] = []
        look: int | None = None
        looks: int
        level: float | None = None
        looked: list[Look] = []
        start: datetime
        end: datetime
        data: str

    @classmethod
    def asks_of_runtime(
        cls, settings: Mapping[str, object]
    ) -> tuple[Literal["any", "online", "batch"] | None, frozenset[str]]:
        """Give what a replay asks for; what is in the log already asks for none."""
        mode, by = str(settings.get("mode", "replay")), str(settings.get("by", "job"))
        if EXPRESSION in mode or (mode == "replay" and EXPRESSION in by):
            return "any", frozenset()
        if mode != "replay":
            return None, frozenset()
        return ("online" if by == "endpoint" else "batch"), frozenset()

    @model_validator(mode="after")
    def _tells_looks_apart(self) -> ChallengerCompare:
        if self.spending == "pocock" and self.looks > 1 and self.before is None:
            raise ValueError(
                "before: spending pocock needs the looks that were made; keep `looked` of the "
                "output in the run's data and give it back, or say spending: obrien_fleming"
            )
        return self

    def run(self, ctx: Context) -> Answer:
        """Freeze the requests, get the challenger's scores, and judge the gain."""
        frozen = frozen_before(ctx) or freeze(ctx, self._asked(ctx))
        told = _Told(self, ctx, frozen)
        if told.place > self.looks:
            why = f"all {self.looks} declared looks were taken and none was enough"
            return Done(told.output("keep", f"{why}{told.elsewhere()}"))
        if why := self._lack(frozen):
            return Done(told.output("wait", why))
        try:
            answers = self._answers(ctx, frozen)
        except ValueError as error:
            return Refused(f"{ctx.snapshot.id}: {error}")
        return answers if isinstance(answers, Waiting) else Done(told.judged(answers))

    def _lack(self, frozen: Frozen) -> str:
        """Say why the data do not suffice; empty when they do."""
        if why := lack(frozen.counts, self.minimum):
            return why
        why = lack(frozen.beside, self.minimum) if self.mode == "split" else ""
        return f"the challenger: {why}" if why else ""

    def _asked(self, ctx: Context) -> Asked:
        end = ctx.now - self.label_delay
        own = [look for look in self.before or () if look.run in ("", ctx.run)]
        start = own[0].start if own else self._first_start(ctx, end)
        which = Slice(ctx.service, self.stage, start, end, _champion(ctx, self.stage).id)
        fairness = self.guardrails.fairness
        return Asked(
            which, self.holdout, fairness.group if fairness else "",
            None if self.mode == "replay" else self._own(ctx, which),
        )  # fmt: skip

    def _first_start(self, ctx: Context, end: datetime) -> datetime:
        """Begin no sooner than the challenger itself, where it is compared by its own answers."""
        start = end - self.length
        if self.mode == "replay":
            return start
        placed = ctx.placements(stage=self.stage, role="challenger")
        since = [each.since for each in placed if each.snapshot.id == ctx.snapshot.id]
        return min(max([start, *since]), end)

    def _own(self, ctx: Context, which: Slice) -> Slice:
        return challenger_scores.own_slice(ctx, which, late=self.mode == "shadow")

    def _answers(self, ctx: Context, frozen: Frozen) -> Waiting | Answers:
        if self.mode == "replay" and self.by == "job":
            return challenger_scores.by_job(ctx, frozen)
        if self.mode == "replay":
            return challenger_scores.by_endpoint(ctx, frozen, self.stage)
        which = Slice(ctx.service, self.stage, frozen.start, frozen.end, frozen.champion)
        slices = which, self._own(ctx, which)
        if self.mode == "split":
            return challenger_scores.by_split(ctx, frozen, slices)
        return challenger_scores.by_shadow(ctx, frozen, slices)


class _Told:
    """Puts a comparison's output together."""

    def __init__(self, step: ChallengerCompare, ctx: Context, frozen: Frozen) -> None:
        self._step, self._ctx, self._frozen = step, ctx, frozen
        self._counts = frozen.counts
        self._of = Compared(ctx.service, frozen.champion, ctx.snapshot.id, step.metric)
        self._before = self._all(ctx.scoring_log.looks(self._of))

    @property
    def place(self) -> int:
        """The number of the look at the frozen data, over all runs."""
        return place_of(self._before, self._frozen.digest)

    def elsewhere(self) -> str:
        """Say how many looks other runs took; nothing if none."""
        others = sum(look.run not in ("", self._ctx.run) for look in self._before)
        return f"; {others} of the {len(self._before)} by other runs" if others else ""

    def judged(self, answers: Answers) -> ChallengerCompare.Output:
        """Judge what both models answered."""
        step, new = self._step, answers.new
        about = {"unscored": new.unscored, "coverage": answers.coverage}
        if answers.coverage < step.coverage:
            why = (
                f"the challenger has {answers.coverage:.1%} of the champion's requests; "
                f"{step.coverage:.1%} are needed"
            )
            return self.output("wait", why, **about)
        if new.unscored > UNSCORED_AT_MOST * new.asked:
            why = f"the challenger has no score for {new.unscored} of {new.asked} requests"
            return self.output("keep", why, **about)
        if step.mode != "split":  # what one of both has no score for is in neither
            self._counts = _counted(self._counts, new)
            if why := lack(self._counts, step.minimum.model_copy(update={"label_coverage": 0.0})):
                return self.output("wait", why, **about)
        return self._weighed(answers, about)

    def _weighed(self, answers: Answers, about: dict[str, float]) -> ChallengerCompare.Output:
        step = self._step
        looked = self._before = self._taken(answers)
        number = self.place
        level = level_of(looked[:number], step.looks, step.confidence, step.spending)
        found = self._gain(answers, level)
        rails = guards(self._ctx, step.guardrails, answers.old, answers.new)
        better = found.low > step.margin
        told = [f"the gain in {step.metric} is at least {found.low:.4g}, "
                f"{'more' if better else 'not more'} than {step.margin:g}"]  # fmt: skip
        told += [("" if rail.passed else "not passed: ") + rail.told for rail in rails]
        if step.mode == "split":
            told.append(
                f"the requests of both were different ones ({len(answers.old.event)} of the "
                f"champion's, {len(answers.new.event)} of the challenger's), so nothing was paired"
            )
        return self.output(
            "promote" if better and all(rail.passed for rail in rails) else "keep",
            "; ".join(told),
            gain=found.gain, low=found.low, high=found.high, champion_value=found.champion,
            challenger_value=found.challenger, guardrails=rails, look=number, level=level,
            looked=looked, **about,
        )  # fmt: skip

    def _taken(self, answers: Answers) -> list[Look]:
        """Take the look, before anything is seen by it; give all of them."""
        amount, step, frozen = _information(answers.new), self._step, self._frozen
        if step.mode == "split":
            amount = 1 / (1 / amount + 1 / _information(answers.old))
        look = Look(
            number=self.place, start=frozen.start, end=frozen.end, data=frozen.digest,
            information=amount, run=self._ctx.run, looks=step.looks, confidence=step.confidence,
            spending=step.spending,
        )  # fmt: skip
        kept = self._ctx.scoring_log.looks(self._of, look.model_dump(mode="json"))
        return self._all(kept)

    def _all(self, kept: list[JsonObject]) -> list[Look]:
        return numbered([Look.model_validate(look) for look in kept], self._step.before or ())

    def _gain(self, answers: Answers, level: float) -> Gain:
        from waystage_plugins.monitors.statistics import paired, unpaired

        old, new, metric = answers.old, answers.new, self._step.metric
        if metric == "brier" and not ((old.score >= 0) & (old.score <= 1)).all():
            raise Hopeless(
                f"scores of {self._frozen.champion} lie outside 0..1, so they are no "
                "probabilities, which brier needs; compare by auc, gini or ks"
            )
        if self._step.mode == "split":
            samples = [unpaired.Sample(side.score, side.event) for side in (old, new)]
            return unpaired.GAINS[metric](samples[0], samples[1], level)
        return paired.GAINS[metric](paired.Pairs(old.score, new.score, old.event), level)

    def output(
        self, verdict: Literal["promote", "keep", "wait"], why: str, **values: object
    ) -> ChallengerCompare.Output:
        """Give the output with these values."""
        step, frozen = self._step, self._frozen
        told: dict[str, object] = {"looked": self._before} | values
        return step.Output.model_validate({
            "verdict": verdict, "why": why, "mode": step.mode, "paired": step.mode != "split",
            "metric": step.metric, "champion": frozen.champion,
            "challenger": self._ctx.snapshot.id, "rows": self._counts["usable"],
            "events": self._counts["events"], "nonevents": self._counts["nonevents"],
            "looks": step.looks, "start": frozen.start, "end": frozen.end, "data": frozen.digest,
            **told,
        })  # fmt: skip


def _champion(ctx: Context, stage: str) -> Snapshot:
    """Give the newest champion that is not the run's own snapshot, else that one itself."""
    placed = [each.snapshot for each in ctx.placements(stage=stage, role="champion")]
    others = [snapshot for snapshot in placed if snapshot.id != ctx.snapshot.id]
    if not placed:
        raise Hopeless(
            f"service {ctx.service} has no champion in {stage} to compare {ctx.snapshot.id} with"
        )
    return (others or placed)[0]


def _counted(counts: dict[str, int], side: Side) -> dict[str, int]:
    """Count anew what has a score and a label."""
    usable, events = len(side.event), int(side.event.sum())
    return counts | {"usable": usable, "events": events, "nonevents": usable - events}


def _information(side: Side) -> float:
    events = float(side.event.sum())
    return events * (len(side.event) - events) / len(side.event)
