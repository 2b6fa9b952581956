"""Calibration: whether of those who are given 20 %, 20 in 100 become events."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import Literal

import numpy as np

from waystage_plugins.monitors.statistics.bootstrap import generator
from waystage_plugins.monitors.statistics.counts import Counts, Floats, Integers, merged
from waystage_plugins.monitors.statistics.shares import LEVEL

DRAWS = 4000  # of the noise that the interval allows for: its 95 % point moves by some 1 %


@dataclass(frozen=True, slots=True)
class Bins:
    """Rows, events and the sum of probabilities per bin, from the lowest scores up."""

    rows: Integers
    events: Integers
    expected: Floats

    @property
    def observed(self) -> Floats:
        """The event rate of each bin."""
        rate: Floats = self.events / self.rows
        return rate

    @property
    def predicted(self) -> Floats:
        """The mean probability of each bin."""
        mean: Floats = self.expected / self.rows
        return mean


def binned(
    score: Floats, counts: Counts, bins: int, how: Literal["quantile", "width"] = "quantile"
) -> Bins:
    """Part the rows into bins of about as many rows, or of equal width; empty ones are left out.

    Equal scores are never parted, so that there may be fewer bins than asked for.
    """
    rows = counts.events + counts.nonevents
    if how == "width":
        group = np.minimum((score * bins).astype(np.intp), bins - 1)
    else:
        # a group of equal scores goes where its middle row is
        middle = (np.cumsum(rows) - rows / 2) / rows.sum()
        group = np.minimum((middle * bins).astype(np.intp), bins - 1)
    _, group = np.unique(group, return_inverse=True)
    both = merged(counts, group)
    expected: Floats = np.bincount(group, weights=rows * score).astype(np.float64)
    return Bins(both.events + both.nonevents, both.events, expected)


def ece(bins: Bins) -> float:
    """Give Σ share · |observed − predicted|, the calibration error of Naeini et al. (2015)."""
    return float(np.abs(bins.events - bins.expected).sum() / bins.rows.sum())


def interval(bins: Bins, level: float = LEVEL) -> tuple[float, float]:
    """Give an interval of the calibration error of these bins that covers in any case.

    By the triangle inequality the error is off by at most the sum of the bins' own noise,
    Σ share · |noise|, whatever the truth is; the interval allows for that sum's quantile. The
    noise of a bin is normal, with two rows added on either side (Agresti and Coull, 1998).
    """
    share = (bins.events + 2) / (bins.rows + 4)
    spread = np.sqrt(share * (1 - share) / (bins.rows + 4)) * bins.rows / bins.rows.sum()
    draws = generator(bins.rows, bins.events).standard_normal((DRAWS, len(bins.rows)))
    reach = float(np.quantile(np.abs(draws) @ spread, level))
    value = ece(bins)
    return max(value - reach, 0.0), min(value + reach, 1.0)


def noise(bins: Bins, level: float = LEVEL) -> float:
    """Give the quantile of the error that these bins would show if all were calibrated."""
    spread = np.sqrt(bins.expected * (np.clip(1 - bins.predicted, 0, 1))) / bins.rows.sum()
    draws = generator(bins.rows, bins.events).standard_normal((DRAWS, len(bins.rows)))
    return float(np.quantile(np.abs(draws) @ spread, level))


def spiegelhalter(score: Floats, counts: Counts) -> tuple[float, float]:
    """Give z and its two-sided p: whether the Brier score is that of calibrated probabilities.

    z = Σ (y − p)(1 − 2p) / √Σ (1 − 2p)² p (1 − p), by Spiegelhalter (1986). Where no
    probability says anything (all 0, ½ or 1) z is 0 as long as they are right.
    """
    rows, slope = counts.events + counts.nonevents, 1 - 2 * score
    above = float(((counts.events - rows * score) * slope).sum())
    variance = float((rows * slope**2 * score * (1 - score)).sum())
    if variance <= 0:
        return 0.0, float(above == 0)
    found = above / sqrt(variance)
    return found, erfc(abs(found) / sqrt(2))


def hosmer_lemeshow(bins: Bins) -> tuple[float, float]:
    """Give the statistic and its p (Hosmer and Lemeshow, 1980).

    There are as many degrees of freedom as bins, for nothing was fitted on these rows. A bin
    of certain probabilities that are wrong has p 0.
    """
    from scipy.stats import chi2

    variance = bins.expected * (np.clip(1 - bins.predicted, 0, 1))
    certain = variance <= 0
    if np.any(bins.events[certain] != bins.expected[certain]):
        return float(np.finfo(np.float64).max), 0.0
    if certain.all():
        return 0.0, 1.0
    gap = (bins.events - bins.expected)[~certain] ** 2 / variance[~certain]
    return float(gap.sum()), float(chi2.sf(gap.sum(), int((~certain).sum())))
