"""Lift: how much more often events come among the highest scores than among all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from waystage_plugins.monitors.statistics.counts import Counts, Floats
from waystage_plugins.monitors.statistics.shares import LEVEL, wilson

NEAR = 0.1  # share of the rows, around the cut, that tells how often events come there


@dataclass(frozen=True, slots=True)
class Lift:
    """The lift, the share of all events that it captures, and the variance of that share."""

    value: float
    captured: float
    variance: float


def lift(counts: Counts, at: float) -> Lift:
    """Give (share of the events among the `at` highest scores) / `at`.

    A group of equal scores that the cut goes through gives its events in proportion, so that
    the order of equal rows does not matter (Fawcett 2006, on equally scored instances). The
    variance is that of a share behind an estimated quantile: the delta method with Bahadur's
    (1966) representation of the quantile. Raises `ValueError` when a class is empty.
    """
    if counts.one_class:
        raise ValueError("lift needs events and non-events")
    n = counts.n_events + counts.n_nonevents
    captured = _captured(counts, at)
    return Lift(captured / at, captured, _variance(counts, at, captured) / n)


def interval(found: Lift, counts: Counts, at: float, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of the lift: Wilson's of the captured share, on its effective size.

    No lift is above 1 / max(`at`, event rate), for which the lower end of the rate stands: then
    all of the top are events, or all events are in the top.
    """
    share, size = found.captured, float(counts.n_events)
    if 0 < share < 1 and found.variance > 0:
        size = share * (1 - share) / found.variance
    low, high = wilson(share * size, size, level)
    rate, _ = wilson(counts.n_events, counts.n_events + counts.n_nonevents, level)
    highest = 1 / max(at, rate)
    return low / at, max(min(high / at, highest), found.value)


def _captured(counts: Counts, at: float) -> float:
    rows, events = _from_above(counts)
    return float(np.interp(at * rows[-1], rows, events) / counts.n_events)


def _variance(counts: Counts, at: float, captured: float) -> float:
    """Give n times the variance of the captured share, by the mean square of its influence."""
    n = counts.n_events + counts.n_nonevents
    rate = counts.n_events / n
    local = _rate_near(counts, at)
    # (share of all rows, influence) of events and non-events, above the cut and below it
    cells = (
        (rate * captured, 1 - captured - local * (1 - at)),
        (rate * (1 - captured), -captured + local * at),
        (at - rate * captured, -local * (1 - at)),
        (1 - at - rate * (1 - captured), local * at),
    )
    return sum(max(share, 0.0) * influence**2 for share, influence in cells) / rate**2


def _rate_near(counts: Counts, at: float) -> float:
    """Give the event rate of the rows around the cut, at least 20 of them if there are so many."""
    rows, events = _from_above(counts)
    n = float(rows[-1])
    reach = min(max(min(NEAR / 2, at / 2, (1 - at) / 2), 10 / n), 0.5)
    low, high = max(at - reach, 0.0) * n, min(at + reach, 1.0) * n
    inside = np.interp([low, high], rows, events)
    return float((inside[1] - inside[0]) / (high - low))


def _from_above(counts: Counts) -> tuple[Floats, Floats]:
    """Give rows and events from the highest score down to each group, from 0 on."""
    events = np.concatenate([[0], np.cumsum(counts.events[::-1])]).astype(np.float64)
    nonevents = np.concatenate([[0], np.cumsum(counts.nonevents[::-1])])
    return events + nonevents, events
