"""Run a step that kills its daemon, or one that does not; started as a process by tests.

    python poisonous.py DIRECTORY DATABASE_URL

The step kills the process that calls it as long as `poison.txt` lies in the directory.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from waystage.clock import SystemClock
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.opening import Opening
from waystage.kernel import compile_lifecycle, events
from waystage.plugin import Done, Step
from waystage.spec.load import parse_lifecycle
from waystage.store import Store

TEXT = """
lifecycle: poisoned
services: [s]
initial: first
states:
  first: {steps: [{use: poison.act}], next: end}
  end: {final: true}
"""
SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64}
DIRECTORY = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


class Act(Step):
    """Kill who calls it, as a library does that runs wild.

    - use: poison.act
    """

    use: ClassVar[str] = "poison.act"
    refuses: ClassVar[bool] = False

    def run(self, ctx: Any) -> Done:
        with (DIRECTORY / "calls.txt").open("a") as file:
            file.write(f"{ctx.key}\n")
        if (DIRECTORY / "poison.txt").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return Done()


class World:
    """What the engine needs of a project's connections."""

    clock = SystemClock()


def main() -> None:
    """Open the run, or take it up; end when it has ended or is parked."""
    loaded = parse_lifecycle(TEXT)
    definition = compile_lifecycle(loaded.spec, loaded.digest)
    store = Store(sys.argv[2])
    definitions = Definitions(store)
    definitions._compiled[definition.hash] = definition
    catalog = {Act.use: Act}
    engine = Engine(store, definitions, catalog, SystemClock(), connections=World(), lease=0.5)
    engine.start()
    run = engine.open(Opening(definition, "s", SNAPSHOT, "only", "me")).result(timeout=300)
    if len(sys.argv) > 3:
        row = store.run(run)
        assert row is not None
        mend = events.repair("retry", "first", {"reason": sys.argv[3]}, "otto")
        engine.submit(row.no, mend).result(timeout=300)
    end = time.monotonic() + 120
    while (row := store.run(run)) is None or row.status != "ended":
        if store.incidents(run=run) and len(sys.argv) <= 3:
            break
        if engine.failure or time.monotonic() > end:
            sys.exit(f"stuck in {row.places if row else 'nothing'}: {engine.failure}")
        time.sleep(0.005)
    engine.stop()
    store.close()


if __name__ == "__main__":
    main()
