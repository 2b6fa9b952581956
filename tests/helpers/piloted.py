"""Three lifecycles with all that people and clocks do to them, played to their end by a pilot.

The pilot looks at the database and does what is to be done next: it can be killed anywhere and
another one goes on. What was acknowledged to it is written to `acknowledged.txt`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from piloted_texts import CALLED, DECIDED, PROJECT, STAGE, WATCHED, WORKING

from waystage.clock import TurnedClock
from waystage.daemon import decisions, outbox
from waystage.daemon.auditing import Audit
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.masks import Masks
from waystage.daemon.opening import Opening
from waystage.daemon.pausing import pause_run, resume_run
from waystage.errors import Conflict, WaystageError
from waystage.kernel import Definition, compile_lifecycle
from waystage.people import Caller
from waystage.plugin import Done, Measurement, Monitor, Step, Waiting
from waystage.spec.load import parse_lifecycle, parse_project, parse_stage
from waystage.store import Store
from waystage.store.audit import unmoved
from waystage.store.codec import micros

TEXTS = {"working": WORKING, "decided": DECIDED, "watched": WATCHED}
SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64, "author": "dana",
            "tags": {"checked": "yes"}}  # fmt: skip
SCORES = (0.9, 0.4, 0.25, 0.1)
PATIENCE = float(os.environ.get("WAYSTAGE_PATIENCE", "60"))
PLACE = SimpleNamespace(path=Path())


def act(key: str) -> bool:
    """Make the effect hold, once per key, as a real one would; say whether it was made now."""
    file = PLACE.path / "effects.txt"
    if file.exists() and key in file.read_text().splitlines():
        return False
    with file.open("a") as log:
        log.write(f"{key}\n")
    return True


class Acting(Step):
    """Act in the loop.

    - use: fault.act
    """

    use: ClassVar[str] = "fault.act"
    inline: ClassVar[bool] = True
    refuses: ClassVar[bool] = False

    def run(self, ctx: Any) -> Any:
        act(ctx.key)
        return Done({})


class Pooled(Acting):
    """Act in the pool.

    - use: fault.pooled
    """

    use: ClassVar[str] = "fault.pooled"
    inline: ClassVar[bool] = False


class Later(Acting):
    """Act, then ask to be called again once.

    - use: fault.later
    """

    use: ClassVar[str] = "fault.later"

    def run(self, ctx: Any) -> Any:
        act(ctx.key)
        return Done({}) if ctx.memo else Waiting(timedelta(milliseconds=1), {"asked": True})


class Broken(Acting):
    """Fail at each try.

    - use: fault.broken
    """

    use: ClassVar[str] = "fault.broken"

    def run(self, ctx: Any) -> Any:
        raise OSError("it is broken")


class Parked(Pooled):
    """Fail until somebody has looked at it.

    - use: fault.parked
    """

    use: ClassVar[str] = "fault.parked"

    def run(self, ctx: Any) -> Any:
        if not (PLACE.path / "mended").exists():
            raise ValueError("somebody must look at it")
        return super().run(ctx)


class Deploying(Pooled):
    """Something new in a stage.

    - use: fault.deploy
    """

    use: ClassVar[str] = "fault.deploy"
    changes: ClassVar[Any] = "forward"


class Gauge(Monitor):
    """Measure what is next in the list.

    - use: fault.gauge
    """

    use: ClassVar[str] = "fault.gauge"

    def measure(self, ctx: Any, window: Any, minimum: Any) -> Measurement:
        act(ctx.key)
        number = len({k for k in (PLACE.path / "effects.txt").read_text().split() if "#" not in k
                      and k.rpartition("/")[2].startswith("gauge")}) or 1  # fmt: skip
        return Measurement(value=SCORES[min(number, len(SCORES)) - 1])


CATALOG = {each.use: each for each in (Acting, Pooled, Later, Broken, Parked, Deploying, Gauge)}


class Receiver:
    """Takes a message once per key, as a receiver does that recognizes repeats."""

    def send(self, ctx: Any, message: Any, *, key: str) -> None:
        act(f"message {key}")


class World:
    """What engine, outbox and decisions need of a project."""

    def __init__(self, clock: Any) -> None:
        self.clock, self.masks = clock, Masks()
        project, stage = parse_project(PROJECT), parse_stage(STAGE)
        self.files = SimpleNamespace(
            project=project, stages={"PROD": stage}, lifecycles={}, scenarios=()
        )

    def now(self) -> Any:
        return self.clock.now()

    def notifier(self, channel: str) -> Receiver:
        return Receiver()


@cache
def read(text: str) -> Any:
    """Give a lifecycle as it was read: files are read before anything is written."""
    return parse_lifecycle(text)


@cache
def compiled(text: str) -> Definition:
    """Give a lifecycle as the kernel knows it."""
    loaded = read(text)
    definition = compile_lifecycle(
        loaded.spec, loaded.digest, lambda use: str(getattr(CATALOG.get(use), "changes", "none"))
    )
    _ = definition.machines
    return definition


class Pilot:
    """One daemon and the people around it, on one directory."""

    def __init__(self, place: Path, lifecycle: str, url: str = "") -> None:
        PLACE.path = self.place = place
        self.lifecycle, self.clock = lifecycle, TurnedClock(place / "clock.json")
        self.store = Store(url or f"sqlite:///{place / 'waystage.db'}")
        self.files = (world := World(self.clock)).files
        definitions = self.definitions = Definitions(self.store, CATALOG)
        definitions._files = world.files
        definitions._present["called"] = read(CALLED)
        loaded = read(TEXTS[lifecycle])
        self.definition = definitions._compiled[loaded.digest] = compiled(TEXTS[lifecycle])
        self.world = world
        self.engine = Engine(
            self.store, definitions, CATALOG, self.clock, connections=world, lease=1.0
        )

    def play(self) -> None:
        """See the run to its end; raises `TimeoutError` when nothing moves it any more."""
        self.engine.start()
        opening = Opening(self.definition, "s", SNAPSHOT, self.lifecycle, "me")
        run = self.engine.open(opening).result(timeout=PATIENCE)
        self.acknowledge(f"opened {run}")
        end = time.monotonic() + PATIENCE
        seen, again = 0, 0.0
        while (row := self.store.run(run)) is None or row.status != "ended":
            if row is not None and (row.revision != seen or time.monotonic() > again):
                seen, again = row.revision, time.monotonic() + 0.1
                self._do(run)
            time.sleep(0.001)
            if self.engine.failure or time.monotonic() > end:
                raise TimeoutError(f"stuck in {self.store.run(run)}: {self.engine.failure}")
        while self.store.due_messages(micros(self.clock.now()), 1):
            outbox.send_due(self.engine, self.world)
        self.engine.stop()

    def acknowledge(self, what: str) -> None:
        """Write down what must hold from now on."""
        with (self.place / "acknowledged.txt").open("a") as file:
            file.write(f"{what}\n")

    def _do(self, run: str) -> None:
        if self.store.due_messages(micros(self.clock.now()), 1):
            outbox.send_due(self.engine, self.world)
        for task in self.store.tasks(run=run):
            for who in ("vera", "vito"):
                self._vote(task.id, who)
        for incident in self.store.incidents():
            self._mend(run, incident.id)
        self._signal(run)
        due = [timer.due for timer in self.store.timers_of(run) if timer.name in ("over", "assess")]
        if due and min(due) > self.clock.now():
            self.clock.turn(min(due) - self.clock.now() + timedelta(seconds=1))
            self.engine.turned()

    def _vote(self, task: int, who: str) -> None:
        def answer() -> None:
            decisions.complete(self, task, Caller(who, "token"), "approve", {"why": "fine"}, "")

        self._told(answer, f"voted {who}")

    def _mend(self, run: str, incident: int) -> None:
        def mend() -> None:
            (self.place / "mended").touch()
            otto = Caller("otto", "token")
            if not any(r[0] == "paused" for row in self.store.history(run) for r in row.records):
                pause_run(self, run, otto, "to look at it")
            if self.store.run_body(run).get("paused"):
                resume_run(self, run, otto)
            decisions.repair(self, incident, "retry", otto, {"reason": "mended"})

        self._told(mend, "mended")

    def _signal(self, run: str) -> None:
        row = self.store.run(run)
        if row is None or not {"both.left.wait", "both.right.over"} <= set(row.places):
            return  # one branch after the other, so that all histories have one order

        def send() -> None:
            decisions.send_signal(self, "go", {}, Caller("otto", "token"), run)

        self._told(send, "signaled")

    def _told(self, do: Callable[[], None], what: str) -> None:
        try:
            do()
        except (Conflict, WaystageError):
            return  # another pilot did it before it was killed
        self.acknowledge(what)


def outcome(pilot: Pilot) -> dict[str, Any]:
    """Tell how it stands: transitions, decisions, effects, what the audit finds."""
    store, file = pilot.store, pilot.place / "effects.txt"
    runs = store.runs()
    history = [row for run in runs for row in store.history(run.id)]
    records = [" ".join(r) for row in history for r in row.records]
    with unmoved(store.engine) as connection:
        findings = [str(f) for f in Audit(connection, pilot.definitions).findings()]
    told = {
        "runs": sorted((r.lifecycle, r.status, r.outcome) for r in runs),
        "moves": [r for r in records if r.startswith("moved")],
        "records": sorted(records),
        "data": [store.run_body(r.id).get("data") for r in runs],
        "effects": sorted(file.read_text().splitlines()) if file.exists() else [],
        "measured": sorted(str(m.body.get("value")) for m in store.measurements()),
        "findings": findings,
    }
    return dict(json.loads(json.dumps(told)))


def acknowledged_but_lost(pilot: Pilot) -> list[str]:
    """Give what was acknowledged before a crash and is not in the database after it."""
    file, store = pilot.place / "acknowledged.txt", pilot.store
    said = file.read_text().splitlines() if file.exists() else []
    records = [" ".join(r) for run in store.runs() for row in store.history(run.id)
               for r in row.records]  # fmt: skip
    return [line for line in said if not any(_shows(r, *line.split()) for r in records)]


def _shows(record: str, what: str, who: str = "") -> bool:
    """Say whether a record of the history is that of an acknowledged act."""
    begins = {"opened": "started", "voted": "vote ask approve", "mended": "retry",
              "signaled": "moved both.left.wait go"}  # fmt: skip
    return record.startswith(begins[what]) and (what != "voted" or record.endswith(who))
