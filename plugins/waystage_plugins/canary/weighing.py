"""From the points of all metrics to a verdict on the canary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import BaseModel

from waystage_plugins.canary.points import Points
from waystage_plugins.canary.settings import Metric
from waystage_plugins.monitors.statistics.multiple import holm

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.mannwhitney import Difference

Verdict: TypeAlias = Literal["pass", "marginal", "fail", "inconclusive"]
LEAST = 10  # independent points that a series must be worth: below, normal tails are too thin
WORTH: dict[Verdict, float] = {"pass": 100.0, "marginal": 50.0, "inconclusive": 0.0, "fail": 0.0}
FAR = 2  # times a tolerated shift: whoever shifts all points by it has few pairs farther apart
# what more points may still turn into a pass is no harm: only what failed takes from the best score
BEST: dict[Verdict, float] = {**dict.fromkeys(WORTH, 100.0), "fail": 0.0}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a verdict takes: `alpha` is the chance of a false alarm over all metrics."""

    alpha: float = 0.05
    points: int = 50
    missing: float = 0.1
    passes: float = 95.0
    waits: float = 75.0
    groups: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """How canary and baseline differ, in all and by more than `FAR` times what is bearable.

    `far` is Cliff's delta with its interval where points that are closer count as alike.
    """

    whole: Difference
    bearable: float
    far: tuple[float, float, float]


class Weighed(BaseModel):
    """What was found of one metric; `effect` is Cliff's delta of the canary over the baseline.

    `far` is the delta where points that are closer than twice what is tolerated count as alike.
    `p` is adjusted for the number of metrics. Numbers are null where there are too few points.
    """

    verdict: Verdict
    why: str
    critical: bool
    canary_points: int
    baseline_points: int
    missing: float
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    far: float | None = None
    shift: float | None = None
    shift_low: float | None = None
    shift_high: float | None = None
    canary_median: float | None = None
    baseline_median: float | None = None
    p: float | None = None


def weigh(
    metrics: Mapping[str, Metric], points: Mapping[str, Points], rules: Rules
) -> dict[str, Weighed]:
    """Judge each metric; p-values are adjusted over those with enough points (Holm, 1979)."""
    lacking = {name: _lack(points[name], rules) for name in metrics}
    told = [name for name in metrics if not lacking[name]]
    found = {name: _compared(metrics[name], points[name], rules.alpha) for name in told}
    adjusted = dict(
        zip(told, holm([_p(metrics[name], found[name].whole) for name in told]), strict=True)
    )
    return {
        name: _judged(metric, points[name], found[name], adjusted[name], rules)
        if name in found
        else _told(metric, points[name], "inconclusive", lacking[name])
        for name, metric in metrics.items()
    }


def verdict(
    metrics: Mapping[str, Metric], weighed: Mapping[str, Weighed], rules: Rules
) -> tuple[Verdict, str, float | None]:
    """Give the verdict on all, why, and the score: what passed, weighed, from 0 to 100.

    A critical metric that fails decides, and so do others whose failing no other one can make
    good, even if all that is open or in between passed. A metric that nothing is known of leaves
    the whole open: no data is never fine. A critical one in between lets the canary wait.
    """
    bad = [n for n, each in weighed.items() if each.verdict == "fail"]
    if critical := [name for name in bad if metrics[name].critical]:
        return "fail", f"{critical[0]}: {weighed[critical[0]].why}", None
    groups = rules.groups or {}
    score, best = (_score(metrics, weighed, groups, worth) for worth in (WORTH, BEST))
    open_ = [n for n, each in weighed.items() if each.verdict == "inconclusive"]
    if open_ and best >= rules.waits:
        return "inconclusive", f"{open_[0]}: {weighed[open_[0]].why}", None
    between = [n for n, each in weighed.items() if each.verdict == "marginal"]
    waits = [name for name in between if metrics[name].critical]
    shown = (bad + waits + between)[:3]
    why = f"score {score:.1f} of 100" + (f", {best:.1f} at best" if best < rules.waits else "")
    why += "".join(f"; {name}: {weighed[name].why}" for name in shown)
    if best < rules.waits:
        return "fail", why, None if open_ else score
    return "marginal" if score < rules.passes or waits else "pass", why, score


def _lack(points: Points, rules: Rules) -> str:
    for side, values in (("canary", points.canary), ("baseline", points.baseline)):
        if len(values) < rules.points:
            return f"{len(values)} points of the {side} are fewer than the {rules.points} needed"
    if points.missing > rules.missing:
        return f"{points.missing:.1%} of the points are missing, more than {rules.missing:.1%}"
    worth = len(points.canary) / _inflation(points)
    if worth < LEAST:
        return (
            f"neighbors are so alike that {len(points.canary)} points tell as {worth:.0f}; "
            "lengthen the interval"
        )
    return ""


def _compared(metric: Metric, points: Points, alpha: float) -> Compared:
    from waystage_plugins.monitors.statistics.mannwhitney import cliff, compare

    both, alike = (points.canary, points.baseline), _inflation(points)
    whole = compare(*both, 1 - alpha, alike)
    bearable = metric.tolerate * abs(_median(points.baseline))
    return Compared(whole, bearable, cliff(*both, FAR * bearable, 1 - alpha, alike))


def _inflation(points: Points) -> float:
    from waystage_plugins.monitors.statistics.mannwhitney import inflation

    return inflation(points.canary, points.baseline) if points.series else 1.0


def _p(metric: Metric, found: Difference) -> float:
    if metric.direction == "either":
        return found.different
    return found.greater if metric.direction == "increase" else found.less


def _judged(metric: Metric, points: Points, found: Compared, p: float, rules: Rules) -> Weighed:
    """Fail what is shown to do harm, pass what is shown to do none, and leave the rest between.

    Where no shift is bearable the effect alone decides. A bearable shift is no sign of no harm by
    itself: it is the median of all differences, and small as long as half of the points are as
    the baseline's, however far off the others are. So few may be far off, whatever the shift.
    """
    whole, bearable = found.whole, found.bearable
    effect, most = _badness(metric, whole.delta, whole.low, whole.high)
    far, most_far = _badness(metric, *found.far)
    shift, farthest = _badness(metric, whole.shift, whole.shift_low, whole.shift_high)
    shifted = bearable == 0 or shift > bearable
    told: Verdict
    if p < rules.alpha and effect > metric.allowed and (shifted or far > metric.allowed):
        told, why = "fail", f"beyond the allowed {metric.allowed:g}"
        if not shifted:
            why = f"effect {found.far[0]:+.2f} by more than {FAR} x the tolerated shift, {why}"
    elif most <= metric.allowed:
        told, why = "pass", f"within the allowed {metric.allowed:g}"
    elif 0 < bearable >= farthest and most_far <= metric.allowed:
        told, why = "pass", f"no more than {metric.tolerate:.1%} of the baseline's median"
    else:
        told, why = "marginal", "neither harm nor its absence is shown; more points tell"
    return _told(metric, points, told, f"{_said(points, whole, p)}: {why}").model_copy(
        update={
            "effect": whole.delta, "effect_low": whole.low, "effect_high": whole.high,
            "far": found.far[0], "shift": whole.shift, "shift_low": whole.shift_low,
            "shift_high": whole.shift_high, "canary_median": _median(points.canary),
            "baseline_median": _median(points.baseline), "p": p,
        }
    )  # fmt: skip


def _said(points: Points, found: Difference, p: float) -> str:
    said = f"effect {found.delta:+.2f} ({found.low:+.2f} to {found.high:+.2f}), p {p:.3g}"
    if (alike := _inflation(points)) > 1:
        count = len(points.canary)
        said += f" (neighbors are alike: {count} points tell as {count / alike:.0f})"
    return said


def _badness(metric: Metric, value: float, low: float, high: float) -> tuple[float, float]:
    """Give how far a number lies on the bad side, and how far it may lie there at most."""
    if metric.direction == "increase":
        return value, high
    if metric.direction == "decrease":
        return -value, -low
    return abs(value), max(abs(low), abs(high))


def _told(metric: Metric, points: Points, told: Verdict, why: str) -> Weighed:
    return Weighed(
        verdict=told,
        why=why,
        critical=metric.critical,
        canary_points=len(points.canary),
        baseline_points=len(points.baseline),
        missing=points.missing,
    )


def _score(
    metrics: Mapping[str, Metric],
    weighed: Mapping[str, Weighed],
    groups: Mapping[str, float],
    worth: Mapping[Verdict, float],
) -> float:
    """Average the metrics of a group by their weights, and the groups by theirs.

    It is rounded: sums of weights such as 0.1 must not make 100 a little less than that.
    """
    total = whole = 0.0
    for group in {metric.group for metric in metrics.values()}:
        mine = {name: metric.weight for name, metric in metrics.items() if metric.group == group}
        share = sum(w * worth[weighed[name].verdict] for name, w in mine.items())
        weight = groups.get(group, 1.0)
        total += weight * share / sum(mine.values())
        whole += weight
    return round(total / whole, 9)


def _median(values: tuple[float, ...]) -> float:
    from statistics import median

    return float(median(values))
