"""Run one lifecycle to its end as a daemon would; started as a process of its own by tests.

    python player.py DIRECTORY DATABASE_URL [RUNS]

Effects go to `effects.txt`: one line per call that acted, with its key. A plugin that acts once
per key looks there first, as a real one asks the world.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

sys.path.append(str(Path(__file__).parents[1] / "helpers"))
import planted

from waystage.clock import SystemClock
from waystage.daemon import workers
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.opening import Opening
from waystage.kernel import compile_lifecycle
from waystage.plugin import Done, Step, Waiting
from waystage.spec.load import parse_lifecycle
from waystage.store import Store, database
from waystage.store.commit import Batch, Statements

TEXT = """
lifecycle: crashed
services: [s]
data: {seen: {type: integer, default: 0}}
initial: first
states:
  first:
    steps:
      - {use: crash.quick, id: quick}
      - {use: crash.slow, id: slow}
      - {use: crash.later, id: later}
    next: {done: rest}
  rest:
    lease: "{{ service }}"
    timers: {over: {after: PT0.05S}}
    next: {over: {to: last, set: {seen: "{{ data.seen + 1 }}"}}}
  last: {steps: [{use: crash.slow}], next: inner}
  inner: {call: {lifecycle: called}, next: end}
  end: {final: true}
"""
CALLED = """
lifecycle: called
services: [s]
initial: only
states:
  only: {steps: [{use: crash.slow}], next: end}
  end: {final: true}
"""
SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64}
DIRECTORY = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


def act(key: str) -> None:
    """Make the effect hold: once per key, however often it is called."""
    file = DIRECTORY / "effects.txt"
    done = file.read_text().splitlines() if file.exists() else []
    if key not in done:
        with file.open("a") as log:
            log.write(f"{key}\n")


class Quick(Step):
    """Act in the loop.

    - use: crash.quick
      with: {}
    """

    use: ClassVar[str] = "crash.quick"
    inline: ClassVar[bool] = True

    def run(self, ctx: Any) -> Done:
        act(ctx.key)
        return Done({"attempt": 1})


class Slow(Quick):
    """Act in the pool.

    - use: crash.slow
      with: {}
    """

    use: ClassVar[str] = "crash.slow"
    inline: ClassVar[bool] = False


class Later(Quick):
    """Act, then ask to be called again once.

    - use: crash.later
      with: {}
    """

    use: ClassVar[str] = "crash.later"

    def run(self, ctx: Any) -> Any:
        act(ctx.key)
        return Done({}) if ctx.memo else Waiting(timedelta(milliseconds=20), {"asked": True})


class World:
    """What the engine needs of a project's connections."""

    clock = SystemClock()


def see_to_its_end(engine: Engine, store: Store, run: str) -> None:
    """Wait until a run has ended."""
    end = time.monotonic() + float(os.environ.get("WAYSTAGE_PATIENCE", "120"))
    while (row := store.run(run)) is None or row.status != "ended":
        if engine.failure or time.monotonic() > end:
            sys.exit(f"stuck in {row.places if row else 'nothing'}: {engine.failure}")
        time.sleep(0.005)


def stop_after_writing(number: int) -> None:
    """Stop this process once, when so many moves of runs are written and not committed yet."""
    right, moves = Statements.write, itertools.count(1)

    def write(self: Statements, connection: Any, batch: Batch) -> bool:
        written = right(self, connection, batch)
        if batch.update_runs and batch.put_work and next(moves) == number:
            # to this very thread: another one that hears it leaves this one time to commit
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        return written

    Statements.write = write


def main() -> None:
    """Open the run, or take it up where a crash left it, and see it to its end."""
    planted.plant()
    if "WAYSTAGE_NO_QUARANTINE" in os.environ:  # who kills daemons at will is not the steps' fault
        workers.POISON = 1_000_000
    database.HANGS = int(os.environ.get("WAYSTAGE_HANGS", database.HANGS))
    if "WAYSTAGE_STOPS" in os.environ:
        stop_after_writing(int(os.environ["WAYSTAGE_STOPS"]))
    loaded = parse_lifecycle(TEXT)
    definition = compile_lifecycle(loaded.spec, loaded.digest)
    store = Store(sys.argv[2])
    definitions = Definitions(store)
    definitions._compiled[definition.hash] = definition
    definitions._present["called"] = parse_lifecycle(CALLED)
    catalog = {plugin.use: plugin for plugin in (Quick, Slow, Later)}
    # on PostgreSQL a killed daemon's claims are free when its leases end
    engine = Engine(store, definitions, catalog, SystemClock(), connections=World(), lease=0.5)
    engine.start()
    keys = [f"run {number}" for number in range(int(sys.argv[3]) if len(sys.argv) > 3 else 1)]
    asked = [engine.open(Opening(definition, "s", SNAPSHOT, key, "me")) for key in keys]
    for run in [future.result(timeout=120) for future in asked]:
        see_to_its_end(engine, store, run)
    engine.stop()
    store.close()


if __name__ == "__main__":
    main()
