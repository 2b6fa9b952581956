"""How far two samples are apart, from their counts in the same cells.

Every function takes counts of the baseline and of now, whose last axis are the cells and whose
other axes are samples of their own, so that resamples are one call.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from waystage_plugins.monitors.statistics.bootstrap import drawn, generator, spread_of_gap
from waystage_plugins.monitors.statistics.counts import Floats, Integers
from waystage_plugins.monitors.statistics.reach import of_divergence, of_supremum
from waystage_plugins.monitors.statistics.shares import LEVEL

FLOOR = 1e-4  # the least share of a cell in PSI, so that an empty one is not infinitely far
RESAMPLES = 500

Numbers: TypeAlias = NDArray[np.float64] | NDArray[np.int64]
Distance: TypeAlias = Callable[[Numbers, Numbers], Floats]


def psi(base: Numbers, now: Numbers) -> Floats:
    """Give the population stability index, Σ (q − p) ln(q / p), shares at least `FLOOR`.

    The index is Jeffreys' divergence (1946); Siddiqi (2006) has its use for scorecards.
    """
    found: Floats = psi_terms(base, now).sum(axis=-1)
    return found


def psi_terms(base: Numbers, now: Numbers) -> Floats:
    """Give what each cell adds to the index."""
    p, q = floored(base), floored(now)
    found: Floats = (q - p) * np.log(q / p)
    return found


def floored(counts: Numbers) -> Floats:
    """Give the shares of cells, at least `FLOOR` each."""
    found: Floats = np.maximum(shares(counts), FLOOR)
    return found


def js(base: Numbers, now: Numbers) -> Floats:
    """Give the Jensen-Shannon distance, the root of the divergence in bits (Lin, 1991): 0 to 1."""
    p, q = shares(base), shares(now)
    middle = (p + q) / 2
    found = (_entropy_terms(p, middle) + _entropy_terms(q, middle)).sum(axis=-1) / 2 / log(2)
    distance: Floats = np.sqrt(np.clip(found, 0, 1))
    return distance


def ks(base: Numbers, now: Numbers) -> Floats:
    """Give the largest gap between the two cumulative shares, looked at between the cells."""
    gap: Floats = np.abs(_cumulated(base) - _cumulated(now)).max(axis=-1)
    return gap


def cramers_v(base: Numbers, now: Numbers) -> Floats:
    """Give Cramér's V (1946) of the table of two samples: √(χ² / n), 0 to 1."""
    found: Floats = np.sqrt(chi2(base, now) / (base.sum(axis=-1) + now.sum(axis=-1)))
    return found


def chi2(base: Numbers, now: Numbers) -> Floats:
    """Give Pearson's χ² (1900) of the table of two samples, without a correction."""
    n, m = base.sum(axis=-1, keepdims=True), now.sum(axis=-1, keepdims=True)
    both = base + now
    used = np.where(both > 0, both, 1)
    found: Floats = ((base * m - now * n) ** 2.0 / (used * n * m)).sum(axis=-1)
    return found


def ks_resolution(base: Numbers, now: Numbers) -> float:
    """Give by how much the gap within a cell may exceed the largest one between cells."""
    f, g = _cumulated(base), _cumulated(now)
    before_f, before_g = f - shares(base), g - shares(now)
    within = np.maximum(np.abs(f - before_g), np.abs(before_f - g)).max()
    return float(max(within - ks(base, now), 0.0))


def wasserstein(base: Numbers, now: Numbers, widths: Floats) -> Floats:
    """Give the area between the two distribution functions (Vallender, 1974).

    `widths` are those of the cells; the functions are taken as straight within a cell. Counts
    begin and end with a cell of width 0 for what lies outside, which the caller adds.
    """
    gap = _cumulated(base) - _cumulated(now)
    left = np.concatenate([np.zeros((*gap.shape[:-1], 1)), gap[..., :-1]], axis=-1)
    found: Floats = (_straight(left, gap) * widths).sum(axis=-1)
    return found


def used_cells(base: Numbers, now: Numbers) -> int:
    """Count the cells that hold anything at all, of either sample."""
    return int(((base + now) > 0).sum())


def noise_scale(base: Numbers, now: Numbers) -> float:
    """Give 1/n + 1/m: what all distances of two samples shrink with when nothing has changed."""
    return 1 / float(base.sum()) + 1 / float(now.sum())


def chi2_point(cells: int, level: float) -> float:
    """Give the quantile of χ² with one degree of freedom less than there are cells."""
    from scipy.stats import chi2 as distribution

    return float(distribution.ppf(level, cells - 1)) if cells > 1 else 0.0


def chi2_tail(value: float, cells: int) -> float:
    """Give the share of χ² with one degree of freedom less than cells that is larger."""
    from scipy.stats import chi2 as distribution

    return float(distribution.sf(value, cells - 1)) if cells > 1 else 1.0


def interval(
    distance: Distance, base: Integers, now: Integers, power: int = 1
) -> tuple[float, float]:
    """Give the interval of a smooth distance, whose `power` is a divergence (2 for a root of one).

    Both samples are drawn anew; `reach.of_divergence` says what the resamples tell.
    """
    value = float(distance(base, now))
    low, high = of_divergence(value**power, distance(*resampled(base, now)) ** power)
    return min(low ** (1 / power), value), max(high ** (1 / power), value)


def ks_interval(base: Integers, now: Integers) -> tuple[float, float]:
    """Give the interval of the largest gap between the cumulative shares.

    What no change reaches in more than one of forty samples (`ks_tail`) is not above 0.
    """
    value, gap = float(ks(base, now)), _cumulated(base) - _cumulated(now)
    again, today = resampled(base, now)
    drawn_gap = _cumulated(again) - _cumulated(today)
    spread = spread_of_gap(base, now)
    low, high = of_supremum(
        value, np.concatenate([gap, -gap]),
        np.concatenate([drawn_gap, -drawn_gap], axis=1), np.concatenate([spread, spread]),
    )  # fmt: skip
    return 0.0 if ks_tail(value, noise_scale(base, now)) > (1 - LEVEL) / 2 else low, high


def mixed(base: Integers, now: Integers) -> tuple[Floats, Floats]:
    """Draw both samples anew, and mix them so that a distance of the two is half that of noise.

    Each is one's resample and the other as it is: what they really are apart cancels.
    """
    again, today = resampled(base, now)
    return shares(again) + shares(now), shares(today) + shares(base)


def resampled(base: Integers, now: Integers) -> tuple[Integers, Integers]:
    """Draw both samples anew, many times; a row each."""
    random = generator(base, now)
    return drawn(random, base, RESAMPLES), drawn(random, now, RESAMPLES)


def shares(counts: Numbers) -> Floats:
    """Give the shares that the cells have of their sample."""
    found: Floats = counts / counts.sum(axis=-1, keepdims=True)
    return found


def null_distances(distance: Distance, base: Integers, now: Integers) -> Floats:
    """Draw what the distance is when both samples come from the same cells, theirs together."""
    together = (base + now) / (base.sum() + now.sum())
    random = generator(base, now)
    drawn = [random.multinomial(int(n), together, size=2 * RESAMPLES)
             for n in (base.sum(), now.sum())]  # fmt: skip
    return distance(*drawn)


def gamma_point(draws: Floats, level: float) -> float:
    """Give a far quantile of few draws: that of the gamma distribution with their moments."""
    from scipy.stats import gamma

    mean, variance = float(draws.mean()), float(draws.var(ddof=1))
    if mean <= 0 or variance <= 0:
        return mean
    return float(gamma.ppf(level, mean**2 / variance, scale=variance / mean))


def ks_point(scale: float, level: float) -> float:
    """Give Kolmogorov's (1933) and Smirnov's (1939) quantile of the gap, for large samples."""
    from scipy.stats import kstwobign

    return min(float(kstwobign.ppf(level)) * sqrt(scale), 1.0)


def ks_tail(value: float, scale: float) -> float:
    """Give the chance of a larger gap when nothing has changed, for large samples."""
    from scipy.special import kolmogorov

    return float(kolmogorov(value / sqrt(scale)))


def _cumulated(counts: Numbers) -> Floats:
    found: Floats = np.cumsum(counts, axis=-1) / counts.sum(axis=-1, keepdims=True)
    return found


def _entropy_terms(share: Floats, middle: Floats) -> Floats:
    safe = np.where(share > 0, share, 1)
    ratio = np.where(share > 0, safe / np.where(middle > 0, middle, 1), 1)
    found: Floats = share * np.log(ratio)
    return found


def _straight(left: Floats, right: Floats) -> Floats:
    """Give the mean of |x| along the straight line from left to right."""
    total = np.abs(left) + np.abs(right)
    crossing = (left * right < 0) & (total > 0)
    squares = left**2 + right**2
    found: Floats = np.where(crossing, squares / np.where(total > 0, total, 1), total) / 2
    return found
