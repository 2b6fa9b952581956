"""Two samples against each other by ranks: test, effect size and shift, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, floor, sqrt

import numpy as np
from numpy.typing import ArrayLike

from waystage_plugins.monitors.statistics.counts import Floats
from waystage_plugins.monitors.statistics.shares import z

MOST_PAIRED = 2000  # values a side whose pairs are all formed: 32 MB of differences


@dataclass(frozen=True, slots=True)
class Difference:
    """How the values of one sample lie to those of another.

    `u` counts the pairs in which the first one's value is the larger, ties half. `delta` is
    Cliff's delta, the share of such pairs less the share of those the other way round, from -1
    to 1; it is the rank-biserial correlation, and 2 AUC - 1. `shift` is in the unit of the
    values. `greater`, `less` and `different` are the p-values of the three alternatives.
    """

    u: float
    delta: float
    low: float
    high: float
    shift: float
    shift_low: float
    shift_high: float
    greater: float
    less: float
    different: float


def compare(
    first: ArrayLike, second: ArrayLike, level: float = 0.95, inflation: float = 1.0
) -> Difference:
    """Compare two samples of finite numbers; raises `ValueError` if one has fewer than two.

    `inflation` is by how much variances are larger than those of independent values.
    """
    x, y = (np.sort(np.asarray(each, dtype=np.float64)) for each in (first, second))
    if min(len(x), len(y)) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("two samples are compared by at least two finite numbers each")
    below, upto = np.searchsorted(y, x, "left"), np.searchsorted(y, x, "right")
    u = float((below + upto).sum() / 2)
    delta, low, high = _cliff(x, y, 0.0, level, inflation)
    shift, shift_low, shift_high = _hodges_lehmann(x, y, level, inflation)
    p_values = _p_values(x, y, u, inflation)
    return Difference(u, delta, low, high, shift, shift_low, shift_high, *p_values)


def cliff(
    first: ArrayLike,
    second: ArrayLike,
    within: float = 0.0,
    level: float = 0.95,
    inflation: float = 1.0,
) -> tuple[float, float, float]:
    """Give Cliff's delta and its interval; values no farther apart than `within` count as alike."""
    x, y = (np.sort(np.asarray(each, dtype=np.float64)) for each in (first, second))
    return _cliff(x, y, within, level, inflation)


def inflation(first: ArrayLike, second: ArrayLike) -> float:
    """Give how much larger variances are because neighbors in time are alike; 1 where they are not.

    By the correlation r of the ranks of neighbors, (1 + r) / (1 - r): what an autoregressive
    series has (Bayley and Hammersley, 1946), r without its bias (Kendall, 1954) and
    one standard error (Bartlett, 1946) higher. An r that chance gives to one in twenty counts as
    none; it is taken to be 0.95 at most.
    """
    both = [np.asarray(each, dtype=np.float64) for each in (first, second)]
    r, count = sum(map(_alike, both)) / 2, sum(map(len, both)) / 2
    if count <= 3 or r <= 1.645 / sqrt(2 * count):
        return 1.0
    r = (count * r + 1) / (count - 3)
    r = min(r + sqrt(max(1 - r**2, 0.0) / (2 * count)), 0.95)
    return (1 + r) / (1 - r)


def _alike(series: Floats) -> float:
    """Give the correlation of the ranks of neighbors, 0 where all values are alike."""
    _, ranks = np.unique(series, return_inverse=True)
    centered = ranks - ranks.mean()
    total = float((centered**2).sum())
    return float((centered[1:] * centered[:-1]).sum()) / total if total else 0.0


def _p_values(x: Floats, y: Floats, u: float, inflation: float) -> tuple[float, float, float]:
    """Give the normal p-values with the corrections for ties and for continuity.

    Mann and Whitney (1947); ties: Lehmann (1975), Nonparametrics, chapter 1. They are what
    `scipy.stats.mannwhitneyu(method="asymptotic")` gives. Values that are all alike give 1.
    """
    n, m = len(x), len(y)
    _, ties = np.unique(np.concatenate([x, y]), return_counts=True)
    tied = float((ties.astype(np.float64) ** 3 - ties).sum()) / ((n + m) * (n + m - 1))
    spread = sqrt(max(inflation * n * m / 12 * (n + m + 1 - tied), 0.0))

    def above(count: float) -> float:
        distance = count - n * m / 2 - 0.5
        if spread == 0:
            return 1.0
        return min(erfc(distance / spread / sqrt(2)) / 2, 1.0)

    greater, less = above(u), above(n * m - u)
    return greater, less, min(2 * min(greater, less), 1.0)


def _cliff(
    x: Floats, y: Floats, within: float, level: float, inflation: float
) -> tuple[float, float, float]:
    """Give Cliff's delta with its asymmetric interval.

    Cliff (1993), Psychological Bulletin 114, with the unbiased variance of its equation 7; the
    interval is that of Feng and Cliff (2004), Journal of Modern Applied Statistical Methods 3.
    Where no value of one sample lies among the other's, variance tells nothing, and the interval
    is Wilson's of as many pairs as the smaller sample has values.
    """
    n, m = len(x), len(y)
    below, upto = np.searchsorted(y, x - within, "left"), np.searchsorted(y, x + within, "right")
    of_x = (below + upto) / m - 1
    of_y = (
        1 - (np.searchsorted(x, y - within, "left") + np.searchsorted(x, y + within, "right")) / n
    )
    delta, quantile = float(of_x.mean()), z(level)
    if abs(delta) == 1:
        size = min(n, m) / inflation
        other = (size - quantile**2) / (size + quantile**2)
        return (1.0, other, 1.0) if delta > 0 else (-1.0, -1.0, -other)
    tied = float((upto - below).sum())
    pairs = n * m - tied - n * m * delta**2
    rows = float(((of_x - delta) ** 2).sum()) * m**2
    columns = float(((of_y - delta) ** 2).sum()) * n**2
    variance = (rows + columns - pairs) / (n * m * (n - 1) * (m - 1))
    variance = inflation * max(variance, (1 - delta**2) / (n * m - 1))
    reach = quantile * sqrt(variance) * sqrt((1 - delta**2) ** 2 + quantile**2 * variance)
    middle, scale = delta - delta**3, 1 - delta**2 + quantile**2 * variance
    return delta, max((middle - reach) / scale, -1.0), min((middle + reach) / scale, 1.0)


def _hodges_lehmann(
    x: Floats, y: Floats, level: float, inflation: float
) -> tuple[float, float, float]:
    """Give the median of all differences of a pair, and the order statistics around it.

    Hodges and Lehmann (1963); the interval is Moses', in the normal approximation of Hollander,
    Wolfe and Chicken (2014), section 4.3. Of more than `MOST_PAIRED` values a side as many of
    their quantiles stand for them; how wide the interval is goes by the true numbers.
    """
    n, m = len(x), len(y)
    apart = np.subtract.outer(_thinned(x), _thinned(y)).ravel()
    apart.sort()
    rank = n * m / 2 - z(level) * sqrt(inflation * n * m * (n + m + 1) / 12)
    place = max(floor(rank * len(apart) / (n * m)), 1)
    return float(np.median(apart)), float(apart[place - 1]), float(apart[len(apart) - place])


def _thinned(ordered: Floats) -> Floats:
    if len(ordered) <= MOST_PAIRED:
        return ordered
    at = (np.arange(MOST_PAIRED) + 0.5) / MOST_PAIRED * len(ordered)
    return ordered[at.astype(np.int64)]
