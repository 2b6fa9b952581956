"""Rates of groups beside each other."""

from __future__ import annotations

from math import erfc, exp, log, sqrt

from waystage_plugins.monitors.statistics.shares import LEVEL, z


def ratio_interval(
    hits: int, of: int, other_hits: int, other_of: int, level: float = LEVEL
) -> tuple[float, float]:
    """Give the interval of the ratio of two independent rates on the logarithmic scale.

    By Katz et al. (1978), with half a hit and half a row more in both groups (Walter, 1975), so
    that a group without a hit has an interval too.
    """
    a, n, b, m = hits + 0.5, of + 0.5, other_hits + 0.5, other_of + 0.5
    spread = sqrt(max(1 / a - 1 / n + 1 / b - 1 / m, 0.0))
    middle = log((a / n) / (b / m))
    return exp(middle - z(level) * spread), exp(middle + z(level) * spread)


def difference_p(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """Give the two-sided p of two rates being the same, by the pooled z test."""
    pooled = (hits + other_hits) / (of + other_of)
    variance = pooled * (1 - pooled) * (1 / of + 1 / other_of)
    if variance <= 0:
        return 1.0
    return erfc(abs(hits / of - other_hits / other_of) / sqrt(2 * variance))
