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
from waystage_plugins.monitors.statistics.paired import Gain, ends, of_gini
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
    """Give the difference of two KS by resampling both samples, events and non-events apart.

    Either overstates by its own bias, which is taken off.
    """
    values, draws, bias = [], [], []
    for sample in (champion, challenger):
        smaller = coarse(sample.counts, GROUPS)
        drawn = np.maximum(resampled(smaller).max(axis=1), 0.0)
        values.append(ks(sample.counts).value)
        draws.append(drawn - drawn.mean())
        bias.append(float(drawn.mean()) - ks(smaller).value)
    # the draws are seeded by the data: equal samples, turned round, are still drawn apart
    differences, gain = draws[1][::-1] - draws[0], values[1] - values[0]
    low, high = (gain - (bias[1] - bias[0]) + end for end in ends(differences, level))
    return Gain(values[0], values[1], gain, max(min(low, gain), -1.0), min(max(high, gain), 1.0))


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
