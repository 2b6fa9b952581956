"""W1 by Waystage: a lifecycle of ten states with one step each, on a real engine and database.

Runs in a process of its own; prints one line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import text

from waystage.clock import SystemClock
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.memory import spare_the_collector
from waystage.daemon.opening import Opening
from waystage.kernel import Definition
from waystage.plugin import Context, Done, Step
from waystage.spec.load import load_project
from waystage.store import Store

STEPS = 10
OWN = f"w1|{os.getpid()}|"  # what opens the runs of this process
PROJECT = "project: bench\ndatabase: sqlite:///w1.db\n"
SNAPSHOT = {"name": "bench", "version": "1", "digest": "sha256:" + "0" * 64, "author": "bench"}
HEAD = "lifecycle: w1\nservices: [bench]\ninitial: s1\nstates:\n"
STATE = "  s{n}:\n    steps: [{{use: bench.echo, with: {{number: {n}}}}}]\n    next: {to}\n"
END = "  closed: {final: true}\n"


class Echo(Step):
    """Return a small dict.

    - use: bench.echo
      with: {number: 1}
    """

    use: ClassVar[str] = "bench.echo"
    inline: ClassVar[bool] = True
    load: ClassVar[Load | None] = None
    number: int

    def run(self, ctx: Context) -> Done:
        """Answer the number; the last step of a run tells the load that the run is ending."""
        if self.number == STEPS and self.load is not None:
            self.load.ending(ctx.run)
        return Done({"number": self.number})


class Load:
    """Keeps so many runs in flight until all have ended."""

    def __init__(self, engine: Engine, definition: Definition, runs: int, in_flight: int) -> None:
        self._engine, self._definition, self._runs = engine, definition, runs
        self._serial = itertools.count()
        self._began: dict[str, float] = {}
        self.took: list[float] = []
        self.done = threading.Event()
        self._in_flight = min(in_flight, runs)

    def begin(self) -> None:
        """Open the first runs; each one that ends opens the next."""
        for _ in range(self._in_flight):
            self._open()

    def ending(self, run: str) -> None:
        """Go on once the run's end is durable: this lands in the very transaction that ends it."""
        self._engine.act(lambda tx: None).add_done_callback(lambda _: self._ended(run))

    def _open(self) -> None:
        number = next(self._serial)
        if number >= self._runs:
            return
        began = time.perf_counter()
        opening = Opening(self._definition, "bench", SNAPSHOT, f"{OWN}{id(self)}|{number}", "bench")
        self._engine.open(opening).add_done_callback(
            lambda future: self._began.update({future.result(): began})
        )

    def _ended(self, run: str) -> None:
        self.took.append(time.perf_counter() - self._began.pop(run))
        if len(self.took) == self._runs:
            self.done.set()
        else:
            self._open()


def write_project(place: Path) -> None:
    """Write the project: a chain of ten states."""
    (place / "lifecycles").mkdir(parents=True)
    (place / "waystage.yaml").write_text(PROJECT)
    states = [STATE.format(n=n, to=f"s{n + 1}" if n < STEPS else "closed") for n in _numbers()]
    (place / "lifecycles" / "w1.yaml").write_text(HEAD + "".join(states) + END)


def _numbers() -> range:
    return range(1, STEPS + 1)


def measure(place: Path, runs: int, in_flight: int, database: str = "") -> dict[str, float]:
    """Run everything; raises when the database does not hold every transition."""
    write_project(place)
    store = Store(database or f"sqlite:///{place / 'w1.db'}")
    definitions = Definitions(store)
    definitions.present(load_project(place))
    engine = Engine(store, definitions, {Echo.use: Echo}, SystemClock())
    store.lay_out_log()  # as a daemon does, and the next line, too
    spare_the_collector()
    engine.start()
    definition = definitions.by_name("w1")
    _drive(engine, definition, in_flight, in_flight)  # warm up
    cpu = _cpu_seconds()
    began = time.time()
    load = _drive(engine, definition, runs, in_flight)
    ended, cpu = time.time(), _cpu_seconds() - cpu
    engine.stop()
    _durable(store, runs + in_flight)
    history = _history_bytes(store)
    store.close()
    took = sorted(load.took)
    return {
        "rate": runs * STEPS / (ended - began),
        "began": began,
        "ended": ended,
        "p99_seconds": took[int(len(took) * 0.99)],
        "cpu_microseconds": cpu / (runs * STEPS) * 1e6,
        "history_bytes": history / ((runs + in_flight) * STEPS),
    }


def _drive(engine: Engine, definition: Definition, runs: int, in_flight: int) -> Load:
    load = Load(engine, definition, runs, in_flight)
    Echo.load = load
    load.begin()
    while not load.done.wait(1):
        if engine.failure is not None:
            raise SystemExit(f"the engine stopped: {engine.failure}")
    return load


def _durable(store: Store, runs: int) -> None:
    """Hold the figure against the database: every run ended, every answer in its history."""
    body = "convert_from(h.body, 'UTF8')" if store.shared else "CAST(h.body AS TEXT)"
    own = f"r.opened_by LIKE '{OWN}%'"
    ended = _one(store, f"SELECT count(*) FROM runs r WHERE {own} AND r.status = 'ended'")
    joined = "history h JOIN runs r ON r.no = h.run"
    answers = _one(
        store, f"SELECT count(*) FROM {joined} WHERE {own} AND {body} LIKE '%step.done%'"
    )
    if (ended, answers) != (runs, runs * STEPS):
        raise SystemExit(f"{ended} runs and {answers} answers are durable, not {runs} x {STEPS}")


def _history_bytes(store: Store) -> float:
    size = "length(body) + length(hash) + length(actor) + 16"
    return float(_one(store, f"SELECT sum({size}) FROM history"))


def _one(store: Store, query: str) -> Any:
    with store.reading() as connection:
        return connection.execute(text(query)).scalar()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure once and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--place", type=Path, required=True)
    parser.add_argument("--database", default="", help="a URL; without one a file in the place")
    given = parser.parse_args()
    found: dict[str, Any] = measure(given.place, given.runs, given.in_flight, given.database)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
