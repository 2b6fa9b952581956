"""The interval of KS, by a stratified bootstrap of grouped counts."""

from __future__ import annotations

import hashlib
from math import exp

import numpy as np
from numpy.typing import NDArray

from waystage_plugins.monitors.statistics.counts import Counts, Floats, Integers, coarse
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.monitors.statistics.mover import Estimate
from waystage_plugins.monitors.statistics.reach import of_supremum
from waystage_plugins.monitors.statistics.shares import LEVEL, t, z

RESAMPLES = 500
GROUPS = 512  # more groups are merged first: KS moves by at most 0.004
FEW = 16  # rows for each cell, up to which rows are drawn one by one: faster than cell by cell
AT_ONCE = 32_768  # rows drawn together: what is made of them stays in the processor's cache


def interval(counts: Counts, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of KS within 0..1.

    KS is a maximum, so every sample overstates it; `reach.of_supremum` allows for that. The
    ends of the gap at a cut-off are those of a difference of two shares (Newcombe, 1998, method
    10), with the quantile of t for the smaller class: few events do not seem sure of much. What
    scores that tell nothing reach in more than (1 − `level`) / 2 of all samples is not above 0.
    """
    smaller = coarse(counts, GROUPS)
    return _ends_of(counts, smaller, resampled(smaller), level)


def freed(counts: Counts, level: float = LEVEL) -> Estimate:
    """Give KS and its upper end without what the sample overstates KS by, and its lower end.

    By how much that is tell the resamples, which overstate the sample's KS in turn (Efron and
    Tibshirani, 1993, chapter 10). The lower end allows for it as it is.
    """
    smaller = coarse(counts, GROUPS)
    again = resampled(smaller)
    low, high = _ends_of(counts, smaller, again, level)
    found, mean = ks(counts).value, float(np.maximum(again.max(axis=1), 0.0).mean())
    bias = max(mean - ks(smaller).value, 0.0)
    value = max(found - bias, 0.0)
    return Estimate(value, min(low, value), max(high - bias, value))


def _ends_of(counts: Counts, smaller: Counts, again: Floats, level: float) -> tuple[float, float]:
    freedom = max(min(counts.n_events, counts.n_nonevents) - 1, 1)
    wider = t(freedom, level) / z(level)
    found, gap = ks(counts).value, _gap(smaller.events, smaller.nonevents)
    spread = spread_of_gap(smaller.events, smaller.nonevents)
    low, high = of_supremum(
        found, gap, again, spread, level,
        lambda times: _ends(smaller.nonevents, smaller.events, wider * times),
    )  # fmt: skip
    lost = found - float(gap.max())  # by merging
    # Smirnov (1939), one-sided: the chance of a larger gap; below it in any sample
    chance = exp(-2 * found**2 / (1 / counts.n_events + 1 / counts.n_nonevents))
    return (0.0 if chance > (1 - level) / 2 else low), min(high + lost, 1.0)


def resampled(counts: Counts, resamples: int = RESAMPLES) -> Floats:
    """Give the gap at each cut-off of resamples, a row each.

    Events and non-events are drawn apart, each in its number.
    """
    random = generator(counts.events, counts.nonevents)
    return _gap(*(drawn(random, each, resamples) for each in (counts.events, counts.nonevents)))


def drawn(random: np.random.Generator, counts: Integers, times: int) -> Integers:
    """Draw as many rows as there are, with replacement, so many times; counts, a row each."""
    size, cells = int(counts.sum()), len(counts)
    if size > FEW * cells:
        found: Integers = random.multinomial(size, counts / size, size=times)
        return found
    of_row, step = np.repeat(np.arange(cells), counts), max(1, AT_ONCE // max(size, 1))
    again, cell = np.empty((times, cells), np.int64), np.empty((step, size), np.int64)
    first = cells * np.arange(step)[:, None]  # every resample has cells of its own
    for start in range(0, times, step):
        rows = again[start : start + step]
        some = cell[: len(rows)]
        picked = random.integers(size, size=some.shape, dtype=np.int32)
        # "clip" looks at no number twice: all of them are rows
        np.take(of_row, picked, out=some, mode="clip")
        some += first[: len(rows)]
        rows[:] = np.bincount(some.ravel(), minlength=rows.size).reshape(rows.shape)
    return again


def spread_of_gap(one: Integers, other: Integers) -> Floats:
    """Give the standard error of the gap between two cumulative shares, cell by cell.

    Each has two rows more on either side, as Agresti and Coull (1998) have it.
    """
    variance = np.zeros(len(one))
    for counts in (one, other):
        size = int(counts.sum()) + 4
        share = (np.cumsum(counts) + 2) / size
        variance += share * (1 - share) / size
    spread: Floats = np.sqrt(variance)
    return spread


def _ends(one: Integers, other: Integers, times: float) -> tuple[Floats, Floats]:
    """Give the ends of the gap between two cumulative shares, one − other, cell by cell."""
    (a, a_low, a_high), (b, b_low, b_high) = (_wilson(each, times) for each in (one, other))
    low: Floats = a - b - np.hypot(a - a_low, b_high - b)
    high: Floats = a - b + np.hypot(a_high - a, b - b_low)
    return low, high


def _wilson(counts: Integers, times: float) -> tuple[Floats, Floats, Floats]:
    """Give the cumulative shares and their ends (Wilson, 1927), so many standard errors off."""
    size = int(counts.sum())
    share: Floats = np.cumsum(counts) / size
    weight = 1 / (1 + times * times / size)
    middle = (share + times * times / (2 * size)) * weight
    spread = share * (1 - share) / size + times * times / (4 * size * size)
    reach = times * np.sqrt(spread) * weight
    return share, np.clip(middle - reach, 0, share), np.clip(middle + reach, share, 1)


def generator(*counts: NDArray[np.int64]) -> np.random.Generator:
    """Give a random generator seeded by the data: the same counts, the same interval."""
    seen = hashlib.sha256()
    for each in counts:
        seen.update(np.ascontiguousarray(each).tobytes() + b"|")
    return np.random.default_rng(int.from_bytes(seen.digest()[:16], "big"))


def _gap(events: Integers, nonevents: Integers) -> Floats:
    sizes = events.sum(axis=-1, keepdims=True), nonevents.sum(axis=-1, keepdims=True)
    gap: Floats = np.cumsum(nonevents, axis=-1) / sizes[1] - np.cumsum(events, axis=-1) / sizes[0]
    return gap
