"""Intervals of what is never below 0 and overstated by every sample: divergences, suprema, areas.

The plain percentiles of resamples cover as little as half of what they promise where little has
changed. Each function here is for one kind of statistic and names where it comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, log1p, sqrt

import numpy as np

from waystage_plugins.monitors.statistics.counts import Floats
from waystage_plugins.monitors.statistics.shares import LEVEL, z

Interval = tuple[float, float]
NEAR = 2.0  # standard errors within which a place may be where the supremum is


def of_divergence(value: float, drawn: Floats, level: float = LEVEL) -> Interval:
    """Give the interval of a divergence that is about s · χ'²(k, truth / s), from its resamples.

    Smooth divergences of two samples are noncentral χ² near 0 and normal far from it. s and k are
    those that give the resamples their mean and variance (Patnaik, 1949), and the truths whose
    tails the value lies in are the ends (Steiger and Fouladi, 1997).
    """
    bias, variance = float(drawn.mean()) - value, float(drawn.var(ddof=1))
    if variance <= 0:
        return value, value
    if bias <= 0:  # so far that it cannot get farther
        reach = z(level) * sqrt(variance)
        return max(min(value - bias - reach, value), 0.0), max(value - bias + reach, value)
    scale = variance / (2 * bias + 4 * value)
    low, high = (_noncentrality(value / scale, bias / scale, tail)
                 for tail in ((1 + level) / 2, (1 - level) / 2))  # fmt: skip
    return min(low * scale, value), max(high * scale, value)


def of_supremum(
    value: float,
    gap: Floats,
    resampled: Floats,
    spread: Floats,
    level: float = LEVEL,
    ends: Callable[[float], tuple[Floats, Floats]] | None = None,
) -> Interval:
    """Give the interval of the largest of many gaps, where resamples have their own in each row.

    `spread` is the standard error of each gap; `ends` gives the lower and the upper end of each
    for a quantile, unless they are as many standard errors from it. The lower end allows for the
    noise of all places that may be the largest (Chernozhukov, Lee and Rosen, 2013, on
    intersection bounds); the upper one for that of each place, of which one is the truth's.
    """
    noise = resampled - gap
    best = int(gap.argmax())
    apart = (noise - noise[:, best : best + 1]).std(axis=0)
    near = gap >= gap[best] - NEAR * apart
    highest = (noise[:, near] / spread[near]).max(axis=1)
    # where all resamples are alike (perfect separation) the normal quantile stands
    times = max(_far(highest, level), z(level))
    least = ends(times)[0] if ends else gap - times * spread
    most = ends(z(level))[1] if ends else gap + z(level) * spread
    return min(max(float(least[near].max()), 0.0), value), max(float(most.max()), value)


def _far(highest: Floats, level: float) -> float:
    """Give the upper quantile of maxima of normal noise with standard errors of 1.

    Where no resample lies that far, it is that of as many independent numbers (Šidák, 1967) as
    have the resamples' 9th decile.
    """
    tail = (1 - level) / 2
    if tail * len(highest) >= 1:
        return float(np.quantile(highest, 1 - tail))
    from scipy.special import log_ndtr, ndtri_exp

    places = log(0.9) / log_ndtr(np.quantile(highest, 0.9))
    return float(ndtri_exp(log1p(-tail) / places))


def of_area(value: float, noise: Floats, level: float = LEVEL) -> Interval:
    """Give an interval that covers in any case, from draws of the distance of noise alone.

    By the triangle inequality a distance is off by at most the distance that noise makes.
    """
    reach = float(np.quantile(noise, level))
    return max(value - reach, 0.0), value + reach


def _noncentrality(value: float, freedom: float, tail: float) -> float:
    """Give the noncentrality under which that share of χ'² lies below the value; 0 if none does."""
    from scipy.optimize import brentq
    from scipy.special import chndtr  # what `scipy.stats.ncx2` takes a hundred times as long for

    if chndtr(value, freedom, 0.0) <= tail:
        return 0.0
    most = (sqrt(value) + 10) ** 2
    found: float = brentq(lambda n: chndtr(value, freedom, n) - tail, 0.0, most, xtol=1e-6)
    return found
