"""The interval of the population stability index, also where cells are all but empty."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from waystage_plugins.monitors.statistics import divergence as d
from waystage_plugins.monitors.statistics.counts import Floats, Integers
from waystage_plugins.monitors.statistics.reach import of_divergence
from waystage_plugins.monitors.statistics.shares import LEVEL, z

FEW = 20  # values of either sample up to which resamples do not tell how uncertain a cell is
SURELY = 0.98  # level at which both intervals must be apart: noise puts one cell in 1,000 there


@dataclass(frozen=True, slots=True)
class Few:
    """Cells: the smaller count of each, what it is of, and the other sample's share and size."""

    count: Integers
    size: Integers
    other: Floats
    others: Integers

    @classmethod
    def of(cls, base: Integers, now: Integers) -> Few:
        """Take the smaller count of each cell."""
        fewer = now < base
        n, m = base.sum(), now.sum()
        other = np.where(fewer, d.floored(base), d.floored(now))
        return cls(np.minimum(base, now), np.where(fewer, m, n), other, np.where(fewer, n, m))

    def where(self, chosen: NDArray[np.bool_]) -> Few:
        """Give some of the cells."""
        return Few(self.count[chosen], self.size[chosen], self.other[chosen], self.others[chosen])

    def bounds(self, level: float) -> tuple[Floats, Floats]:
        """Give the exact interval of the share of the smaller count."""
        return _clopper_pearson(self.count, self.size, level)


def _all_but_empty(cells: Few) -> NDArray[np.bool_]:
    """Say which cells have few values on one side, and surely another share on the other."""
    least, most = cells.bounds(SURELY)
    many = np.rint(cells.other * cells.others).astype(np.int64)
    others_least, others_most = _clopper_pearson(many, cells.others, SURELY)
    return (cells.count < FEW) & ((others_least > most) | (others_most < least))


def _clopper_pearson(count: Integers, size: Integers, level: float) -> tuple[Floats, Floats]:
    """Give the exact interval of a share (Clopper and Pearson, 1934)."""
    from scipy.special import betaincinv

    rest, beyond = size - count, (1 - level) / 2
    least = betaincinv(np.maximum(count, 1), rest + 1, beyond)
    most = betaincinv(count + 1, np.maximum(rest, 1), 1 - beyond)
    return np.where(count > 0, least, 0.0), np.where(rest > 0, most, 1.0)


def interval(base: Integers, now: Integers, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of the index.

    An empty cell stays empty in every resample, and the logarithm of a share of a few values is
    far off: cells with few values on one side, and many on the other, are reckoned one by one,
    from the exact interval of the smaller count. They are put together with each other and with
    the rest as independent sums are (Zou and Donner, 2008).
    """
    cells = Few.of(base, now)
    few = _all_but_empty(cells)
    if not few.any():
        return d.interval(d.psi, base, now)
    value, rest = float(d.psi(base, now)), float(d.psi_terms(base, now)[~few].sum())
    drawn = d.psi_terms(*d.resampled(base, now))[:, ~few].sum(axis=1)
    low, high = of_divergence(rest, drawn, level)
    middle, down, up = _of_few(cells.where(few), level)
    least = rest + middle - sqrt((rest - low) ** 2 + down)
    return max(min(least, value), 0.0), value + sqrt((high - rest) ** 2 + up)


def _of_few(cells: Few, level: float) -> tuple[float, float, float]:
    """Give what these cells add where the lower end starts, and how far they reach, squared."""
    other, share = cells.other, np.maximum(cells.count / cells.size, d.FLOOR)
    least, most = cells.bounds(level)
    rises = share > other  # the index rises with the share, and falls with it elsewhere
    nearest = np.where(rises, np.maximum(least, other), np.minimum(most, other))
    # a share of a few values overstates what the two are apart: Laplace's (1774) does not
    middle = np.where(rises, share, np.minimum((cells.count + 1) / (cells.size + 2), other))
    value, start = _apart(other, share), _apart(other, middle)
    farthest = _apart(other, np.where(rises, most, least))
    # what the other sample's share, of many values, may be off
    slope = np.log(other / share) + 1 - share / other
    moved = z(level) ** 2 * (slope**2 * other * (1 - other) / cells.others).sum()
    down = ((start - _apart(other, nearest)) ** 2).sum() + moved
    return float(start.sum()), float(down), float(((farthest - value) ** 2).sum() + moved)


def _apart(other: Floats, share: Floats) -> Floats:
    """Give what a cell with these shares adds to the index."""
    floored = np.maximum(share, d.FLOOR)
    found: Floats = (other - floored) * np.log(other / floored)
    return found
