"""Scores and outcomes as counts per distinct score: what all statistics here start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

GRID = np.arange(101) / 100  # the nearest doubles to 0.00, 0.01, …, 1.00


@dataclass(frozen=True, slots=True)
class Counts:
    """Events and non-events per group of equal scores, from the lowest score to the highest.

    The sums below stay exact while (number of events) × (number of non-events) < 2^62.
    """

    events: Integers
    nonevents: Integers

    @property
    def n_events(self) -> int:
        """The number of events."""
        return int(self.events.sum())

    @property
    def n_nonevents(self) -> int:
        """The number of non-events."""
        return int(self.nonevents.sum())

    @property
    def one_class(self) -> bool:
        """Whether events or non-events are missing, so that nothing can be ranked."""
        return self.n_events == 0 or self.n_nonevents == 0


def grouped(score: ArrayLike, events: ArrayLike, nonevents: ArrayLike) -> Counts:
    """Give counts in score order; equal scores become one group, in whatever order they come.

    Raises `ValueError` for scores that are not finite: they belong to no place in the order.
    """
    scores = np.asarray(score, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    e, n = np.asarray(events, dtype=np.int64), np.asarray(nonevents, dtype=np.int64)
    if (np.diff(scores) > 0).all():
        return Counts(e, n)
    _, group = np.unique(scores, return_inverse=True)
    return merged(Counts(e, n), group)


def raw(score: ArrayLike, event: ArrayLike) -> Counts:
    """Give the counts of single rows; `event` is 1 or 0 for each.

    Plain sorts and a look-up of the rarer class: a tenth of what sorting by an index takes. As
    few arrays as may be: a fresh one costs more than what is done with it.
    Raises `ValueError` for scores that are not finite.
    """
    scores, events = _rows(score, event)
    distinct, first = np.sort(scores), np.ones(len(scores), bool)
    np.not_equal(distinct[1:], distinct[:-1], out=first[1:])
    rows: Integers | int = 1
    if not first.all():
        places = np.flatnonzero(first)
        rows, distinct = np.diff(places, append=len(distinct)), distinct[places]
    rare = bool(events.sum() * 2 <= len(events))
    places = np.searchsorted(distinct, np.sort(scores[events if rare else ~events]))
    few = np.bincount(places, minlength=len(distinct)).astype(np.int64, copy=False)
    return Counts(few, rows - few) if rare else Counts(rows - few, few)


def ranked(score: ArrayLike, event: ArrayLike) -> Counts:
    """Give what only the order is asked of (KS, AUC): fewer groups, the same answers.

    Rows of the more frequent class that no row of the other lies between are one group. Between
    two rows of one class the gap of KS only grows or only falls, and all that lie there outrank
    the same rows of the other class. Raises `ValueError` for scores that are not finite.
    """
    scores, events = _rows(score, event)
    rare = bool(events.sum() * 2 <= len(events))
    at, times = np.unique(scores[events if rare else ~events], return_counts=True)
    every = np.sort(scores)
    ends = np.empty(2 * len(at) + 1, np.int64)  # of what lies before each, and with it, and behind
    ends[0:-1:2] = np.searchsorted(every, at, "left")
    ends[1::2] = np.searchsorted(every, at, "right")
    ends[-1] = len(every)
    rows, few = np.diff(ends, prepend=0), np.zeros(len(ends), np.int64)
    few[1::2] = times
    few, rows = few[rows > 0], rows[rows > 0]
    return Counts(few, rows - few) if rare else Counts(rows - few, few)


def _rows(score: ArrayLike, event: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    scores = np.asarray(score, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    return scores, np.asarray(event) == 1


def on_grid(score: ArrayLike, events: ArrayLike, nonevents: ArrayLike) -> Counts:
    """Give the counts between the cut-offs 0.00, 0.01, … 1.00; a score at one is above it."""
    cell = np.searchsorted(GRID, np.asarray(score, dtype=np.float64), side="right")
    return grouped(cell, events, nonevents)


def merged(counts: Counts, group: NDArray[np.intp]) -> Counts:
    """Add up what has the same group number, counted from 0 in score order."""
    # sums of float64 are exact here: counts stay far below 2^53
    events = np.bincount(group, weights=counts.events).astype(np.int64)
    return Counts(events, np.bincount(group, weights=counts.nonevents).astype(np.int64))


def coarse(counts: Counts, at_most: int) -> Counts:
    """Merge neighbours to about `at_most` groups of equal share, if there are more.

    The share of a group is the mean of its shares of the events and of the non-events, so a
    statistic of cumulative shares moves by at most 2 / `at_most` unless one score weighs more.
    """
    if len(counts.events) <= at_most:
        return counts
    return merged(counts, shares(counts, at_most))


def shares(counts: Counts, at_most: int) -> NDArray[np.intp]:
    """Give the group number that `coarse` merges each group into."""
    share = counts.events / max(counts.n_events, 1) + counts.nonevents / max(counts.n_nonevents, 1)
    share /= share.sum()
    middle = np.cumsum(share) - share / 2
    bins = np.minimum((middle * at_most).astype(np.intp), at_most - 1)
    # numbers without a gap, in the same order
    return np.cumsum(np.diff(bins, prepend=bins[:1]) > 0)
