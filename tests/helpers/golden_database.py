"""A database as a version left it, with runs that wait for all there is to wait for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from bare_engine import BareEngine

from waystage.clock import HandClock
from waystage.daemon import decisions, pausing
from waystage.daemon.auditing import Audit
from waystage.errors import Hopeless
from waystage.kernel import events
from waystage.people import Caller
from waystage.plugin import Done, Step, Waiting
from waystage.spec.load import parse_lifecycle, parse_project
from waystage.store.codec import micros

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = timedelta(days=3)
STATES = {
    "asks": "ask: {task: {title: 'Go?', for: [role:judge], quorum: 2, remind: [P1D], due: P9D},"
    " next: {approve: end, reject: end}}",
    "rests": "rest: {timers: {far: {after: P2D}, tick: {cron: '0 6 * * *', zone: Europe/Berlin}},"
    " next: {far: end, tick: end}}",
    "stands": "stand: {lease: 'one at a time', signals: [go], next: {go: end}}",
    "lasts": "last: {steps: [{use: golden.act, id: it, with: {do: wait}}],"
    " next: {done: end, refused: end}}",
    "parks": "park: {steps: [{use: golden.act}, {use: golden.act, with: {do: fail}}],"
    " next: {done: end, refused: end}}",
    "pauses": "pause: {signals: [go], next: {go: end}}",
    "calls": "call: {call: {lifecycle: rests}, next: end}",
    "ends": "work: {steps: [{use: golden.act, id: it}], next: {done: end, refused: end}}",
}
BRANCHES = """
lifecycle: branches
services: [s]
data: {level: {type: number, default: 1}}
initial: both
states:
  both:
    branches:
      left:
        initial: a
        states:
          a: {signals: [go], next: {go: {to: ok, set: {level: "{{ data.level + 0.5 }}"}}}}
          ok: {final: true}
      right:
        initial: a
        states:
          a: {timers: {far: {after: P2D}}, next: {far: ok}}
          ok: {final: true}
    next: end
  end: {final: true}
"""
TEXTS = {
    name: f"lifecycle: {name}\nservices: [s]\ninitial: {line.partition(':')[0]}\nstates:\n"
    f"  {line}\n  end: {{final: true}}\n"
    for name, line in STATES.items()
} | {"branches": BRANCHES}
PROJECT = """
project: p
people: {otto: {roles: [operator]}, vera: {roles: [judge]}, victor: {roles: [judge]}}
roles: {operator: [operate], judge: [decide]}
"""
OTTO = Caller("otto", "test")


class Act(Step):
    """Do as the lifecycle says, until the world is mended.

    - use: golden.act
      with: {do: fail}
    """

    use: ClassVar[str] = "golden.act"
    inline: ClassVar[bool] = True
    mended: ClassVar[bool] = False
    do: str = ""

    def run(self, ctx: Any) -> Any:
        if self.do == "fail" and not Act.mended:
            raise Hopeless("the world is not as it should be")
        if self.do == "wait" and not ctx.memo:
            return Waiting(timedelta(days=1), {"asked": True})
        return Done({"score": 0.5, "memo": dict(ctx.memo)})


class House:
    """The engine on the database, and what people do there."""

    def __init__(self, file: Path, now: datetime) -> None:
        self.clock = HandClock(now)
        self.bare = BareEngine(f"sqlite:///{file}", {Act.use: Act}, self.clock)
        for name, text in TEXTS.items():
            self.bare.lifecycle(text)
            self.bare.definitions._present[name] = parse_lifecycle(text)
        files = SimpleNamespace(project=SimpleNamespace(spec=parse_project(PROJECT).spec))
        engine, store = self.bare.engine, self.bare.store
        self.daemon: Any = SimpleNamespace(files=files, engine=engine, store=store)

    def settle(self) -> None:
        """Wait until nothing is due and nothing is called."""
        self.bare.until(
            lambda: (
                self.bare.engine.under_way() == 0
                and self.bare.store.pending(micros(self.clock.now()) - 60_000_000) == 0
            )
        )

    def turn(self, by: timedelta) -> None:
        self.clock.turn(by)
        self.bare.engine.turned()
        self.settle()

    def run(self, lifecycle: str) -> str:
        """Give the first run of a lifecycle."""
        return min(
            (row.no, row.id) for row in self.bare.store.runs() if row.lifecycle == lifecycle
        )[1]

    def vote(self, who: str) -> None:
        (task,) = self.bare.store.tasks()
        decisions.complete(self.daemon, task.id, Caller(who, "test"), "approve", {}, "")

    def findings(self) -> list[str]:
        """Give what an audit finds."""
        with self.bare.store.reading() as connection:
            return [str(each) for each in Audit(connection, self.bare.definitions).findings()]


def record(file: Path) -> None:
    """Write the dump of a database in which runs wait for all there is."""
    beside = file.with_suffix(".db")
    Act.mended = False
    house = House(beside, START)
    try:
        for name, text in TEXTS.items():
            house.bare.open(house.bare.lifecycle(text), f"first {name}")
            house.settle()
        house.bare.open(house.bare.lifecycle(TEXTS["stands"]), "second stands")
        house.settle()
        house.clock.turn(timedelta(hours=1))
        house.vote("vera")
        pausing.pause_run(house.daemon, house.run("pauses"), OTTO, "for a while")
        decisions.send_signal(house.daemon, "go", {}, OTTO, house.run("pauses"), "", "hook 1")
        house.settle()
    finally:
        house.bare.stop()
    with closing(sqlite3.connect(beside)) as connection:
        file.write_text("\n".join(connection.iterdump()) + "\n")
    for each in beside.parent.glob(f"{beside.name}*"):
        each.unlink()


def load(dump: Path, file: Path) -> None:
    """Make the database that a dump is of."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(dump.read_text())


def go_on(house: House) -> None:
    """Do all that the runs wait for."""
    Act.mended = True
    house.settle()
    house.vote("victor")
    pausing.resume_run(house.daemon, house.run("pauses"), OTTO)
    again = decisions.send_signal(house.daemon, "go", {}, OTTO, house.run("pauses"), "", "hook 1")
    assert again["repeated"]
    for _ in range(2):  # the second in line has the lease when the first is gone
        for row in house.bare.store.runs(status="open"):
            if row.lifecycle in ("stands", "branches"):
                house.bare.send(row.id, events.signal("go", {}))
        house.settle()
    (incident,) = house.bare.store.incidents()
    mend = events.repair("retry", incident.state, {"reason": "mended"}, "otto")
    house.bare.send(house.run("parks"), mend)
    house.turn(LATER)
    house.turn(LATER)  # what the timers of the first day led to
