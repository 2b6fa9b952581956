"""Steps in threads of the daemon: quick to begin, and with nothing to end one that hangs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

from waystage.daemon.calls import Answered, failed
from waystage.daemon.executors.base import Answer, Call

Perform: TypeAlias = Callable[[Call], Answered | None]
log = logging.getLogger("waystage.daemon")
MOST_LOST = 64  # threads that hang for ever; further ones keep their place


class Threads:
    """A number of threads; one that hangs past its timeout is left behind for a fresh one."""

    outlives = False

    def __init__(
        self,
        size: int,
        perform: Perform,
        answer: Answer,
        freed: Callable[[], None],
        *,
        name: str = "waystage-step",
    ) -> None:
        self._size, self._perform, self._answer = size, perform, answer
        self._freed, self._name = freed, name
        self._queue: SimpleQueue[Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._busy = self._threads = 0
        self._at_work: set[Call] = set()
        self._lost: set[Call] = set()

    def start(self) -> None:
        """Nothing takes a while."""

    def free(self) -> int:
        """Say how many calls more may begin now."""
        return self._size - self._busy

    def begin(self, call: Call) -> None:
        """Hand the call to a thread, a new one if all are at work."""
        with self._lock:
            self._busy += 1
            fresh = self._threads < self._busy
            self._threads += fresh
        if fresh:
            name = f"{self._name}-{self._threads}"
            threading.Thread(target=self._loop, name=name, daemon=True).start()
        self._queue.put(call)

    def give_up(self, call: Call) -> None:
        """Tell the plugin; a thread cannot be ended, so its place goes to another one."""
        call.ctx.cancel()
        call.given_up.set()
        with self._lock:
            if call not in self._at_work or len(self._lost) >= MOST_LOST:
                return
            self._lost.add(call)
            self._busy, self._threads = self._busy - 1, self._threads - 1
            lost = len(self._lost)
        log.warning(
            "%s of %s does not end; its thread is left behind (%d so far): `isolate` it, "
            "so that it can be killed", call.claim.order["use"], call.ctx.run, lost,
        )  # fmt: skip
        self._freed()

    def settled(self, call: Call) -> None:
        """Nothing is kept of a call."""

    def stop(self) -> None:
        """Let idle threads end."""
        with self._lock:
            for _ in range(self._threads):
                self._queue.put(None)

    def _loop(self) -> None:
        while (call := self._queue.get()) is not None:
            with self._lock:
                self._at_work.add(call)
            call.running = True
            answered = self._safely(call)
            with self._lock:
                self._at_work.discard(call)
                lost = call in self._lost
                self._lost.discard(call)
                self._busy -= not lost
            self._freed()
            if answered is not None:
                self._answer(call, answered)
            if lost:
                return  # another thread has its place

    def _safely(self, call: Call) -> Answered | None:
        try:
            return self._perform(call)
        except Exception as error:  # ours, not the plugin's
            log.exception("a call failed")
            return failed(call.claim, f"{type(error).__name__}: {error}")
