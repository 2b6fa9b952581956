"""The curves of a ranking, from grouped counts: ROC, cumulative shares, gains.

Curves have corners at groups of equal scores. Of very many groups some corners are left out;
those that stay lie on the whole curve, and the corner of the largest gap always stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waystage_plugins.monitors.statistics.counts import Counts, Floats, shares

CORNERS = 500


@dataclass(frozen=True, slots=True)
class Curve:
    """The corners of a curve, from left to right."""

    x: Floats
    y: Floats


def roc(counts: Counts, at_most: int = CORNERS) -> Curve:
    """Give the false and true positive rates of all cut-offs, from (0, 0) to (1, 1).

    A group of equal scores is one straight piece, so the area below (by trapezoids) is the
    Mann-Whitney estimate with ties ½ (Fawcett, 2006). Raises `ValueError` when a class is empty.
    """
    _need_both(counts)
    kept = corners(counts, at_most)
    above_e = counts.n_events - np.cumsum(counts.events)[kept]
    above_n = counts.n_nonevents - np.cumsum(counts.nonevents)[kept]
    tpr = np.concatenate([above_e[::-1] / counts.n_events, [1.0]])
    fpr = np.concatenate([above_n[::-1] / counts.n_nonevents, [1.0]])
    return Curve(fpr, tpr)


def cumulative(score: Floats, counts: Counts, at_most: int = CORNERS) -> tuple[Curve, Curve]:
    """Give the shares of events and of non-events with at most each score.

    Raises `ValueError` when a class is empty.
    """
    _need_both(counts)
    kept = corners(counts, at_most)
    events = np.cumsum(counts.events)[kept] / counts.n_events
    nonevents = np.cumsum(counts.nonevents)[kept] / counts.n_nonevents
    return Curve(score[kept], events), Curve(score[kept], nonevents)


def gap_at(counts: Counts) -> int:
    """Give the number of the group up to which non-events are farthest ahead of events."""
    below = np.cumsum(counts.nonevents) * counts.n_events
    return int((below - np.cumsum(counts.events) * counts.n_nonevents).argmax())


def gains(counts: Counts, at_most: int = CORNERS) -> Curve:
    """Give the share of events that each share of the rows holds, the highest scores first.

    Raises `ValueError` when a class is empty.
    """
    _need_both(counts)
    kept = corners(counts, at_most)
    rows = counts.events + counts.nonevents
    above = rows.sum() - np.cumsum(rows)[kept]
    found = counts.n_events - np.cumsum(counts.events)[kept]
    x = np.concatenate([above[::-1] / rows.sum(), [1.0]])
    y = np.concatenate([found[::-1] / counts.n_events, [1.0]])
    return Curve(x, y)


def corners(counts: Counts, at_most: int) -> NDArray[np.intp]:
    """Give the numbers of the groups whose upper ends are corners to be kept, ascending."""
    groups = len(counts.events)
    if groups <= at_most:
        return np.arange(groups)
    number = shares(counts, at_most - 1)
    last = np.flatnonzero(np.diff(number, append=number[-1] + 1))
    return np.unique(np.append(last, gap_at(counts)))


def _need_both(counts: Counts) -> None:
    if counts.one_class:
        raise ValueError("curves of a ranking need events and non-events")
