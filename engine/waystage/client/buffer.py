"""A buffer in front of the daemon: the program that scores goes on, and nothing is dropped unsaid.

What is in the buffer is lost with the process; who needs it kept over crashes runs
`waystage sidecar`, which has a journal on disk.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from waystage.client.sender import Row, Sender, send_all
from waystage.errors import Busy, Forbidden, Unavailable, WaystageError
from waystage.plugin import new_request_id

log = logging.getLogger("waystage.client")
LONGEST_WAIT = 30.0


class BufferFull(WaystageError):
    """The buffer is full, as the daemon does not take what is in it; this row was not taken."""

    code = "E-BUFFER-FULL"


class ScoringClient:
    """Sends scores and labels in batches from a thread of its own, again until they are taken.

    Scores are sent in their order and labels in theirs, and what is told of one request in the
    order in which it was told. A score may be sent before labels of other requests.

    `most` rows wait at the most; `score` and `label` wait up to `patience` seconds for room
    and then raise `BufferFull`. `refused` is called with each row that the daemon refuses for
    good, and why; without it the log says so.
    """

    def __init__(
        self, url: str, token: str, *, service: str, stage: str, role: str = "champion",
        most: int = 10_000, together: int = 500, patience: float = 0.0, ca: str | None = None,
        refused: Callable[[Row, str], None] | None = None,
    ) -> None:  # fmt: skip
        self._about = {"service": service, "stage": stage, "role": role}
        self._sender = Sender(url, token, ca=ca)
        self._most, self._together, self._patience = most, together, patience
        self._refused = refused or _say_refused
        self._waiting: deque[tuple[str, Row]] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="scoring client", daemon=True)
        self._thread.start()

    def __enter__(self) -> ScoringClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """How many rows and labels the daemon has not taken yet."""
        return len(self._waiting)

    def score(
        self, score: float | None, inputs: Mapping[str, Any], *, snapshot: str,
        request_id: str = "", at: datetime | None = None, latency_ms: float | None = None,
    ) -> str:  # fmt: skip
        """Take one scored request and give its id: a new UUIDv7 unless it has one."""
        name = request_id or new_request_id()
        row = self._about | {
            "request_id": name, "score": score, "inputs": dict(inputs), "snapshot": snapshot,
            "at": (at or datetime.now(UTC)).isoformat(), "latency_ms": latency_ms,
        }  # fmt: skip
        self._take("scores", row)
        return name

    def label(self, request_id: str, event: int, at: datetime | None = None) -> None:
        """Take what became of a request: 1 the event, 0 not."""
        told = (at or datetime.now(UTC)).isoformat()
        self._take("labels", {"request_id": request_id, "event": event, "at": told})

    def true_value(self, request_id: str, value: float, at: datetime | None = None) -> None:
        """Take what the number that a regression predicted turned out to be."""
        told = (at or datetime.now(UTC)).isoformat()
        self._take("labels", {"request_id": request_id, "value": value, "at": told})

    def flush(self, seconds: float = 30.0) -> bool:
        """Wait until all that was taken is with the daemon; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout=seconds)

    def close(self, seconds: float = 30.0) -> None:
        """Send what waits and end; raises `Unavailable` if the daemon did not take all of it."""
        done = self.flush(seconds)
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(timeout=seconds)
        self._sender.close()
        if not done:
            raise Unavailable(f"{self.waiting} rows and labels were not taken by the daemon")

    def _take(self, kind: str, row: Row) -> None:
        with self._changed:
            room = self._changed.wait_for(
                lambda: len(self._waiting) < self._most, timeout=self._patience
            )
            if not room:
                raise BufferFull(
                    f"{len(self._waiting)} rows wait for the daemon, as many as may; "
                    "this one was not taken"
                )
            self._waiting.append((kind, row))
            self._changed.notify_all()

    def _work(self) -> None:
        failures = 0
        while batch := self._next():
            kind = batch[min(batch)][0]
            try:
                rows = [row for _, row in batch.values()]
                send_all(self._sender, kind, rows, self._refused)
            except (Busy, Unavailable, Forbidden) as error:
                failures += 1
                log.warning("%s rows and labels wait: %s", self.waiting, error)
                self._pause(min(LONGEST_WAIT, 0.2 * 2.0 ** min(failures, 10)))
                continue
            failures = 0
            with self._changed:
                self._drop(batch)
                self._changed.notify_all()

    def _next(self) -> dict[int, tuple[str, Row]]:
        """Give rows of one kind by their place among those that wait; nothing when it ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            if self._ending:
                return {}
            return sent_together(self._waiting, self._together)

    def _drop(self, batch: Mapping[int, object]) -> None:
        """Forget what was taken; what came meanwhile stands behind it."""
        if max(batch) + 1 == len(batch):
            for _ in batch:
                self._waiting.popleft()
            return
        kept = [each for place, each in enumerate(self._waiting) if place not in batch]
        self._waiting = deque(kept)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds * random.uniform(0.5, 1.0)  # noqa: S311  # spreads senders, keeps no secret
        with self._changed:
            self._changed.wait_for(lambda: self._ending, timeout=end - time.monotonic())


def sent_together(waiting: Iterable[tuple[str, Row]], most: int) -> dict[int, tuple[str, Row]]:
    """Give the oldest row and those of its kind that may be sent with it, by their places.

    Rows of the other kind are passed over, up to the first row whose request one of them names.
    """
    batch: dict[int, tuple[str, Row]] = {}
    passed: set[object] = set()
    kind = ""
    for place, each in enumerate(waiting):
        kind = kind or each[0]
        request = each[1].get("request_id")
        if each[0] != kind:
            passed.add(request)
        elif request in passed:
            break
        else:
            batch[place] = each
        if len(batch) >= most:
            break
    return batch


def _say_refused(row: Row, why: str) -> None:
    log.error("request %s was refused and is not in the log: %s", row.get("request_id"), why)
