"""Migrate one run while it waits, and see it to its end; started as a process of its own by tests.

python migrator.py DIRECTORY
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from waystage.clock import SystemClock
from waystage.daemon import migrating
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.opening import Opening
from waystage.kernel import Definition, compile_lifecycle
from waystage.planning.fit import fit_of
from waystage.spec.load import parse_lifecycle
from waystage.store import Store
from waystage.store.codec import micros

OLD = """
lifecycle: moved
services: [s]
initial: first
states:
  first: {timers: {far: {after: P9D}}, next: {far: end}}
  end: {final: true}
"""
NEW = """
lifecycle: moved
services: [s]
initial: second
states:
  second: {timers: {near: {after: PT0.05S}}, next: {near: end}}
  end: {final: true, outcome: moved}
"""
SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64}
DIRECTORY = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


class World:
    """What the engine needs of a project's connections."""

    clock = SystemClock()


def compiled(text: str) -> Definition:
    """Compile one of the texts."""
    loaded = parse_lifecycle(text)
    return compile_lifecycle(loaded.spec, loaded.digest)


def migrate(engine: Engine, new: Definition) -> None:
    """Move the run if it has not come there."""

    def act(tx: Any) -> None:
        tx.load([1])
        touched = tx.touched[1]
        fit = fit_of(touched.definition, new, touched.hot.run, {"first": "second"})
        if fit.migration is not None:
            tx.opened.keep(new, micros(tx.now))
            tx.deliver([migrating.Delivery(1, fit.migration.event("otto"))])

    engine.act(act).result(timeout=120)


def main() -> None:
    """Open the run, migrate it, or take it up where a crash left it, and see it to its end."""
    old, new = compiled(OLD), compiled(NEW)
    store = Store(f"sqlite:///{DIRECTORY / 'waystage.db'}")
    definitions = Definitions(store)
    definitions._compiled = {old.hash: old, new.hash: new}
    engine = Engine(store, definitions, {}, SystemClock(), connections=World())
    engine.start()
    run = engine.open(Opening(old, "s", SNAPSHOT, "only", "me")).result(timeout=120)
    end = time.monotonic() + 120
    while (row := store.run(run)) is None or row.status != "ended":
        if row is not None and row.definition == old.hash:
            migrate(engine, new)
        if engine.failure or time.monotonic() > end:
            sys.exit(f"stuck in {row.places if row else 'nothing'}: {engine.failure}")
        time.sleep(0.005)
    engine.stop()
    store.close()


if __name__ == "__main__":
    main()
