"""What a cut-off makes of scores: hits and misses, accuracy and F1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from waystage_plugins.monitors.statistics.counts import Counts, Floats
from waystage_plugins.monitors.statistics.shares import LEVEL, wilson


@dataclass(frozen=True, slots=True)
class Confusion:
    """Events and non-events at or above the cut-off (`hits`, `false_alarms`) and below it."""

    hits: int
    misses: int
    false_alarms: int
    rejections: int

    @property
    def rows(self) -> int:
        """All of them."""
        return self.hits + self.misses + self.false_alarms + self.rejections

    @property
    def accuracy(self) -> float:
        """The share of rows that are on their own side of the cut-off."""
        return (self.hits + self.rejections) / self.rows

    @property
    def precision(self) -> float:
        """The share of events among what is called an event; 0 if nothing is."""
        called = self.hits + self.false_alarms
        return self.hits / called if called else 0.0

    @property
    def recall(self) -> float:
        """The share of the events that are called so; 0 if there are none."""
        events = self.hits + self.misses
        return self.hits / events if events else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall (van Rijsbergen, 1979)."""
        touched = 2 * self.hits + self.false_alarms + self.misses
        return 2 * self.hits / touched if touched else 0.0


def confusion(score: Floats, counts: Counts, threshold: float) -> Confusion:
    """Cut at the threshold; a score that is equal to it counts as an event."""
    above = score >= threshold
    events, nonevents = counts.events, counts.nonevents
    return Confusion(
        hits=int(np.sum(events[above])),
        misses=int(np.sum(events[~above])),
        false_alarms=int(np.sum(nonevents[above])),
        rejections=int(np.sum(nonevents[~above])),
    )


def accuracy_interval(found: Confusion, level: float = LEVEL) -> tuple[float, float]:
    """Give Wilson's interval of the accuracy, which is a share of rows."""
    return wilson(found.hits + found.rejections, found.rows, level)


def f1_interval(found: Confusion, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of F1 by that of a share.

    F1 = 2 J / (1 + J), and J = hits / (all but the rejections) is a share (Jaccard's index,
    1901): Wilson's interval of J, on the scale of F1.
    """
    touched = found.rows - found.rejections
    if touched == 0:
        return 0.0, 1.0
    low, high = wilson(found.hits, touched, level)
    return 2 * low / (1 + low), 2 * high / (1 + high)
