"""The Brier score: how far probabilities are from what happened."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, sqrt

from waystage_plugins.monitors.statistics.counts import Counts, Floats
from waystage_plugins.monitors.statistics.shares import LEVEL, z


@dataclass(frozen=True, slots=True)
class Brier:
    """The value in 0..1, its variance (infinite for one row), and the skill over the base rate."""

    value: float
    variance: float
    skill: float


def brier(score: Floats, counts: Counts) -> Brier:
    """Give the mean of (probability − outcome)² (Brier, 1950), and its variance as of any mean.

    The skill is 1 − value / (p (1 − p)) with p the event rate: 0 for one who always says p.
    Raises `ValueError` when a class is empty: then there is no skill to speak of.
    """
    if counts.one_class:
        raise ValueError("the Brier score needs events and non-events here")
    e, n = counts.n_events, counts.n_nonevents
    size, missed, false = e + n, (1 - score) ** 2, score**2
    value = float(counts.events @ missed + counts.nonevents @ false) / size
    spread = counts.events @ (missed - value) ** 2 + counts.nonevents @ (false - value) ** 2
    variance = float(spread) / (size - 1) / size if size > 1 else inf
    rate = e / size
    return Brier(value, variance, 1 - value / (rate * (1 - rate)))


def interval(found: Brier, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of the mean on the logarithmic scale, so that it stays above 0.

    A value of exactly 0, or of one row, tells nothing of its spread: then it is all of 0..1.
    """
    if found.variance == inf or found.value == 0:
        return 0.0, 1.0
    reach = z(level) * sqrt(found.variance) / found.value
    middle = log(found.value)
    return exp(middle - reach), min(exp(middle + reach), 1.0)
