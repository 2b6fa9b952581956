"""Intervals of a difference and of a ratio of two estimates, from the intervals of both."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval; without one it is taken as known, `low` = `high` = `value`."""

    value: float
    low: float
    high: float


def difference(first: Estimate, second: Estimate) -> tuple[float, float]:
    """Give the interval of first − second, both independent (MOVER: Zou and Donner, 2008)."""
    middle = first.value - second.value
    down = sqrt((first.value - first.low) ** 2 + (second.high - second.value) ** 2)
    up = sqrt((first.high - first.value) ** 2 + (second.value - second.low) ** 2)
    return middle - down, middle + up


def ratio(first: Estimate, second: Estimate) -> tuple[float, float] | None:
    """Give the interval of first / second, both independent and positive (Donner and Zou, 2012).

    None where the second may be 0: then nothing bounds the ratio.
    """
    if second.low <= 0 or second.high >= 2 * second.value or first.low < 0:
        return None
    product = first.value * second.value
    low = product**2 - first.low * second.high * (2 * first.value - first.low) * (
        2 * second.value - second.high
    )
    high = product**2 - first.high * second.low * (2 * first.value - first.high) * (
        2 * second.value - second.low
    )
    least = (product - sqrt(max(low, 0.0))) / (second.high * (2 * second.value - second.high))
    most = (product + sqrt(max(high, 0.0))) / (second.low * (2 * second.value - second.low))
    return least, most
