"""Looking several times at data that grow, without being fooled more often than was declared."""

from __future__ import annotations

from collections.abc import Sequence
from math import e, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from waystage_plugins.monitors.statistics.counts import Floats

if TYPE_CHECKING:
    from waystage_plugins.monitors.looks import Spending

FARTHEST = 7.0  # no bound lies farther out: what is left beyond it is one in a million millions
POINTS = 400  # of the grid that densities are kept on
NEW_SHARE = 0.01  # looks that brought less than this much new count as if nothing tied them
NORMAL = NormalDist()


def spent(alpha: float, share: float, how: Spending) -> float:
    """Give how much of the one-sided error `alpha` may be used up after a share of the looks.

    Lan and DeMets (Biometrika 70, 1983): like O'Brien and Fleming, 2 − 2Φ(z(1 − α/2) / √t),
    which is strict at first and spends nearly all at the end; like Pocock, α ln(1 + (e − 1) t),
    which spends about evenly.
    """
    if share >= 1:
        return alpha
    if how == "pocock":
        return alpha * log(1 + (e - 1) * share)
    return 2 * NORMAL.cdf(NORMAL.inv_cdf(alpha / 2) / sqrt(share))


def bound(
    information: Sequence[float],
    spent_after: Sequence[float],
    grown: Sequence[bool] | None = None,
) -> float:
    """Give what the last look's z must exceed, its earlier ones not having exceeded theirs.

    `information` is that of all data at each look, `spent_after` the error that may be used up
    by then; both rise, and have one number per look. Between looks z moves as a sum of
    independent parts does; densities are carried from look to look by numerical integration
    (Armitage, McPherson and Rowe, 1969; Jennison and Turnbull, 2000, chapter 19). A look that
    brought hardly anything new, or whose data do not hold those of the one before (`grown`),
    gets its share by itself, which is strict whatever ties them.
    """
    carried: _Density | None = None
    found, before = FARTHEST, 0.0
    for number, (amount, after) in enumerate(zip(information, spent_after, strict=True)):
        share, before = max(after - before, 0.0), after
        old = information[number - 1] if number else 0.0
        tied = grown is None or grown[number]
        if carried is None or not tied or amount < old * (1 + NEW_SHARE):
            found = _alone(share)
            carried = _Density.first(found)
        else:
            found = carried.crossed_by(share, old, amount)
            carried = carried.carried(found, old, amount)
    return found


def _alone(share: float) -> float:
    return min(-NORMAL.inv_cdf(share), FARTHEST) if share > 0 else FARTHEST


class _Density:
    """The density of z at a look, on a grid from far below up to that look's bound."""

    def __init__(self, at: Floats, values: Floats) -> None:
        self._at, self._values = at, values
        self._weights = np.full(len(at), at[1] - at[0])  # trapezoids
        self._weights[[0, -1]] /= 2

    @classmethod
    def first(cls, below: float) -> _Density:
        at = np.linspace(-FARTHEST - 1, below, POINTS)
        return cls(at, np.exp(-(at**2) / 2) / sqrt(2 * np.pi))

    def crossed_by(self, share: float, old: float, new: float) -> float:
        """Find the bound that the next look's z exceeds with the chance `share`."""
        low, high = -FARTHEST, FARTHEST
        if share <= 0 or self._above(high, old, new) >= share:
            return high
        while high - low > 1e-6:
            middle = (low + high) / 2
            low, high = (middle, high) if self._above(middle, old, new) > share else (low, middle)
        return high

    def carried(self, below: float, old: float, new: float) -> _Density:
        """Give the density of the next look's z, below its bound."""
        at = np.linspace(-FARTHEST - 1, below, POINTS)
        steps = (at[:, None] * sqrt(new) - self._at * sqrt(old)) / sqrt(new - old)
        kernel = np.exp(-(steps**2) / 2) / sqrt(2 * np.pi) * sqrt(new / (new - old))
        return _Density(at, kernel @ (self._values * self._weights))

    def _above(self, bar: float, old: float, new: float) -> float:
        from scipy.special import ndtr

        beyond = ndtr((self._at * sqrt(old) - bar * sqrt(new)) / sqrt(new - old))
        return float(beyond @ (self._values * self._weights))
