"""How far predicted numbers are from true ones: R² and the root of the mean squared error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from math import comb, isfinite, sqrt

import numpy as np

from waystage_plugins.monitors.statistics.counts import Floats
from waystage_plugins.monitors.statistics.shares import LEVEL

CHUNK = 50_000  # pairs in memory at once
POWERS = [(j, m) for j in range(5) for m in range(9 - 2 * j)]  # of e² and v, the eighth in all
MIXED = [(j, k) for j in range(5) for k in range(5 - j)]  # of e² and v²


@dataclass(frozen=True, slots=True)
class Errors:
    """Means over all pairs; e is true minus predicted, v a true value minus their mean.

    `moments` has the mean of e^2j v^2k by (j, k), up to the eighth power in all.
    """

    rows: int
    mean: float
    moments: Mapping[tuple[int, int], float]

    @property
    def squared(self) -> float:
        """The mean of e²."""
        return self.moments[1, 0]

    @property
    def spread(self) -> float:
        """The mean of v², never below 0."""
        return max(self.moments[0, 1], 0.0)

    @property
    def finite(self) -> bool:
        """Whether no power was too large for a float."""
        return isfinite(self.mean) and all(map(isfinite, self.moments.values()))

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
    sums, rows, pivot = np.zeros(len(POWERS)), 0, 0.0
    while chunk := list(islice(source, CHUNK)):
        predicted, true = np.array(chunk, dtype=np.float64).T
        with np.errstate(over="ignore", invalid="ignore"):  # told by `finite`
            pivot = pivot if rows else float(true.mean())
            sums += _powers(true - predicted, true - pivot)
        rows += len(chunk)
    if rows == 0:
        raise ValueError("no pair of a prediction and a true value")
    return _around_mean(sums / rows, rows, pivot)


def rmse_interval(found: Errors, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of the root mean squared error: that of the mean of e², rooted."""
    low, high = _ratio(lambda j, k: found.moments[j, 0], found.rows, level)
    return sqrt(low), sqrt(high)


def r2_interval(found: Errors, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of R², which is 1 less the ratio of two means."""
    low, high = _ratio(lambda j, k: found.moments[j, k], found.rows, level)
    return 1 - high, 1 - low


def _ratio(of: Callable[[int, int], float], rows: int, level: float) -> tuple[float, float]:
    """Give the interval of the mean of x = e² over that of y = v², or over 1.

    `of(j, k)` is the mean of x^j y^k. The ratios r for which the mean of x − r y is as far from
    0 as chance allows (Fieller, 1954), by the quantiles of a skew mean (Hall, 1992), with as many
    degrees of freedom as the fourth moment leaves the variance (Satterthwaite, 1946). All is
    reckoned in shares of both means, so that no power of their ratio is beyond all floats.
    """
    a, b = of(1, 0), of(0, 1)
    ratio = a / b
    if rows < 2 or a == 0:
        return (0.0, ratio) if rows < 2 else (ratio, ratio)
    m = {(j, k): _divided(of(j, k), (a,) * j + (b,) * k) for j, k in MIXED}
    v = {power: (m[power] - 1) / (rows - 1) for power in ((2, 0), (1, 1), (0, 2))}
    variance = v[2, 0] - 2 * v[1, 1] + v[0, 2]
    if variance <= 0:
        return ratio, ratio
    third, fourth = (
        sum(comb(n, k) * (-1) ** k * m[n - k, k] for k in range(n + 1))
        / (variance * (rows - 1)) ** (n / 2)
        for n in (3, 4)
    )
    quantile, ends = _student(level, 2 * rows / max(fourth - 1, 1e-9)), []
    for sign in (1, -1):
        t = _of_skew_mean(sign * quantile, third / sqrt(rows))
        square, middle = 1 - t**2 * v[0, 2], 1 - t**2 * v[1, 1]
        under = middle**2 - square * (1 - t**2 * v[2, 0])
        if square > 0 and under >= 0:
            ends.append((middle - sign * sqrt(under)) / square)
        else:  # the denominator may be 0: so few rows that the plain normal interval must do
            ends.append(1 - t * sqrt(variance))
    return ratio * min(max(ends[0], 0.0), 1.0), ratio * max(ends[1], 1.0)


def _divided(value: float, by: tuple[float, ...]) -> float:
    """Divide by one number after the other: their product may be beyond all floats."""
    for number in by:
        value /= number
    return value


def _student(level: float, freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, max(freedom, 1.0)))


def _of_skew_mean(quantile: float, skew: float) -> float:
    """Give the quantile of a studentized mean whose values are skew, divided by √rows."""
    if abs(skew) < 1e-6:
        return quantile
    inner = 1 + skew * (quantile - skew / 6)
    return 3 / skew * (float(np.cbrt(inner)) - 1)


def _powers(error: Floats, value: Floats) -> Floats:
    squares = error**2
    return np.array([float((squares**j * value**m).sum()) for j, m in POWERS])


def _around_mean(means: Floats, rows: int, pivot: float) -> Errors:
    """Move the powers from the pivot to the mean, by the binomial theorem."""
    at = dict(zip(POWERS, means, strict=True))
    off = at[0, 1]  # a number of numpy: a power of Python's own that is too large is an exception
    with np.errstate(over="ignore", invalid="ignore"):  # told by `finite`
        moments = {
            (j, k): float(
                sum(comb(2 * k, m) * (-off) ** (2 * k - m) * at[j, m] for m in range(2 * k + 1))
            )
            for j, k in MIXED
        }  # fmt: skip
        return Errors(rows, float(pivot + off), moments)
