"""Copies of scoring requests for a challenger's server: nobody waits for them."""

from __future__ import annotations

import re
import threading
from collections import deque
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

from waystage.sidecar.tally import Tally

COPIES, SIZE = 2000, 64 << 20  # that may wait; what finds no room is dropped and counted
ONE_OF_SEVERAL = re.compile(r"/(versions/[0-9]+|labels/[^/:?]+)(?=:)")


class Copy(NamedTuple):
    """A request as it is sent on."""

    path: str
    headers: dict[str, str]
    body: bytes


class Copies:
    """Sends copies one after the other to the address of a challenger's sidecar."""

    def __init__(self, target: tuple[str, int], *, seconds: float, tally: Tally) -> None:
        self._target, self._seconds, self._tally = target, seconds, tally
        self._waiting: deque[Copy] = deque()
        self._size, self._ended = 0, False
        self._guard = threading.Condition()
        self._line: HTTPConnection | None = None
        self._thread = threading.Thread(target=self._work, name="copies", daemon=True)
        self._thread.start()

    def offer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Take a copy, for whatever version or label the request asked; never waits."""
        copy = Copy(ONE_OF_SEVERAL.sub("", path), headers, body)
        with self._guard:
            if len(self._waiting) >= COPIES or self._size + len(body) > SIZE:
                self._tally.count("copies_dropped")
                return
            self._waiting.append(copy)
            self._size += len(body)
            self._guard.notify()

    def stop(self, seconds: float) -> None:
        """Send what can be sent in this time; the rest is dropped."""
        with self._guard:
            self._ended = True
            self._guard.notify()
        self._thread.join(seconds)

    def _work(self) -> None:
        while (copy := self._next()) is not None:
            answered = self._sent(copy)
            self._tally.count("copies" if answered else "copies_failed")
        self._hang_up()

    def _next(self) -> Copy | None:
        with self._guard:
            self._guard.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                return None
            copy = self._waiting.popleft()
            self._size -= len(copy.body)
            return copy

    def _sent(self, copy: Copy) -> bool:
        """Send it; a connection that the other side had closed is opened anew, once."""
        for fresh in (self._line is None, True):
            try:
                if self._line is None:
                    self._line = HTTPConnection(*self._target, timeout=self._seconds)
                self._line.request("POST", copy.path, copy.body, copy.headers)
                answer = self._line.getresponse()
                answer.read()
                return answer.status == 200
            except (OSError, HTTPException, ValueError):
                self._hang_up()
                if fresh:
                    break
        return False

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
