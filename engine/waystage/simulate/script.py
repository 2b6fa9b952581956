"""What a scenario has left to say while its run goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from waystage.check.places import YamlPath
from waystage.kernel.commands import StartStep
from waystage.simulate.prepared import Prepared
from waystage.spec.scenario import (
    Assessed,
    ChildAnswer,
    Decision,
    PlannedAnswer,
    Scenario,
    StageAnswer,
)

Used: TypeAlias = frozenset[tuple[str, int]]
DONE = PlannedAnswer(done={})
ENDED = ChildAnswer()
OPEN = StageAnswer(open=True)


@dataclass(slots=True)
class Script:
    """A scenario with a finger on each of its lists; `counts` is all that changes."""

    prepared: Prepared
    scenario: Scenario
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    used: set[tuple[str, int]] = field(default_factory=set)
    _steps: dict[tuple[str, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # what says more words is more exact and goes before
        for written in sorted(self.scenario.steps, key=lambda each: each.count(".")):
            for place in steps_named(self.prepared, written):
                self._steps[place] = written

    def answer(self, order: StartStep) -> PlannedAnswer:
        """Give the next answer to a call; what nobody speaks of is done."""
        place = self._steps.get((order.state, order.index)) if order.kind == "step" else None
        if place is not None:
            answers, key = self.scenario.steps[place], ("steps", place)
        else:
            answers, key = self.scenario.plugins.get(order.use, (DONE,)), ("plugins", order.use)
        return answers[min(self._next(*key), len(answers) - 1)]

    def assessed(self, monitor: str) -> Assessed | None:
        """Give the next assessment of a monitor; None when there is no more."""
        planned = self.scenario.monitors.get(monitor, ())
        number = self.counts["monitors", monitor]
        if number < len(planned):
            self.counts["monitors", monitor] += 1
            return planned[number]
        return planned[-1] if planned and planned[-1].always else None

    def child(self, state: str) -> tuple[YamlPath, ChildAnswer]:
        """Give how the lifecycle that a state calls ends this time, and where that is said."""
        for written, answers in self.scenario.calls.items():
            if state in self.prepared.named(written):
                number = min(self._next("calls", written), len(answers) - 1)
                return ("calls", written, number), answers[number]
        return (), ENDED

    def stage(self, state: str) -> StageAnswer | None:
        """Give what the stage answers a state this time; None when that is the stage's matter."""
        for written, answers in self.scenario.stages.items():
            if state in self.prepared.named(written):
                number = self._next("stages", written)
                over = number >= len(answers) and answers[-1].closed is not None
                return OPEN if over else answers[min(number, len(answers) - 1)]
        return None

    def decision(self, state: str) -> tuple[int, Decision] | None:
        """Give the first decision that is left for a state's task."""
        for number, each in enumerate(self.scenario.people):
            if ("people", number) not in self.used and state in self.prepared.named(each.at):
                return number, each
        return None

    def signals(self, state: str | None) -> list[int]:
        """Give the numbers of the signals that are left for a state, or for the beginning."""
        left = [(number, each.at) for number, each in enumerate(self.scenario.signals)
                if ("signals", number) not in self.used]  # fmt: skip
        if state is None:
            return [number for number, at in left if at is None]
        return [number for number, at in left if at and state in self.prepared.named(at)]

    def left(self) -> Iterator[tuple[YamlPath, str]]:
        """Give what was written and never came to pass."""
        for number, decision in enumerate(self.scenario.people):
            if ("people", number) not in self.used:
                text = f"{decision.by} was never asked at {decision.at} (again)"
                yield ("people", number), text
        for number, signal in enumerate(self.scenario.signals):
            if ("signals", number) not in self.used:
                where = f" in {signal.at}" if signal.at else ""
                yield ("signals", number), f"{signal.name} was never sent: no such moment{where}"
        for name in self.scenario.stages:
            if not self.counts["stages", name]:
                yield ("stages", name), f"{name} never asked its stage"
        for name, planned in self.scenario.monitors.items():
            asked = self.counts["monitors", name]
            if asked < len(planned) and not planned[asked].always:
                told = "not once" if not asked else f"{asked} times"
                yield ("monitors", name, asked), f"{name} was assessed {told}, not as often as this"

        for name, answers in self.scenario.calls.items():
            called = self.counts["calls", name]
            for number, answer in enumerate(answers[called:], called):
                if answer.play is not None:
                    times = "never" if not called else "once" if called == 1 else f"{called} times"
                    yield ("calls", name, number, "play"), f"{name} was called {times}"

    def position(self) -> tuple[object, ...]:
        """Give what tells one position from another, apart from answers that repeat."""
        told = [(key, min(count, self._length(*key))) for key, count in self.counts.items()]
        return (*sorted(told), len(self.used))

    def _length(self, part: str, name: str) -> int:
        parts: dict[str, tuple[object, ...]] = getattr(self.scenario, part)
        return len(parts.get(name, ())) - (part not in ("monitors", "stages"))

    def _next(self, part: str, name: str) -> int:
        number = self.counts[part, name]
        self.counts[part, name] = number + 1
        return number


def steps_named(prepared: Prepared, written: str) -> list[tuple[str, int]]:
    """Give the steps that a name means.

    Those of a state, or one of them by its id or its `use`: `build`, `build.image`, `image`,
    `production.deploy.runtime.probe`.
    """
    found = []
    for path, node in prepared.definition.nodes.items():
        for work in node.works:
            ends = [written.removesuffix(f".{name}") for name in (work.slot, work.spec.use)
                    if written.endswith(f".{name}")]  # fmt: skip
            named = any(path in prepared.named(outer) for outer in (written, *ends))
            if named or written == work.spec.id:
                found.append((path, work.index))
    return found
