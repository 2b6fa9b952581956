"""What the benchmarks of waiting runs share: an engine on a file, and a lifecycle that waits."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ours_w1 import SNAPSHOT, Echo
from sqlalchemy import text

from waystage.clock import Clock, SystemClock
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.opening import Opening
from waystage.kernel import Definition
from waystage.spec.load import load_project
from waystage.store import Store

PROJECT = "project: bench\ndatabase: sqlite:///bench.db\n"
WAITING = """\
lifecycle: waiting
services: [bench]
initial: wait
states:
  wait:
    timers: {day: {after: P1D}}
    signals: [go, again]
    next: {day: closed, go: closed, again: wait}
  closed: {final: true}
"""
AT_ONCE = 2000


@contextmanager
def engine_on(place: Path, clock: Clock | None = None) -> Iterator[tuple[Engine, Definition]]:
    """Give an engine at work on the file in the place, and the lifecycle that waits."""
    (place / "lifecycles").mkdir(parents=True, exist_ok=True)
    (place / "waystage.yaml").write_text(PROJECT)
    (place / "lifecycles" / "waiting.yaml").write_text(WAITING)
    store = Store(f"sqlite:///{place / 'bench.db'}")
    definitions = Definitions(store)
    definitions.present(load_project(place))
    engine = Engine(store, definitions, {Echo.use: Echo}, clock or SystemClock())
    engine.start()
    try:
        yield engine, definitions.by_name("waiting")
    finally:
        engine.stop()
        store.close()


def fill(engine: Engine, definition: Definition, runs: int) -> None:
    """Open so many runs; each waits for a signal or for a day."""
    for begin in range(0, runs, AT_ONCE):
        numbers = range(begin, min(begin + AT_ONCE, runs))
        openings = [Opening(definition, "bench", SNAPSHOT, f"waiting|{n}", "me") for n in numbers]
        wait([engine.open(opening) for opening in openings])


def one(store: Store, query: str) -> Any:
    """Give the one value that a query finds."""
    with store.reading() as connection:
        return connection.execute(text(query)).scalar()


def resident_mb() -> float:
    """Give the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
