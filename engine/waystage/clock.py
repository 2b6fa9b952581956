"""Clocks: the system's, one that a person turns, and one for tests that turns by hand.

A turned clock keeps how far it is ahead in a small JSON file, so that the daemon and the
serving processes that it starts agree on the time, also after a restart.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

CLOCK_FILE_VARIABLE = "WAYSTAGE_CLOCK"


class Clock(Protocol):
    """Tells the time that lifecycles live by."""

    def now(self) -> datetime:
        """Answer the present instant in UTC."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class TurnedClock:
    """The machine's clock plus an offset that `turn` enlarges and a file keeps."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = -1
        self._offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._read()

    def turn(self, by: timedelta) -> datetime:
        """Turn the clock forward; a clock is never turned back."""
        if by < timedelta():
            raise ValueError("a clock is only turned forward")
        offset = self._read() + by
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps({"ahead_seconds": offset.total_seconds()}))
        beside.replace(self._path)
        return self.now()

    def _read(self) -> timedelta:
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return timedelta()
        if changed != self._seen:
            ahead = json.loads(self._path.read_text())["ahead_seconds"]
            self._offset, self._seen = timedelta(seconds=ahead), changed
        return self._offset


class HandClock:
    """A clock that stands still until a test turns it."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def turn(self, by: timedelta) -> datetime:
        self._now += by
        return self._now


def clock_from_environment() -> Clock:
    """Give the turned clock that the variable names, or the machine's own."""
    path = os.environ.get(CLOCK_FILE_VARIABLE)
    return TurnedClock(Path(path)) if path else SystemClock()


def wall_seconds() -> float:
    """Seconds since 1970 by the machine's clock: what leases are measured in.

    Leases protect against processes that hang, so turning the lifecycle's clock must not
    end them.
    """
    return time.time()
