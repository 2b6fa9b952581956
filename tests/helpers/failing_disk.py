"""Send events to an engine whose disk fails now and then; tell what was said and what is true.

    python failing_disk.py DIRECTORY EVENTS HOW

HOW is `fill` (fill the file system of the directory to its last byte), `limit` (let no file
grow) or `none` (who started this makes the disk fail). Every third event finds a disk that
fails; at the others it begins to fail while a step is being called, until that was noticed.
Writes one JSON line.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from planted import plant

from waystage.clock import SystemClock
from waystage.daemon import engine as engine_module
from waystage.daemon.auditing import Audit
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.opening import Opening
from waystage.errors import Unavailable
from waystage.kernel import compile_lifecycle, events
from waystage.plugin import Done, Step
from waystage.spec.load import parse_lifecycle
from waystage.store import Store
from waystage.store.audit import unmoved

TEXT = """
lifecycle: ticking
services: [s]
initial: rest
states:
  rest: {signals: [tick], next: {tick: work}}
  work: {steps: [{use: fault.act}], next: rest}
"""
SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64}
NO_LIMIT = resource.getrlimit(resource.RLIMIT_FSIZE)


class Disk:
    """Fails as long as it is told to."""

    def __init__(self, place: Path, how: str) -> None:
        self._place, self._how = place, how

    def fail(self) -> None:
        """Let nothing grow any more."""
        if self._how == "limit":
            size = (self._place / "waystage.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, NO_LIMIT[1]))
        if self._how == "fill":
            with (self._place / "filler").open("wb", buffering=0) as file:
                room = os.statvfs(self._place)
                os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)

    def mend(self) -> None:
        """Have room again."""
        if self._how == "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, NO_LIMIT)
        (self._place / "filler").unlink(missing_ok=True)


class Act(Step):
    """Note that it was called; the disk may begin to fail meanwhile.

    - use: fault.act
    """

    use: ClassVar[str] = "fault.act"
    refuses: ClassVar[bool] = False
    calls: ClassVar[list[str]] = []
    disk: ClassVar[Any] = None

    def run(self, ctx: Any) -> Done:
        self.calls.append(ctx.key)
        if self.disk is not None:
            self.disk.fail()
        return Done({"text": "x" * 20_000})  # more than what is left in a page


class World:
    """What the engine needs of a project's connections."""

    clock = SystemClock()


class Told:
    """What was said of each event, and what reading gave."""

    def __init__(self, place: Path, how: str) -> None:
        self.disk, self.how = Disk(place, how), how
        self.store = Store(f"sqlite:///{place / 'waystage.db'}")
        loaded = parse_lifecycle(TEXT)
        self.definition = compile_lifecycle(loaded.spec, loaded.digest)
        self.definitions = Definitions(self.store)
        self.engine = Engine(
            self.store, self.definitions, {Act.use: Act}, SystemClock(), connections=World()
        )
        self.acknowledged: list[int] = []
        self.refused: list[int] = []
        self.faults = 0

    def send(self, run: str, number: int) -> None:
        """Send one event, and see to it that what it ordered has come back."""
        row = self.store.run(run)  # reading goes on, whatever the disk does
        assert row is not None
        signal = events.signal("tick", {"number": number, "text": "x" * 20_000})
        before = number % 3 == 0
        Act.disk = None if before or self.how == "none" else self.disk
        if before:
            self.disk.fail()
        try:
            self.engine.submit(row.no, signal).result(timeout=300)
            self.acknowledged.append(number)
        except Unavailable as error:
            if "nothing was changed" not in str(error):
                raise
            self.refused.append(number)
        if before:
            self.disk.mend()
        self._settle(run)

    def _settle(self, run: str) -> None:
        end = time.monotonic() + 180
        while (row := self.store.run(run)) is None or row.places != ("rest",):
            if self.engine.fault:
                self.faults += 1
                self.disk.mend()
            assert self.engine.failure is None, self.engine.failure
            assert time.monotonic() < end, f"it does not go on by itself: {row}"
            time.sleep(0.005)
        self.disk.mend()

    def what_holds(self, run: str) -> dict[str, Any]:
        """Tell what is in the database."""
        history = self.store.history(run, limit=100_000)
        kept = [row.event["data"]["number"] for row in history
                if row.event["kind"] == "signal"]  # fmt: skip
        with unmoved(self.store.engine) as connection:
            findings = [str(f) for f in Audit(connection, self.definitions).findings()]
        return {"acknowledged": self.acknowledged, "refused": self.refused, "kept": kept,
                "calls": Act.calls, "faults": self.faults, "findings": findings}  # fmt: skip


def main(place: str, count: str, how: str) -> None:
    """Send the events and tell."""
    engine_module.RETRY_SECONDS = 0.02  # it looks again sooner, so that more can be tried
    told = Told(Path(place), how)
    told.engine.start()
    opening = Opening(told.definition, "s", SNAPSHOT, "only", "me")
    run = told.engine.open(opening).result(timeout=300)
    plant()
    for number in range(int(count)):
        told.send(run, number)
    print(json.dumps(told.what_holds(run)))
    sys.stdout.flush()
    os._exit(0)  # a disk that fails while it is closed is another matter


if __name__ == "__main__":
    main(*sys.argv[1:4])
