"""The Kolmogorov-Smirnov statistic of a score, one-sided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from waystage_plugins.monitors.statistics.counts import Counts


@dataclass(frozen=True, slots=True)
class Ks:
    """The value in 0..1, and whether the model separates better when read backwards.

    `events_below` and `nonevents_below` count the rows below the cut-off that gives the value.
    """

    value: float
    inverted: bool
    events_below: int
    nonevents_below: int


def ks(counts: Counts) -> Ks:
    """Give max(0, max(TPR − FPR)) over all cut-offs between distinct scores.

    TPR and FPR are the shares of events and of non-events at or above the cut-off. `inverted`
    is set when FPR − TPR reaches further. Raises `ValueError` when a class is empty.
    """
    e, n = counts.n_events, counts.n_nonevents
    if counts.one_class:
        raise ValueError("KS needs events and non-events")
    # shares below the cut-off, times both sizes: whole numbers, so that no order rounds
    gap, others = np.cumsum(counts.nonevents), np.cumsum(counts.events)
    gap *= e
    others *= n
    gap -= others
    best = int(gap.argmax())  # the last one is 0, so this is never below 0
    return Ks(
        value=int(gap[best]) / (e * n),
        inverted=-int(gap.min()) > int(gap[best]),
        events_below=int(counts.events[: best + 1].sum()),
        nonevents_below=int(counts.nonevents[: best + 1].sum()),
    )
