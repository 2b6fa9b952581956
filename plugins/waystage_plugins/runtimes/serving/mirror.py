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
from waystage_plugins.runtimes.serving.models import Table, Version
from waystage_plugins.runtimes.serving.scores import Recorder, scored_rows
from waystage_plugins.runtimes.tensors import BadRows

WAITING = 2000  # copies at most; more are dropped, so that neither memory nor answers suffer
NICE = 10  # the copies' thread lets those go first that somebody waits for


@dataclass(frozen=True)
class Copy:
    """A request that the champion answered: who scores it, and what reading it took, in ms."""

    table: Table
    version: Version
    ids: list[str]
    rows: list[dict[str, Any]]
    read_ms: float


class Mirror:
    """Scores copies one after the other, and keeps what came of them as the challenger's."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._waiting: queue.Queue[Copy] = queue.Queue(WAITING)
        self.copied, self.dropped = 0, 0
        threading.Thread(target=self._work, name="mirror", daemon=True).start()

    def offer(
        self, table: Table, name: str, ids: list[str], rows: list[dict[str, Any]], read_ms: float
    ) -> None:
        """Take a copy of the request `name` if it is to be copied; never waits."""
        version, percent = table.mirrored
        if version is None or zlib.crc32(name.encode()) % 100 >= percent:
            return
        try:
            self._waiting.put_nowait(Copy(table, version, ids, rows, read_ms))
        except queue.Full:
            self.dropped += 1

    def seen(self) -> dict[str, int]:
        """Give how many requests were copied, wait to be scored, and found no room."""
        return {
            "copied": self.copied, "waiting": self._waiting.qsize(), "dropped": self.dropped
        }  # fmt: skip

    def _work(self) -> None:
        with suppress(OSError):  # of this thread alone, where the system has such a thing
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            copy = self._waiting.get()
            try:
                self._keep(copy)
                self.copied += 1
            except Exception as error:  # noqa: BLE001  # whatever it is, the champion goes on
                self.dropped += 1
                print(f"a copy for version {copy.version.number}: {error!r}", file=sys.stderr,
                      flush=True)  # fmt: skip

    def _keep(self, copy: Copy) -> None:
        config, model = copy.table.config, copy.version.model
        if config.scoring_log is None or model is None:
            return
        began, columns = time.perf_counter(), set(model.columns)
        rows = [{name: row[name] for name in row if name in columns} for row in copy.rows]
        scores: list[float | None]
        try:
            scores = list(model.score(rows))
        except (BadRows, WaystageError):
            scores = [None] * len(rows)  # the champion could answer it, the challenger cannot
        took = copy.read_ms + (time.perf_counter() - began) * 1000
        self._recorder.record(config.scoring_log, scored_rows(
            copy.ids, rows, scores, at=self._recorder.clock.now(), service=config.model,
            stage=config.stage, snapshot=copy.version.snapshot.id, role="challenger",
            latency_ms=took / len(rows),
        ))  # fmt: skip
