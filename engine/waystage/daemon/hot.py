"""Runs that are in motion, held between batches; a run that waits is a row and nothing else."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from waystage.kernel import Run

CAPACITY = 4096


@dataclass(slots=True)
class HotRun:
    """A run with its row number, the hash of its newest history row, and since when it is there.

    `places` are those that its row tells, joined by commas, since the instant `since` (µs).
    """

    no: int
    run: Run
    head: bytes
    places: str = ""
    since: int = 0

    def copy(self) -> HotRun:
        """Give one that changes by itself; `dataclasses.replace` takes four times as long."""
        return HotRun(self.no, self.run, self.head, self.places, self.since)


class HotRuns:
    """The most recently moved runs."""

    def __init__(self) -> None:
        self._runs: OrderedDict[int, HotRun] = OrderedDict()

    def get(self, no: int) -> HotRun | None:
        """Give a run if it is held."""
        return self._runs.get(no)

    def put(self, hot: HotRun) -> None:
        """Hold a run that was just committed; one that ended or rests is let go in time."""
        self._runs[hot.no] = hot
        self._runs.move_to_end(hot.no)
        if len(self._runs) > CAPACITY:
            self._runs.popitem(last=False)

    def drop(self, no: int) -> None:
        """Forget a run, so that it is read anew."""
        self._runs.pop(no, None)
