"""Two models on different requests: the gain of one over the other, told less surely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt
from typing import TypeAlias

import numpy as np

from waystage_plugins.monitors.statistics.auc import auc
from waystage_plugins.monitors.statistics.bootstrap import GROUPS, resampled
from waystage_plugins.monitors.statistics.brier import brier
from waystage_plugins.monitors.statistics.counts import Counts, Floats, Integers, coarse, raw
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.monitors.statistics.paired import Gain, around, of_gini
from waystage_plugins.monitors.statistics.shares import t, together


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
    spread = together((old.variance, old.freedom), (new.variance, new.freedom))
    return _apart(old.value, new.value, new.value - old.value, spread, level)


def gini_gain(champion: Sample, challenger: Sample, level: float = 0.95) -> Gain:
    """Give the difference of two Gini coefficients, 2 · AUC − 1."""
    return of_gini(auc_gain(champion, challenger, level))


def ks_gain(champion: Sample, challenger: Sample, level: float = 0.95) -> Gain:
    """Give the difference of two KS with the normal interval around it, freed of its bias.

    The variances of both gaps at the cut-offs that were found add up, as in `paired.ks_gain`. By
    how much either overstates is told by resamples, events and non-events apart.
    """
    values, bias, variances = [], [], []
    for sample in (champion, challenger):
        smaller = coarse(sample.counts, GROUPS)
        again = np.maximum(resampled(smaller).max(axis=1), 0.0)
        values.append(ks(sample.counts).value)
        bias.append(float(again.mean()) - ks(smaller).value)
        at_cut, freedom = _at_cut(sample.counts)
        variances.append((max(at_cut, float(again.var(ddof=1))), freedom))
    variance, freedom = together(*variances)
    middle, reach = values[1] - values[0] - (bias[1] - bias[0]), t(freedom, level) * sqrt(variance)
    return around(values[0], values[1], middle - reach, middle + reach)


def _at_cut(counts: Counts) -> tuple[float, float]:
    """Give the variance of the gap between two cumulative shares at the cut-off of the largest.

    Its degrees of freedom come with it. Each share has a row more on either side (Agresti and
    Caffo, 2000): few events that are all above it are not certain to be.
    """
    found = ks(counts)
    both = ((found.events_below, counts.n_events), (found.nonevents_below, counts.n_nonevents))
    shares = (((below + 1) / (size + 2), size) for below, size in both)
    return together(*(
        (share * (1 - share) / (size + 2), max(size - 1, 1)) for share, size in shares
    ))  # fmt: skip


def brier_gain(champion: Sample, challenger: Sample, level: float = 0.95) -> Gain:
    """Give by how much the Brier score falls; the variances of both means add up."""
    old, new = (_brier(sample) for sample in (champion, challenger))
    return _apart(old[0], new[0], old[0] - new[0], (old[1] + new[1], inf), level)


def _brier(sample: Sample) -> tuple[float, float]:
    scores, group = np.unique(sample.score, return_inverse=True)
    events = np.bincount(group, weights=sample.event).astype(np.int64)
    found = brier(scores, Counts(events, np.bincount(group).astype(np.int64) - events))
    return found.value, found.variance


def _apart(old: float, new: float, gain: float, spread: tuple[float, float], level: float) -> Gain:
    """Give the gain with its interval; `spread` is its variance and the freedom of that."""
    variance, freedom = spread
    reach = t(freedom, level) * sqrt(variance)
    return Gain(old, new, gain, max(gain - reach, -1.0), min(gain + reach, 1.0))


Compare: TypeAlias = Callable[[Sample, Sample, float], Gain]
GAINS: dict[str, Compare] = {
    "auc": auc_gain, "gini": gini_gain, "ks": ks_gain, "brier": brier_gain
}  # fmt: skip
