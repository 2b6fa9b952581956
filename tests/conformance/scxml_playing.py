"""A chart said in our language and played by the kernel, on a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import yaml
from scxml_chart import CannotSay, Differs
from scxml_saying import Said
from walking import NOW, fresh

from waystage.check import check_lifecycle
from waystage.kernel import Definition, Event, Run, advance, compile_lifecycle, events
from waystage.kernel import commands as c
from waystage.kernel.advance import Step
from waystage.registry import load_catalog
from waystage.spec.load import parse_lifecycle

Advance = Callable[[Definition, Run, Event, datetime], Step]
# charts of a suite have dead parts on purpose, to show that they are dead, and need no end
TOLERATED = (
    "E-STATE-UNREACHABLE", "E-STATE-DEAD-END", "E-GUARD-NEVER", "E-GUARD-SHADOWED",
    "E-TIMER-NEVER",
)  # fmt: skip


@dataclass
class Armed:
    """A timer that the run has set."""

    due: datetime
    number: int
    state: str
    entry: int
    name: str


@dataclass
class Player:
    """A run on a clock of its own."""

    said: Said
    advance: Advance = advance
    now: datetime = NOW
    timers: list[Armed] = field(default_factory=list)
    set_so_far: int = 0

    def __post_init__(self) -> None:
        loaded = parse_lifecycle(yaml.safe_dump(self.said.lifecycle, sort_keys=False))
        self.definition = compile_lifecycle(loaded.spec, loaded.digest)
        _hold_to(check_lifecycle(loaded, None, load_catalog()))
        self.run = fresh(self.definition)
        self._tell(events.start())

    def send(self, name: str, after: timedelta = timedelta()) -> None:
        """Let the time pass, then send an event of the chart."""
        self._pass(after)
        self._tell(events.signal(self.said.events[name], {}))

    def wait(self) -> None:
        """Let all timers fire that there are."""
        while self.timers and self.run.status == "open":
            self._pass(max(timer.due for timer in self.timers) - self.now)

    def configuration(self) -> list[str]:
        """Give the chart's innermost active states, and what else the run stands in."""
        if self.run.status == "ended":
            return [self.said.states.get(f"={self.run.outcome}", self.run.outcome)]
        leaves = [p for p in self.run.places if not self.definition.nodes[p].branches]
        troubles = [f"{i['kind']}: {i['message']}" for i in self.run.incidents.values()]
        return sorted(self.said.states.get(leaf, leaf) for leaf in leaves) + troubles

    def _pass(self, span: timedelta) -> None:
        until = self.now + span
        while due := [timer for timer in self.timers if timer.due <= until]:
            timer = min(due, key=lambda each: (each.due, each.number))
            self.timers.remove(timer)
            self.now = max(self.now, timer.due)
            self._tell(events.timer_fired(timer.state, timer.entry, timer.name))
        self.now = until

    def _tell(self, event: Event) -> None:
        step = self.advance(self.definition, self.run, event, self.now)
        self.run = step.run
        for command in step.commands:
            self._obey(command)

    def _obey(self, command: Any) -> None:
        if isinstance(command, c.SetTimer):
            assert command.spec is not None
            assert command.spec.after is not None
            self.set_so_far += 1
            due = self.now + command.spec.after
            armed = Armed(due, self.set_so_far, command.state, command.entry, command.name)
            self.timers.append(armed)
        elif isinstance(command, c.CancelTimers):
            self.timers = [t for t in self.timers if t.state != command.state]


def _hold_to(problems: Iterable[Any]) -> None:
    for problem in problems:
        if problem.code.startswith("E-") and problem.code not in TOLERATED:
            if problem.code == "E-LOOP-WITHOUT-WAIT":
                raise Differs("a loop in which nothing waits is refused before it runs")
            if problem.code in ("E-GUARD-TYPE", "E-EXPRESSION-TYPE", "E-DATA-TYPE"):
                raise CannotSay("values whose types change, or are converted without saying so")
            raise CannotSay(f"validate refuses it: {problem.code}: {problem.message}")
