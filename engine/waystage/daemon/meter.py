"""What the daemon counts about itself: calls of steps, and commits."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waystage.daemon.calls import Answered
    from waystage.daemon.context import StepContext
    from waystage.kernel import Run
    from waystage.store.rows import Claim

STAYS = (1.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0, 259200.0, 604800.0, 2592000.0, 7776000.0)
BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 1800.0)  # seconds
Tell = Callable[["Claim", "StepContext", str, int, int], None]

# run and key of the step that this thread calls, for its lines in the log
CALLING: ContextVar[tuple[str, str] | None] = ContextVar("waystage-calling", default=None)


def about(run: str) -> dict[str, str]:
    """Give what a line of the log says besides its words (`extra`): the run that it is about."""
    return {"run": run} if run else {}


@dataclass(slots=True)
class Histogram:
    """How many observations fell into which bucket, the last one being all beyond."""

    edges: tuple[float, ...] = BUCKETS
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        """Begin with nothing observed."""
        self.counts = self.counts or [0] * (len(self.edges) + 1)

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.edges, seconds)] += 1
        self.total += seconds

    def copy(self) -> Histogram:
        """Give one that does not change any more."""
        return Histogram(self.edges, list(self.counts), self.total)


@dataclass(frozen=True, slots=True)
class Counted:
    """All figures at one moment: by plugin and answer, by lifecycle and state, and for commits."""

    calls: dict[tuple[str, str], Histogram]
    stays: dict[tuple[str, str], Histogram]
    commits: Histogram
    events: int


class Meter:
    """The figures of one daemon since it began.

    For traces, `tell` hears of each call, and `ended` of each run that ended.
    """

    def __init__(self) -> None:
        self.tell: Tell | None = None
        self.ended: Callable[[Run], None] | None = None
        self._lock = threading.Lock()
        self._calls: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        self._stays: dict[tuple[str, str], Histogram] = {}
        self._commits, self._events = Histogram(), 0

    def call(self, claim: Claim, ctx: StepContext, calling: Callable[[], Answered]) -> Answered:
        """Call, and count how long it took and what it came to."""
        began, start = time.time_ns(), time.perf_counter()
        known = CALLING.set((ctx.run, ctx.key))
        try:
            answered = calling()
        finally:
            CALLING.reset(known)
        seconds, answer = time.perf_counter() - start, said(answered)
        with self._lock:
            self._calls[claim.order["use"], answer].observe(seconds)
        if self.tell is not None:
            self.tell(claim, ctx, answer, began, began + int(seconds * 1e9))
        return answered

    def committed(self, events: int, seconds: float) -> None:
        """Count a commit with that many history rows."""
        with self._lock:
            self._commits.observe(seconds)
            self._events += events

    def moved(self, left: Sequence[tuple[str, str, float]]) -> None:
        """Count how many seconds runs of a lifecycle were in the states that they left."""
        with self._lock:
            for lifecycle, places, seconds in left:
                found = self._stays.get((lifecycle, places))
                if found is None:
                    found = self._stays[lifecycle, places] = Histogram(STAYS)
                found.observe(seconds)

    def counted(self) -> Counted:
        """Give the figures as they are now."""
        with self._lock:
            calls = {key: each.copy() for key, each in self._calls.items()}
            stays = {key: each.copy() for key, each in self._stays.items()}
            return Counted(calls, stays, self._commits.copy(), self._events)


def said(answered: Any) -> str:
    """Name what a call came to: done, refused, failed, uncertain, waiting or lost."""
    if answered is None or (answered.event is None and answered.again is None):
        return "lost"  # nobody waits for it any more, or nobody knows it
    event = answered.event
    return "waiting" if event is None else str(event.kind).partition(".")[2]
