"""How far predicted numbers are from true ones: R² and the root of the mean squared error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from math import exp, isfinite, log, sqrt

import numpy as np

from waystage_plugins.monitors.statistics.counts import Floats
from waystage_plugins.monitors.statistics.shares import LEVEL, z

CHUNK = 50_000  # pairs in memory at once


@dataclass(frozen=True, slots=True)
class Errors:
    """Means over all pairs; e is true minus predicted, v a true value minus their mean.

    `squared` is that of e², `fourth` of e⁴, `spread` of v², `spread_fourth` of v⁴ and `both`
    of e² v².
    """

    rows: int
    mean: float
    squared: float
    fourth: float
    spread: float
    spread_fourth: float
    both: float

    @property
    def finite(self) -> bool:
        """Whether no power was too large for a float."""
        return all(map(isfinite, (self.mean, self.fourth, self.spread_fourth, self.both)))

    @property
    def rmse(self) -> float:
        """The root of the mean squared error."""
        return sqrt(self.squared)

    @property
    def r2(self) -> float:
        """The share of the variance that is explained, 1 − Σe² / Σ(y − ȳ)².

        It is below 0 for one who predicts worse than the mean. Raises `ValueError` when all
        true values are the same.
        """
        if self.spread <= 0:
            raise ValueError("R² needs true values that differ")
        return 1 - self.squared / self.spread


def errors(pairs: Iterable[tuple[float, float]]) -> Errors:
    """Add up (predicted, true) pairs in chunks, so that memory does not grow with the rows.

    Powers are taken around a pivot (the mean of the first chunk) and moved to the mean at the
    end, so that large numbers close to each other lose nothing. Raises `ValueError` for none.
    """
    source = iter(pairs)
    sums, rows, pivot = np.zeros(8), 0, 0.0
    while chunk := list(islice(source, CHUNK)):
        predicted, true = np.array(chunk, dtype=np.float64).T
        pivot = pivot if rows else float(true.mean())
        with np.errstate(over="ignore", invalid="ignore"):  # told by `finite`
            sums += _powers(true - predicted, true - pivot)
        rows += len(chunk)
    if rows == 0:
        raise ValueError("no pair of a prediction and a true value")
    return _around_mean(sums / rows, rows, pivot)


def rmse_interval(found: Errors, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of the root mean squared error by the delta method on its logarithm."""
    if found.squared == 0 or found.rows < 2:
        return 0.0, found.rmse
    variance = max(found.fourth - found.squared**2, 0.0) / (found.rows - 1)
    reach = z(level) * sqrt(variance) / (2 * found.squared)
    middle = log(found.squared) / 2
    return exp(middle - reach), exp(middle + reach)


def r2_interval(found: Errors, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of R² by the delta method on log(1 − R²), the ratio of two means."""
    ratio = 1 - found.r2
    if ratio == 0 or found.rows < 2:
        return found.r2, found.r2
    errors, spread = found.squared, found.spread
    # variances of the means of e² and (y − ȳ)², and their covariance, relative to the means
    of_errors = found.fourth / errors**2 - 1
    of_spread = found.spread_fourth / spread**2 - 1
    together = found.both / (errors * spread) - 1
    variance = max(of_errors + of_spread - 2 * together, 0.0) / (found.rows - 1)
    reach, middle = z(level) * sqrt(variance), log(ratio)
    return 1 - exp(middle + reach), 1 - exp(middle - reach)


def _powers(error: Floats, value: Floats) -> Floats:
    e2, v2 = error**2, value**2
    terms = (e2, e2**2, value, v2, v2 * value, v2**2, e2 * value, e2 * v2)
    return np.array([float(each.sum()) for each in terms])


def _around_mean(means: Floats, rows: int, pivot: float) -> Errors:
    """Move the powers from the pivot to the mean, by the binomial theorem."""
    e2, e4, d1, d2, d3, d4, e2d, e2d2 = (float(each) for each in means)
    return Errors(
        rows=rows,
        mean=pivot + d1,
        squared=e2,
        fourth=e4,
        spread=max(d2 - d1**2, 0.0),
        spread_fourth=max(d4 - 4 * d3 * d1 + 6 * d2 * d1**2 - 3 * d1**4, 0.0),
        both=e2d2 - 2 * d1 * e2d + d1**2 * e2,
    )
