"""Intervals of shares: plain numbers, no numpy, so that they cost nothing to load."""

from __future__ import annotations

from math import inf, sqrt

LEVEL = 0.95


def z(level: float) -> float:
    """Give the normal quantile of a two-sided interval: 1.96 for 0.95."""
    from statistics import NormalDist  # it costs more than all of `validate`'s own imports

    return NormalDist().inv_cdf((1 + level) / 2)


def t(freedom: float, level: float) -> float:
    """Give Student's quantile of a two-sided interval; without end of freedom the normal one."""
    if freedom == inf:
        return z(level)
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def together(*parts: tuple[float, float]) -> tuple[float, float]:
    """Add variances up, each given with its degrees of freedom; give the sum and its own.

    After Welch (1947) and Satterthwaite (1946).
    """
    variance = sum(each for each, _ in parts)
    spread = sum(each * each / freedom for each, freedom in parts if each and freedom != inf)
    return variance, variance * variance / spread if spread else inf


def wilson(hits: float, of: float, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of a share (Wilson, 1927); raises `ValueError` when it is of nothing.

    `of` may be an effective number of rows, as Korn and Graubard (1998) have it.
    """
    if not of > 0:
        raise ValueError("a share of nothing has no interval")
    quantile = z(level)
    share, weight = hits / of, 1 / (1 + quantile * quantile / of)
    middle = (share + quantile * quantile / (2 * of)) * weight
    spread = share * (1 - share) / of + quantile * quantile / (4 * of * of)
    reach = quantile * sqrt(max(spread, 0.0)) * weight
    return max(0.0, min(middle - reach, share)), min(1.0, max(middle + reach, share))
