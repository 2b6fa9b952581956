"""Delivering the journal to the daemon: in order, at least once, however often either crashes."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable
from pathlib import Path

from waystage.client import Row, Sender
from waystage.client.sender import send_all
from waystage.errors import Busy, Forbidden, Unavailable
from waystage.sidecar.journal import Journal
from waystage.sidecar.rows import About, Exchange, rows_of
from waystage.sidecar.tally import Tally

log = logging.getLogger("waystage.sidecar")
RECORDS, SIZE = 500, 4 << 20  # of one turn
LOOK_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0
REFUSED, REFUSED_AT_MOST = "refused.jsonl", 16 << 20


class Delivery:
    """A thread that brings what is in the journal to the daemon."""

    def __init__(
        self, journal: Journal, sender: Callable[[], Sender], about: About, tally: Tally,
        folder: Path,
    ) -> None:  # fmt: skip
        self._journal, self._make, self._about, self._tally = journal, sender, about, tally
        self._refusals = folder / REFUSED
        self._ending = threading.Event()
        self._sender: Sender | None = None
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)

    def start(self) -> None:
        """Begin with what earlier processes left."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Deliver what can be delivered in this time; the rest stays in the journal."""
        self._ending.set()
        self._journal.wake()
        self._thread.join(timeout=seconds)

    def _work(self) -> None:
        failures = 0
        while True:
            try:
                more = self._turn()
                failures, self._tally.trouble = 0, ""
            except Exception as error:  # noqa: BLE001  # whatever it is, the journal keeps the rows
                failures += 1
                self._say(error)
                if self._ending.is_set():
                    return
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
                self._ending.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311  # spreads senders
                continue
            if self._ending.is_set() and not more:
                return

    def _turn(self) -> bool:
        """Deliver some; False when nothing waits."""
        wait = 0.0 if self._ending.is_set() else LOOK_SECONDS
        records = self._journal.next(RECORDS, SIZE, wait)
        if not records:
            return False
        rows = [
            row for each in records for row in rows_of(Exchange.decode(each.content), self._about)
        ]
        if self._sender is None:
            self._sender = self._make()
        send_all(self._sender, "scores", rows, self._refused)
        self._journal.delivered(records[-1].after)
        self._tally.count("delivered", len(rows))
        return True

    def _say(self, error: Exception) -> None:
        self._tally.count("failures")
        if isinstance(error, Forbidden) and self._sender is not None:
            self._sender.close()
            self._sender = None  # the token's file may hold another one now
        told = str(error)
        if told != self._tally.trouble:
            known = isinstance(error, Busy | Unavailable | Forbidden)
            log.warning("rows wait in the journal: %s", told, exc_info=None if known else error)
        self._tally.trouble = told

    def _refused(self, row: Row, why: str) -> None:
        count = self._tally.count("refused")
        log.error("request %s is refused by the daemon, %s so far: %s", row.get("request_id"),
                  count, why)  # fmt: skip
        try:
            room = REFUSED_AT_MOST - (
                self._refusals.stat().st_size if self._refusals.exists() else 0
            )
            line = json.dumps({"why": why, "row": row}) + "\n"
            if len(line) <= room:
                with self._refusals.open("a") as file:
                    file.write(line)
        except (OSError, ValueError) as error:
            log.error("%s cannot be written: %s", self._refusals, error)
