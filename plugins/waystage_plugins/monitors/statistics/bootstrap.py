"""The interval of KS, by a stratified bootstrap of grouped counts."""

from __future__ import annotations

import hashlib
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from waystage_plugins.monitors.statistics.counts import Counts, Floats, coarse
from waystage_plugins.monitors.statistics.ks import Ks, ks
from waystage_plugins.monitors.statistics.shares import z

RESAMPLES = 500
GROUPS = 1024  # more groups are merged first: KS moves by at most 0.002


def interval(counts: Counts, level: float = 0.95) -> tuple[float, float]:
    """Give the interval of KS within 0..1, around the value less its bias.

    KS is a maximum, so every sample overstates it, and a resample once more: the plain
    percentiles of the resamples cover as little as half of what they promise. So the
    resamples give the bias alone, and the spread is that of the two shares below the
    cut-off, each with two rows more on either side as Agresti and Coull (1998) have it.
    """
    found, smaller = ks(counts), coarse(counts, GROUPS)
    bias = float(resampled(smaller).mean()) - ks(smaller).value
    reach = z(level) * _spread(found, counts)
    low, high = found.value - bias - reach, found.value - bias + reach
    return min(max(low, 0.0), found.value), min(max(high, found.value), 1.0)


def resampled(counts: Counts, resamples: int = RESAMPLES) -> Floats:
    """Give the KS of resamples; events and non-events are drawn apart, each in its number."""
    e, n = counts.n_events, counts.n_nonevents
    draw = generator(counts.events, counts.nonevents).multinomial
    events = draw(e, counts.events / e, size=resamples)
    nonevents = draw(n, counts.nonevents / n, size=resamples)
    gap = np.cumsum(nonevents, axis=1) / n - np.cumsum(events, axis=1) / e
    highest: Floats = gap.max(axis=1)
    return np.maximum(highest, 0.0)


def generator(*counts: NDArray[np.int64]) -> np.random.Generator:
    """Give a random generator seeded by the data: the same counts, the same interval."""
    seen = hashlib.sha256()
    for each in counts:
        seen.update(np.ascontiguousarray(each).tobytes() + b"|")
    return np.random.default_rng(int.from_bytes(seen.digest()[:16], "big"))


def _spread(found: Ks, counts: Counts) -> float:
    variance = 0.0
    for below, size in (
        (found.events_below, counts.n_events),
        (found.nonevents_below, counts.n_nonevents),
    ):
        share = (below + 2) / (size + 4)
        variance += share * (1 - share) / (size + 4)
    return sqrt(variance)
