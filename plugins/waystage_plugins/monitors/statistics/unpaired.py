"""Two models on different requests: the gain of one over the other, told less surely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import TypeAlias

import numpy as np

from waystage_plugins.monitors.statistics.auc import auc
from waystage_plugins.monitors.statistics.bootstrap import GROUPS, resampled
from waystage_plugins.monitors.statistics.brier import brier
from waystage_plugins.monitors.statistics.counts import Counts, Floats, Integers, coarse, raw
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.monitors.statistics.paired import Gain, around, of_gini
from waystage_plugins.monitors.statistics.shares import z


@dataclass(frozen=True, slots=True)
class Sample:
    """One model's requests: its scores, all finite, and what became of each."""

    score: Floats
    event: Integers

    @property
    def counts(self) -> Counts:
        """The counts per distinct score."""
        return raw(self.score, self.event)


def auc_gain(champion: Sample, challenger: Sample, level: float = 0.95) -> Gain:
    """Give the difference of two AUC; the variances of both (DeLong et al., 1988) add up."""
    old, new = auc(champion.counts), auc(challenger.counts)
    return _normal(old.value, new.value, new.value - old.value, old.variance + new.variance, level)


def gini_gain(champion: Sample, challenger: Sample, level: float = 0.95) -> Gain:
    """Give the difference of two Gini coefficients, 2 · AUC − 1."""
    return of_gini(auc_gain(champion, challenger, level))


def ks_gain(champion: Sample, challenger: Sample, level: float = 0.95) -> Gain:
    """Give the difference of two KS with the normal interval around it, freed of its bias.

    The variances of both gaps at the cut-offs that were found add up, as in `paired.ks_gain`. By
    how much either overstates is told by resamples, events and non-events apart.
    """
    values, bias, variance = [], [], 0.0
    for sample in (champion, challenger):
        smaller = coarse(sample.counts, GROUPS)
        again = np.maximum(resampled(smaller).max(axis=1), 0.0)
        values.append(ks(sample.counts).value)
        bias.append(float(again.mean()) - ks(smaller).value)
        variance += max(_at_cut(sample.counts), float(again.var(ddof=1)))
    middle, reach = values[1] - values[0] - (bias[1] - bias[0]), z(level) * sqrt(variance)
    return around(values[0], values[1], middle - reach, middle + reach)


def _at_cut(counts: Counts) -> float:
    """Give the variance of the gap between two cumulative shares at the cut-off of the largest."""
    found = ks(counts)
    shares = ((found.events_below / counts.n_events, counts.n_events),
              (found.nonevents_below / counts.n_nonevents, counts.n_nonevents))  # fmt: skip
    return sum(share * (1 - share) / size for share, size in shares)


def brier_gain(champion: Sample, challenger: Sample, level: float = 0.95) -> Gain:
    """Give by how much the Brier score falls; the variances of both means add up."""
    old, new = (_brier(sample) for sample in (champion, challenger))
    return _normal(old[0], new[0], old[0] - new[0], old[1] + new[1], level)


def _brier(sample: Sample) -> tuple[float, float]:
    scores, group = np.unique(sample.score, return_inverse=True)
    events = np.bincount(group, weights=sample.event).astype(np.int64)
    found = brier(scores, Counts(events, np.bincount(group).astype(np.int64) - events))
    return found.value, found.variance


def _normal(old: float, new: float, gain: float, variance: float, level: float) -> Gain:
    reach = z(level) * sqrt(variance)
    return Gain(old, new, gain, max(gain - reach, -1.0), min(gain + reach, 1.0))


Compare: TypeAlias = Callable[[Sample, Sample, float], Gain]
GAINS: dict[str, Compare] = {
    "auc": auc_gain, "gini": gini_gain, "ks": ks_gain, "brier": brier_gain
}  # fmt: skip
