"""What a better challenger must not be worse in: latency, errors, shape of scores, fairness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from waystage.plugin import Context
from waystage_plugins.monitors.fairness import FairnessMonitor

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.counts import Floats, Integers

LEAST_TIMED = 100  # requests without which a 95th percentile means nothing
BINS = 10


class FairnessLimit(BaseModel):
    """The lowest rate of a group divided by the highest, as the monitor `fairness` has it.

    An empty `group` asks for nothing.
    """

    model_config = ConfigDict(extra="forbid")

    at_least: float = Field(default=0.8, ge=0, le=1)
    group: str = ""
    cuts: tuple[float, ...] = Field(default=(), max_length=20)
    threshold: float = 0.5
    favourable: Literal["above", "below"] = "above"
    rate: Literal["selection", "events", "nonevents"] = "selection"
    least: int = Field(default=100, ge=2)


class Guardrails(BaseModel):
    """Limits, each for itself; one that is not said is not looked at."""

    model_config = ConfigDict(extra="forbid")

    latency: float | None = Field(
        default=None, gt=0, description="95th percentile, as a multiple of the champion's"
    )
    errors: float | None = Field(
        default=None, ge=0, le=1,
        description="share of requests without a score, above the champion's",
    )  # fmt: skip
    psi: float | None = Field(default=None, gt=0, description="between the scores of both")
    fairness: FairnessLimit | None = None


class Guard(BaseModel):
    """How one guardrail came out; `value` is null where it could not be measured."""

    name: str
    passed: bool
    value: float | None
    limit: float
    told: str


@dataclass
class Side:
    """What is known of one model's answers in the window; `latency` is in milliseconds."""

    score: Floats
    event: Integers
    groups: Sequence[object]
    asked: int
    unscored: int
    latency: Sequence[float] = ()
    untimed: str = field(default="")  # why there are no latencies

    @property
    def errors(self) -> float:
        """The share of requests without a score."""
        return self.unscored / self.asked if self.asked else 1.0


def guards(ctx: Context, limits: Guardrails, old: Side, new: Side) -> list[Guard]:
    """Measure each guardrail that has a limit; one that cannot be measured is not passed."""
    found: list[Guard] = []
    if limits.latency is not None:
        found.append(_latency(limits.latency, old, new))
    if limits.errors is not None:
        found.append(_errors(limits.errors, old, new))
    if limits.psi is not None:
        found.append(_psi(limits.psi, old, new))
    if limits.fairness is not None and limits.fairness.group:
        found.append(_fairness(ctx, limits.fairness, new))
    return found


def _unmeasured(name: str, limit: float, why: str) -> Guard:
    told = f"{name} cannot be measured: {why}"
    return Guard(name=name, passed=False, value=None, limit=limit, told=told)


def _latency(limit: float, old: Side, new: Side) -> Guard:
    import numpy as np

    for name, side in (("champion", old), ("challenger", new)):
        if side.untimed:
            return _unmeasured("latency", limit, side.untimed)
        if len(side.latency) < LEAST_TIMED:
            why = f"{len(side.latency)} requests of the {name} tell how long they took"
            return _unmeasured("latency", limit, f"{why}, {LEAST_TIMED} are needed")
    before, now = (float(np.quantile(side.latency, 0.95)) for side in (old, new))
    if before <= 0:
        return _unmeasured("latency", limit, "the champion's requests took no time")
    value = now / before
    told = (
        f"95% answer within {now:.3g} ms, {value:.3g} times the champion's {before:.3g} ms "
        f"(at most {limit:g})"
    )
    return Guard(name="latency", passed=value <= limit, value=value, limit=limit, told=told)


def _errors(limit: float, old: Side, new: Side) -> Guard:
    if not old.asked or not new.asked:
        return _unmeasured("errors", limit, "one of both was asked nothing")
    value = new.errors - old.errors
    told = (
        f"{new.errors:.2%} of its requests have no score, {old.errors:.2%} of the champion's "
        f"(at most {limit:.2%} more)"
    )
    return Guard(name="errors", passed=value <= limit, value=value, limit=limit, told=told)


def _psi(limit: float, old: Side, new: Side) -> Guard:
    """Hold the challenger's scores against deciles of the champion's."""
    import numpy as np

    from waystage_plugins.monitors.statistics.divergence import chi2_point, noise_scale, psi

    if not len(old.score) or not len(new.score):
        return _unmeasured("psi", limit, "one of both has no score")
    inner = np.unique(np.quantile(old.score, np.arange(1, BINS) / BINS))
    base, now = (
        np.bincount(np.searchsorted(inner, side.score, side="right"), minlength=len(inner) + 1)
        for side in (old, new)
    )
    # what two samples of one distribution show (Yurdakul and Naranjo, 2020)
    noise = chi2_point(len(base), 0.95) * noise_scale(base, now)
    if noise > limit:
        why = f"{len(new.score)} scores are too few: chance alone makes it {noise:.3g}"
        return _unmeasured("psi", limit, why)
    value = float(psi(base, now))
    told = f"the PSI between both models' scores is {value:.3g} (at most {limit:g})"
    return Guard(name="psi", passed=value <= limit, value=value, limit=limit, told=told)


def _fairness(ctx: Context, limit: FairnessLimit, new: Side) -> Guard:
    monitor = FairnessMonitor(**limit.model_dump(exclude={"at_least"}))
    rows = (
        (float(score), {limit.group: group}, int(event))
        for score, group, event in zip(new.score, new.groups, new.event, strict=True)
    )
    found = monitor.judged(ctx, rows)
    if found.value is None:
        return _unmeasured("fairness", limit.at_least, found.insufficient)
    told = (
        f"group {found.notes['lowest']} of {limit.group} has {found.value:.3g} times the rate of "
        f"{found.notes['highest']} (at least {limit.at_least:g})"
    )
    passed = found.value >= limit.at_least
    return Guard(name="fairness", passed=passed, value=found.value, limit=limit.at_least, told=told)
