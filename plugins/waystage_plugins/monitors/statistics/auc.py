"""The area under the ROC curve and its variance after DeLong, from grouped counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log, sqrt

import numpy as np

from waystage_plugins.monitors.statistics.counts import Counts, Floats, Integers
from waystage_plugins.monitors.statistics.shares import t, together, z

FEW = 10  # rows of the smaller class that are ranked wrongly, below which they tell no spread


@dataclass(frozen=True, slots=True)
class Auc:
    """The value in 0..1 and its variance; infinite when a class has fewer than two rows.

    `freedom` is how many degrees of freedom the variance has.
    """

    value: float
    variance: float
    freedom: float = inf


def auc(counts: Counts) -> Auc:
    """Give the Mann-Whitney estimate, ties ½, with the variance of DeLong et al. (1988).

    The placements of equal scores are equal, so both come from one pass over the groups.
    Raises `ValueError` when a class is empty.
    """
    e, n = counts.n_events, counts.n_nonevents
    if counts.one_class:
        raise ValueError("AUC needs events and non-events")
    # twice the number of rows of the other class that a row of this group outranks
    above = np.cumsum(counts.nonevents)
    above *= 2
    above -= counts.nonevents
    value = int(counts.events @ above) / (2 * e * n)
    if min(e, n) < 2:
        return Auc(value, inf)
    of_events = _apart(counts.events, above / (2 * n), value) / (e - 1) / e
    below = np.cumsum(counts.events)
    below *= -2
    below += counts.events
    below += 2 * e
    of_nonevents = _apart(counts.nonevents, below / (2 * e), value) / (n - 1) / n
    return Auc(value, *together((of_events, e - 1), (of_nonevents, n - 1)))


def _apart(rows: Integers, placement: Floats, value: float) -> float:
    """Give Σ rows · (placement − value)²; the placements are used up."""
    placement -= value
    placement *= placement
    placement *= rows
    return float(placement.sum())


def interval(found: Auc, counts: Counts, level: float = 0.95) -> tuple[float, float]:
    """Give the interval of the AUC, computed on the logit scale so that it stays in 0..1.

    The quantile is that of t. Where fewer than `FEW` rows of the smaller class are ranked
    wrongly, a single one may carry most of the variance, so that samples without it seem far too
    sure: the interval is then no narrower than Newcombe's, whose variance follows from the value.
    Perfect separation has no DeLong variance; its bound is the exact binomial one for as
    many independent pairs as there are rows in the smaller class.
    """
    if found.variance == inf:
        return 0.0, 1.0
    smaller = min(counts.n_events, counts.n_nonevents)
    if found.value in (0.0, 1.0):
        bound = ((1 - level) / 2) ** (1 / smaller)
        return (bound, 1.0) if found.value else (0.0, 1 - bound)
    middle = log(found.value / (1 - found.value))
    reach = t(found.freedom, level) * sqrt(found.variance)
    reach /= found.value * (1 - found.value)
    low, high = _expit(middle - reach), _expit(middle + reach)
    if min(found.value, 1 - found.value) * smaller >= FEW:
        return low, high
    least, most = _newcombe(found.value, counts.n_events, counts.n_nonevents, level)
    return min(low, least), max(high, most)


def _newcombe(value: float, events: int, nonevents: int, level: float) -> tuple[float, float]:
    """Give the AUCs that a value is just not too far from (Newcombe, 2006, method 5).

    How far a value may be is told by the variance of Hanley and McNeil (1982) for exponential
    scores, with the mean of both sizes in the place of each.
    """
    beyond, size = z(level), (events + nonevents) / 2 - 1

    def is_far(area: float) -> bool:
        shared = (1 - area) / (2 - area) + area / (1 + area)
        variance = area * (1 - area) * (1 + size * shared) / (events * nonevents)
        return abs(value - area) > beyond * sqrt(variance)

    return _edge(0.0, value, is_far), _edge(1.0, value, is_far)


def _edge(far: float, near: float, is_far: Callable[[float], bool]) -> float:
    """Find where what is far begins, seen from what is near, to 40 halvings."""
    for _ in range(40):
        middle = (far + near) / 2
        far, near = (middle, near) if is_far(middle) else (far, middle)
    return far


def _expit(x: float) -> float:
    return 1 / (1 + exp(-x)) if x > 0 else exp(x) / (1 + exp(x))
