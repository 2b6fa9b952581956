"""Copies of the champion's requests, scored by the challenger where nobody waits for it."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from waystage.errors import WaystageError
from waystage_plugins.runtimes.serving.hand import MOST_ENDS, Hand
from waystage_plugins.runtimes.serving.models import Table, Version
from waystage_plugins.runtimes.serving.scores import Recorder, scored_rows
from waystage_plugins.runtimes.tensors import BadRows

# what waits at most; more is dropped, so that neither memory nor answers suffer
WAITING, WAITING_ROWS, WAITING_BYTES = 2000, 20_000, 64 << 20
VALUE_BYTES = 64  # that a value of a row takes in Python, about, with its place in the row
NICE = 10  # the copies' thread lets those go first that somebody waits for


@dataclass(frozen=True)
class Copy:
    """A request that the champion answered: who scores it, and what reading it took, in ms."""

    table: Table
    version: Version
    deployment: str
    ids: list[str]
    rows: list[dict[str, Any]]
    read_ms: float

    @property
    def size(self) -> int:
        """Say how many bytes of memory it takes, about."""
        texts = sum(len(v) for row in self.rows for v in row.values() if isinstance(v, str))
        return texts + VALUE_BYTES * sum(map(len, self.rows))


class Mirror:
    """Scores copies one after the other, and keeps what came of them as the challenger's."""

    def __init__(self, recorder: Recorder, hand: Hand) -> None:
        self._recorder, self._hand = recorder, hand
        self._waiting: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        self._lock = threading.Lock()  # of the counts
        self._copies, self._rows, self._bytes = 0, 0, 0  # that wait or are being scored
        self._copied, self._dropped = 0, 0
        threading.Thread(target=self._work, name="mirror", daemon=True).start()

    def offer(
        self, table: Table, name: str, ids: list[str], rows: list[dict[str, Any]], read_ms: float
    ) -> None:
        """Take a copy of the request `name` if it is to be copied; never waits."""
        found = table.mirrored
        if found is None or zlib.crc32(name.encode()) % 100 >= found[1].mirror:
            return
        version, entry = found
        copy = Copy(table, version, entry.deployment, ids, rows, read_ms)
        if self._has_room(copy):
            self._waiting.put(copy)

    def seen(self) -> dict[str, int]:
        """Give how many requests were copied, wait or are being scored, and were dropped."""
        with self._lock:
            return {"copied": self._copied, "waiting": self._copies, "dropped": self._dropped}

    def close(self) -> None:
        """Note that the process is about to end because it was told to."""
        self._hand.close()

    def _has_room(self, copy: Copy) -> bool:
        """Take up the room that a copy needs; one that finds none is dropped."""
        rows, size = len(copy.rows), copy.size
        refused = self._hand.ends(copy.deployment) >= MOST_ENDS
        with self._lock:
            if (
                refused or self._copies >= WAITING or self._rows + rows > WAITING_ROWS
                or self._bytes + size > WAITING_BYTES
            ):  # fmt: skip
                self._dropped += 1
                return False
            self._copies, self._rows, self._bytes = (
                self._copies + 1, self._rows + rows, self._bytes + size
            )  # fmt: skip
        return True

    def _is_done(self, copy: Copy, *, kept: bool) -> None:
        rows, size = len(copy.rows), copy.size  # while nobody waits for the lock
        with self._lock:
            self._copies, self._rows, self._bytes = (
                self._copies - 1, self._rows - rows, self._bytes - size
            )  # fmt: skip
            self._copied, self._dropped = self._copied + kept, self._dropped + (not kept)

    def _work(self) -> None:
        with suppress(OSError):  # of this thread alone, where the system has such a thing
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            copy, kept = self._waiting.get(), False
            try:
                self._keep(copy)
                kept = True
            except Exception as error:  # noqa: BLE001  # whatever it is, the champion goes on
                print(f"a copy for version {copy.version.number}: {error!r}", file=sys.stderr,
                      flush=True)  # fmt: skip
            self._is_done(copy, kept=kept)
            del copy  # nothing is held while it waits for the next

    def _keep(self, copy: Copy) -> None:
        config, model = copy.table.config, copy.version.model
        if config.scoring_log is None or model is None:
            return
        began, columns = time.perf_counter(), set(model.columns)
        rows = [{name: row[name] for name in row if name in columns} for row in copy.rows]
        scores: list[float | None]
        try:
            with self._hand.holding(copy.deployment):
                scores = list(model.score(rows))
        except (BadRows, WaystageError):
            scores = [None] * len(rows)  # the champion could answer it, the challenger cannot
        took = copy.read_ms + (time.perf_counter() - began) * 1000
        self._recorder.record(config.scoring_log, scored_rows(
            copy.ids, rows, scores, at=self._recorder.clock.now(), service=config.model,
            stage=config.stage, snapshot=copy.version.snapshot.id, role="challenger",
            latency_ms=took / len(rows),
        ))  # fmt: skip
