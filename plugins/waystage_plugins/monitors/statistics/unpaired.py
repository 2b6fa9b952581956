"""Two models on different requests: the gain of one over the other, told less surely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import TypeAlias

import numpy as np

from waystage_plugins.monitors.statistics import auc, bootstrap
from waystage_plugins.monitors.statistics.brier import brier
from waystage_plugins.monitors.statistics.counts import Counts, Floats, Integers, raw
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.monitors.statistics.mover import Estimate, difference
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
    """Give the difference of two AUC with its interval from those of both.

    With few events those are lopsided, so the ends are recovered from them (MOVER: Zou and
    Donner, 2008): the plain sum of the variances calls a challenger that saw few events better
    too often.
    """
    old, new = (_area(sample, level) for sample in (champion, challenger))
    return around(old.value, new.value, *difference(new, old))


def _area(sample: Sample, level: float) -> Estimate:
    counts = sample.counts
    found = auc.auc(counts)
    return Estimate(found.value, *auc.interval(found, counts, level))


def gini_gain(champion: Sample, challenger: Sample, level: float = 0.95) -> Gain:
    """Give the difference of two Gini coefficients, 2 · AUC − 1."""
    return of_gini(auc_gain(champion, challenger, level))


def ks_gain(champion: Sample, challenger: Sample, level: float = 0.95) -> Gain:
    """Give the difference of two KS with its interval from those of both, freed of their bias.

    Fewer requests overstate KS more, so samples of different sizes are biased apart. The ends
    are recovered from those of each (MOVER: Zou and Donner, 2008). A model whose lower end is 0
    may tell nothing: its value is noise then, and the gain gets as far as the other's own end.
    """
    counts = champion.counts, challenger.counts
    old, new = (bootstrap.freed(each, level) for each in counts)
    low, high = difference(new, old)
    return around(
        ks(counts[0]).value, ks(counts[1]).value,
        low if new.low > 0 else -old.high, high if old.low > 0 else new.high,
    )  # fmt: skip


def brier_gain(champion: Sample, challenger: Sample, level: float = 0.95) -> Gain:
    """Give by how much the Brier score falls; the variances of both means add up."""
    old, new = (_brier(sample) for sample in (champion, challenger))
    gain, reach = old[0] - new[0], z(level) * sqrt(old[1] + new[1])
    return Gain(old[0], new[0], gain, max(gain - reach, -1.0), min(gain + reach, 1.0))


def _brier(sample: Sample) -> tuple[float, float]:
    scores, group = np.unique(sample.score, return_inverse=True)
    events = np.bincount(group, weights=sample.event).astype(np.int64)
    found = brier(scores, Counts(events, np.bincount(group).astype(np.int64) - events))
    return found.value, found.variance


Compare: TypeAlias = Callable[[Sample, Sample, float], Gain]
GAINS: dict[str, Compare] = {
    "auc": auc_gain, "gini": gini_gain, "ks": ks_gain, "brier": brier_gain
}  # fmt: skip
