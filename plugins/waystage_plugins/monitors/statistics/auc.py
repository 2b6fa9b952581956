"""The area under the ROC curve and its variance after DeLong, from grouped counts."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, sqrt

import numpy as np

from waystage_plugins.monitors.statistics.counts import Counts, Floats, Integers
from waystage_plugins.monitors.statistics.shares import z


@dataclass(frozen=True, slots=True)
class Auc:
    """The value in 0..1 and its variance; infinite when a class has fewer than two rows."""

    value: float
    variance: float


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
    of_events = _apart(counts.events, above / (2 * n), value) / (e - 1)
    below = np.cumsum(counts.events)
    below *= -2
    below += counts.events
    below += 2 * e
    of_nonevents = _apart(counts.nonevents, below / (2 * e), value) / (n - 1)
    return Auc(value, of_events / e + of_nonevents / n)


def _apart(rows: Integers, placement: Floats, value: float) -> float:
    """Give Σ rows · (placement − value)²; the placements are used up."""
    placement -= value
    placement *= placement
    placement *= rows
    return float(placement.sum())


def interval(found: Auc, counts: Counts, level: float = 0.95) -> tuple[float, float]:
    """Give the interval of the AUC, computed on the logit scale so that it stays in 0..1.

    Perfect separation has no DeLong variance; its bound is the exact binomial one for as
    many independent pairs as there are rows in the smaller class.
    """
    if found.variance == inf:
        return 0.0, 1.0
    if found.value in (0.0, 1.0):
        bound = ((1 - level) / 2) ** (1 / min(counts.n_events, counts.n_nonevents))
        return (bound, 1.0) if found.value else (0.0, 1 - bound)
    middle = log(found.value / (1 - found.value))
    reach = z(level) * sqrt(found.variance) / (found.value * (1 - found.value))
    return _expit(middle - reach), _expit(middle + reach)


def _expit(x: float) -> float:
    return 1 / (1 + exp(-x)) if x > 0 else exp(x) / (1 + exp(x))
