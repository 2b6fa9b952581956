"""The scoring log: what a service was asked and answered, and how it came out later."""

from __future__ import annotations

import secrets
import time
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING, ClassVar

from waystage.errors import Hopeless
from waystage.plugin.values import JsonObject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

from waystage.plugin.base import Plugin


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """One scored request. `score` may be None where the model gave none; `at` is in UTC."""

    request_id: str
    at: datetime
    service: str
    stage: str
    snapshot: str  # `name/version`
    role: str
    score: float | None
    inputs: JsonObject = field(default_factory=dict)
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What became of a request: 1 the event (a default, a fraud), 0 not."""

    request_id: str
    event: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the number that a regression predicted turned out to be; finite."""

    request_id: str
    value: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Slice:
    """Which rows are meant: half-open in time, one service and stage, one version and role.

    `snapshot` None means every version, `role` None every role.
    """

    service: str
    stage: str
    start: datetime
    end: datetime
    snapshot: str | None = None
    role: str | None = "champion"


@dataclass(frozen=True, slots=True)
class Grouped:
    """The counts per distinct finite score, ascending, and what was left out and why.

    `score` is float64, `n_event` and `n_nonevent` int64, all of the same length. Only rows
    with a label are in them. `rows` counts all rows of the slice, one per request id;
    `labelled` those of them with a label, `excluded` those with a NaN, infinite or missing
    score (labelled or not).
    """

    score: NDArray[np.float64]
    n_event: NDArray[np.int64]
    n_nonevent: NDArray[np.int64]
    rows: int
    labelled: int
    excluded: int


@dataclass(frozen=True, slots=True)
class Tended:
    """What tending a log did: rows that were removed, days that were counted."""

    removed: int = 0
    rolled: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """What looks are counted of: a challenger beside a champion of a service, by one metric."""

    service: str
    champion: str  # `name/version`
    challenger: str
    metric: str


class ScoringLog(Plugin):
    """Where scored requests and their labels are kept; repeated appends count once."""

    kind: ClassVar[str] = "scoring_log"

    @abstractmethod
    def append(self, rows: Iterable[ScoredRow]) -> int:
        """Keep rows durably; a request id that is there already is left as it is.

        Answers how many were new.
        """

    @abstractmethod
    def label(self, labels: Iterable[Label]) -> int:
        """Keep labels durably; the latest by its own time wins. Answers how many changed."""

    @abstractmethod
    def grouped(self, which: Slice) -> Grouped:
        """Give counts per distinct score, never rows."""

    @abstractmethod
    def counts(self, which: Slice) -> tuple[int, int]:
        """Give the number of rows and of labelled rows in the slice."""

    @abstractmethod
    def rows(self, which: Slice, *, labelled: bool = False) -> Iterator[Sequence[object]]:
        """Stream (request_id, at, score, inputs, event or None), by time then request id."""

    def scores(self, which: Slice) -> Iterator[tuple[float | None, int]]:
        """Give (score, rows) per distinct finite score, ascending, whether labelled or not.

        Rows without a finite score come last, as (None, rows), if there are any.
        """
        counted = Counter(_finite(row[2]) for row in self.rows(which))
        unusable = counted.pop(None, 0)
        yield from sorted((score, rows) for score, rows in counted.items() if score is not None)
        if unusable:
            yield None, unusable

    def latencies(self, which: Slice) -> Iterator[float]:
        """Give how many milliseconds each row took, in any order; rows that tell none are left out.

        A log that cannot tell raises `Hopeless`.
        """
        raise Hopeless(f"{self.use} does not tell how long requests took")

    def newest(self, which: Slice) -> datetime | None:
        """Give the time of the newest row in the slice; None if there is none."""
        last = next(iter(deque(self.rows(which), maxlen=1)), None)
        return last[1] if last and isinstance(last[1], datetime) else None

    def newest_label(self, which: Slice) -> datetime | None:
        """Give the latest time of the labels of rows in the slice; None if there is none."""
        raise Hopeless(f"{self.use} does not tell when labels came")

    def outcomes(self, outcomes: Iterable[Outcome]) -> int:
        """Keep true values durably; the latest by its own time wins. Answers how many changed."""
        raise Hopeless(f"{self.use} keeps no true values, only labels")

    def valued(self, which: Slice) -> Iterator[tuple[float | None, float | None]]:
        """Stream (score, true value or None) of all rows; a score that is not finite is None."""
        raise Hopeless(f"{self.use} keeps no true values, only labels")

    def valued_rows(self, which: Slice) -> Iterator[Sequence[object]]:
        """Stream (request_id, at, score, inputs, true value), by time then request id.

        Only rows with a true value come.
        """
        raise Hopeless(f"{self.use} keeps no true values, only labels")

    def foreign(self, request_ids: Sequence[str], service: str) -> list[str]:
        """Give those of the request ids that are known, but of other services alone.

        Who may label one service's requests is held to them by it.
        """
        raise Hopeless(f"{self.use} does not tell whose a request is")

    def looks(self, of: Compared, look: JsonObject | None = None) -> list[JsonObject]:
        """Give the looks that were taken at this log to compare two models, in their order.

        `look` is taken first, durably, as one more; its `data` names what is looked at, and the
        same data are no other look: they keep their first record. Looks are kept for good, for
        all runs and daemons. A log that keeps none gives no more than what it is given.
        """
        return [] if look is None else [look]

    def unknown(self) -> int | None:
        """Count the labels whose request is not known (yet); None if the log does not tell."""
        return None

    def tend(self, now: datetime) -> Tended:
        """Do what is due: remove what the log's settings keep no longer; harmless if repeated.

        The daemon calls it every hour.
        """
        return Tended()


def new_request_id() -> str:
    """Make a UUIDv7 (RFC 9562): 48 bits of milliseconds, then chance, so that ids sort by time."""
    value = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _finite(score: object) -> float | None:
    return float(score) if isinstance(score, int | float) and isfinite(score) else None
