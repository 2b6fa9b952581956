"""An engine on a database without a project: lifecycles from texts, plugins from the test."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from waystage.clock import Clock, SystemClock
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.opening import Opening
from waystage.kernel import Definition, Event, compile_lifecycle
from waystage.plugin import Plugin
from waystage.spec.execution import Execution
from waystage.spec.load import parse_lifecycle
from waystage.store import Store

SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64, "author": "dana"}


class BareEngine:
    """An engine with its store; `stop` and a new one on the same URL are a restart."""

    def __init__(
        self,
        url: str,
        catalog: Mapping[str, type[Plugin]] | None = None,
        clock: Clock | None = None,
        *,
        lease: float = 60.0,
        threads: int = 8,
    ) -> None:
        self.clock = clock or SystemClock()
        self.store = Store(url)
        self.definitions = Definitions(self.store)
        self.engine = Engine(
            self.store, self.definitions, catalog or {}, self.clock, connections=self,
            lease=lease, execution=Execution(threads=threads),
        )  # fmt: skip
        self.engine.start()

    def stop(self) -> None:
        """End the engine and let go of the database."""
        self.engine.stop()
        self.store.close()

    def lifecycle(self, text: str) -> Definition:
        """Take a lifecycle in."""
        loaded = parse_lifecycle(text)
        found = compile_lifecycle(loaded.spec, loaded.digest)
        self.definitions._compiled[found.hash] = found
        return found

    def asked(self, definition: Definition, key: str, **params: Any) -> Future[str]:
        """Ask for a run."""
        opening = Opening(definition, "s", SNAPSHOT, key, "dana", params)
        return self.engine.open(opening)

    def open(self, definition: Definition, key: str = "k", **params: Any) -> str:
        """Open a run and give its id."""
        return self.asked(definition, key, **params).result(timeout=300)

    def send(self, run: str, event: Event) -> None:
        """Deliver an event to a run."""
        row = self.store.run(run)
        assert row is not None
        self.engine.submit(row.no, event).result(timeout=300)

    def until(self, holds: Callable[[], Any], seconds: float = 60, pause: float = 0.005) -> None:
        """Wait until it holds."""
        end = time.monotonic() + seconds
        while not holds():
            assert self.engine.failure is None, self.engine.failure
            assert time.monotonic() < end, "nothing happens any more"
            time.sleep(pause)

    def said(self, run: str) -> list[str]:
        """Give what the history says of a run."""
        return [" ".join(r) for row in self.store.history(run) for r in row.records]
