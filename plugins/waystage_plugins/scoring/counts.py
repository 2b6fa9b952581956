"""What was counted of some rows by score: adding it up, and writing it down for a day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waystage.plugin import Grouped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

# one distinct score of a day as it is kept: of rows with a label 16 bytes, of those without 12
LABELLED = [("score", ">f8"), ("n_event", ">i4"), ("n_nonevent", ">i4")]
UNLABELLED = [("score", ">f8"), ("rows", ">i4")]


@dataclass
class Counts:
    """What was counted of some rows.

    `score` ascends and holds the finite scores of rows with a label; `other` those of rows
    without one, `n_other` how many. `rows`, `labelled` and `excluded` are as in `Grouped`.
    """

    score: Floats
    n_event: Integers
    n_nonevent: Integers
    other: Floats
    n_other: Integers
    rows: int = 0
    labelled: int = 0
    excluded: int = 0


def count(events: Floats, nonevents: Floats, unlabelled: Floats) -> Counts:
    """Count finite scores, given apart by what became of their rows, in any order."""
    import numpy as np

    one, other = np.sort(events), np.sort(nonevents)
    scores = _distinct(np.sort(np.concatenate([one, other])))
    edges = [np.searchsorted(each, scores, side="right") for each in (one, other)]
    n_event, n_nonevent = (np.diff(each, prepend=0).astype(np.int64) for each in edges)
    left = np.sort(unlabelled)
    others = _distinct(left)
    n_other = np.diff(np.searchsorted(left, others, side="right"), prepend=0).astype(np.int64)
    rows = len(one) + len(other)
    return Counts(scores, n_event, n_nonevent, others, n_other, rows + len(left), rows)


def count_rows(score: Floats, event: NDArray[np.int8]) -> Counts:
    """Count rows: a score that is not finite is none, an event that is neither 0 nor 1 no label."""
    import numpy as np

    usable = np.isfinite(score)
    good, bad = event == 1, event == 0
    found = count(score[usable & good], score[usable & bad], score[usable & ~(good | bad)])
    found.rows, found.excluded = len(score), len(score) - int(usable.sum())
    found.labelled = int((good | bad).sum())
    return found


def added(parts: Iterable[Counts]) -> Counts:
    """Add counts up, by score."""
    found = list(parts)
    scores, (n_event, n_nonevent) = _summed(
        [part.score for part in found],
        [part.n_event for part in found],
        [part.n_nonevent for part in found],
    )
    other, (n_other,) = _summed([part.other for part in found], [part.n_other for part in found])
    return Counts(
        scores, n_event, n_nonevent, other, n_other, sum(part.rows for part in found),
        sum(part.labelled for part in found), sum(part.excluded for part in found),
    )  # fmt: skip


def as_grouped(counts: Counts) -> Grouped:
    """Give what monitors of performance take."""
    return Grouped(
        score=counts.score, n_event=counts.n_event, n_nonevent=counts.n_nonevent,
        rows=counts.rows, labelled=counts.labelled, excluded=counts.excluded,
    )  # fmt: skip


def as_scores(counts: Counts) -> Iterator[tuple[float | None, int]]:
    """Give (score, rows) per distinct finite score, ascending; the unusable last, as None."""
    scores, (rows,) = _summed(
        [counts.score, counts.other], [counts.n_event + counts.n_nonevent, counts.n_other]
    )
    yield from zip(scores.tolist(), rows.tolist(), strict=True)
    if counts.excluded:
        yield None, counts.excluded


def pack(counts: Counts) -> tuple[bytes, bytes]:
    """Write down what rows with a label and rows without one have for scores."""
    import numpy as np

    labelled = np.empty(len(counts.score), dtype=LABELLED)
    labelled["score"], labelled["n_event"] = counts.score, counts.n_event
    labelled["n_nonevent"] = counts.n_nonevent
    unlabelled = np.empty(len(counts.other), dtype=UNLABELLED)
    unlabelled["score"], unlabelled["rows"] = counts.other, counts.n_other
    return labelled.tobytes(), unlabelled.tobytes()


def unpack(kept: bytes, others: bytes, rows: int, labelled: int, excluded: int) -> Counts:
    """Read back what was written down; `others` may be left empty by who does not need it."""
    import numpy as np

    table, left = np.frombuffer(kept, dtype=LABELLED), np.frombuffer(others, dtype=UNLABELLED)
    return Counts(
        table["score"].astype(np.float64), table["n_event"].astype(np.int64),
        table["n_nonevent"].astype(np.int64), left["score"].astype(np.float64),
        left["rows"].astype(np.int64), rows, labelled, excluded,
    )  # fmt: skip


def _distinct(ordered: Floats) -> Floats:
    import numpy as np

    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def _summed(scores: list[Floats], *columns: list[Integers]) -> tuple[Floats, list[Integers]]:
    """Add columns up by score; each of several scores arrays ascends by itself."""
    import numpy as np

    every = np.concatenate([np.empty(0), *scores])
    wholes = [np.concatenate([np.empty(0, np.int64), *each]) for each in columns]
    if len(every) == 0 or sum(map(bool, map(len, scores))) == 1:
        return every, wholes
    order = np.argsort(every, kind="stable")  # which merges what ascends already
    every = every[order]
    first = np.flatnonzero(np.concatenate([[True], every[1:] != every[:-1]]))
    return every[first], [np.add.reduceat(each[order], first) for each in wholes]
