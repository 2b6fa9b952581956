"""A plugin that counts how many of its calls are at work at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any, ClassVar

from waystage.plugin import Done, Step, Waiting


class Counted:
    """How many calls are at work, and were at most, by service; what holds them all."""

    def __init__(self) -> None:
        self.lock, self.now, self.most = threading.Lock(), Counter[str](), Counter[str]()
        self.let_go = threading.Event()

    def begin(self, name: str) -> None:
        with self.lock:
            self.now[name] += 1
            self.most[name] = max(self.most[name], self.now[name])

    def end(self, name: str) -> None:
        with self.lock:
            self.now[name] -= 1


COUNTED = Counted()


class Busy(Step):
    """Be at work for a moment, over several calls if `waits`, or until the test lets go.

    - use: hostile.busy
    """

    use: ClassVar[str] = "hostile.busy"
    refuses: ClassVar[bool] = False
    waits: int = 0
    held: bool = False

    def run(self, ctx: Any) -> Any:
        count = int(ctx.memo.get("count", 0))
        names = ("all", ctx.service, ctx.stage or "")
        if not count:
            for name in names:
                COUNTED.begin(name)
        if self.held:
            COUNTED.let_go.wait(60)
        time.sleep(0.05)
        if count < self.waits:
            return Waiting(timedelta(milliseconds=20), {"count": count + 1})
        for name in names:
            COUNTED.end(name)
        return Done()
