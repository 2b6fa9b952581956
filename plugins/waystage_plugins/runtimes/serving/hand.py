"""What the mirror has in hand, on disk: a challenger that ends the process does so three times."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from waystage_plugins.runtimes.files import read_json

HAND = "mirror.json"
MOST_ENDS = 3  # as requests of Kafka that end their scorer


class Hand:
    """Notes which deployment's copy is being scored, and how often the process ended by that.

    The champion answers in the same process. Two small writes for each copy; nothing waits for
    the disk, since a process that dies leaves what it wrote to the system. A file that cannot be
    read counts as nothing in hand.
    """

    def __init__(self, file: Path) -> None:
        told = read_json(file)
        self._path, self._file, self._length = file, -1, 0
        self._lock, self._closed = threading.Lock(), False
        self._ends = _counts(told.get("ends"))
        if (held := told.get("hand")) and isinstance(held, str):
            self._ends[held] = self._ends.get(held, 0) + 1
            with suppress(OSError):  # a full disk must not keep the champion from answering
                self._write("")

    def ends(self, deployment: str) -> int:
        """Count how often the process ended while it scored a copy for this deployment."""
        return self._ends.get(deployment, 0)

    @contextmanager
    def holding(self, deployment: str) -> Iterator[None]:
        """Have a copy in hand while it is scored."""
        with self._lock:
            if not self._closed:
                self._write(deployment)
        try:
            yield
        finally:
            with self._lock:
                if not self._closed:
                    self._write("")

    def close(self) -> None:
        """Have nothing in hand any more: an end that somebody asked for is nobody's fault."""
        with self._lock, suppress(OSError):
            self._closed = True
            if self._file >= 0:
                self._write("")

    def _write(self, deployment: str) -> None:
        if self._file < 0:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._length = os.fstat(self._file).st_size
        told = {"hand": deployment, "ends": self._ends}
        # as long as what was there: one call writes all of it, so no kill leaves half of both
        text = json.dumps(told).encode().ljust(self._length)
        self._length = len(text)
        os.pwrite(self._file, text, 0)


def ends_of(file: Path, deployment: str) -> int:
    """Count, from another process, how often it ended while it scored for this deployment."""
    return _counts(read_json(file).get("ends")).get(deployment, 0)


def _counts(told: Any) -> dict[str, int]:
    found = told.items() if isinstance(told, dict) else ()
    return {name: count for name, count in found if isinstance(count, int)}
