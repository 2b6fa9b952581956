"""Charts that nobody wrote: the kernel and the recommendation's algorithm come to the same."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scxml_algorithm import Endless, Interpreter
from scxml_chart import CannotSay, Differs, read_chart
from scxml_playing import Player
from scxml_saying import say
from suites import NotThere, framework_cases

from waystage.kernel import moves
from waystage.kernel.definition import Definition

KERNEL = sys.modules["waystage.kernel.advance"]  # the package has a function of that name
UNSAID = "unsaid"
chosen: Any = KERNEL._chosen
answering: Any = Definition._answering


@dataclass
class Shape:
    """A state before it has arrows."""

    name: str
    kind: str
    inner: list[Shape]


@dataclass
class Draft:
    """A chart while it is drawn up; `rich` ones raise, end and have arrows without an event."""

    random: Random
    rich: bool
    names: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Give a whole document."""
        top = [self._shape(2) for _ in range(self.random.randint(1, 3))]
        return f"<scxml>{self._states(top)}</scxml>"

    def _shape(self, depth: int, *, may_end: bool = False) -> Shape:
        name, kind = f"s{len(self.names) + 1}", "state"
        inner: list[Shape] = []
        self.names.append(name)
        if depth and self._perhaps(0.75):
            kind = "parallel" if self._perhaps(0.25 * depth) else "state"
            ends = self.rich and kind == "state"
            count = self.random.randint(1 + (kind == "parallel"), 3)
            inner = [self._shape(depth - 1, may_end=ends) for _ in range(count)]
        elif may_end and self._perhaps(0.2):
            kind = "final"
        return Shape(name, kind, inner)

    def _states(self, shapes: list[Shape]) -> str:
        near = [shape.name for shape in shapes]
        return "".join(self._state(shape, near) for shape in shapes)

    def _state(self, shape: Shape, near: list[str]) -> str:
        name, kind, inner = shape.name, shape.kind, shape.inner
        begin = ""
        if kind == "state" and inner and self._perhaps(0.5):
            begin = f' initial="{self.random.choice(inner).name}"'
        count = 0 if kind == "final" else self.random.choice([0, 0, 1] if inner else [0, 1, 1, 2])
        parts = [self._arrow(name, bool(inner), near) for _ in range(count)]
        for tag, chance in (("onentry", 0.1), ("onexit", 0.05)):
            if self.rich and self._perhaps(chance):
                event = self.random.choice("xy")
                parts.append(f'<{tag}><raise event="{event}"/></{tag}>')
        return f'<{kind} id="{name}"{begin}>{"".join(parts)}{self._states(inner)}</{kind}>'

    def _arrow(self, name: str, ends: bool, near: list[str]) -> str:
        event = self.random.choice("abcx*" if self.rich else "ab")
        if self.rich and ends and self._perhaps(0.3):
            event = f"done.state.{name}"
        said = "" if self.rich and self._perhaps(0.1) else f' event="{event}"'
        said += ' cond="false"' if self._perhaps(0.1) else ""
        target = self.random.choice(near if self._perhaps(0.7) else self.names)
        said += f' target="{target}"' if self._perhaps(0.92) else ""
        said += ' type="internal"' if self._perhaps(0.15) else ""
        raised = '<raise event="x"/>' if self.rich and self._perhaps(0.15) else ""
        return f"<transition{said}>{raised}</transition>"

    def _perhaps(self, chance: float) -> bool:
        return self.random.random() < chance


def compared(text: str, told: list[str]) -> str:
    """Say where the kernel and the algorithm part; nothing if they never do."""
    try:
        right = Interpreter(read_chart(text))
        player = Player(say(read_chart(text), told))
        for event in ["", *told]:
            if event:
                right.send(event)
                player.send(event)
            if right.over:
                return ""
            if player.configuration() != right.configuration():
                return f"{text}: after {event!r} of {told}: {player.configuration()}"
    except (CannotSay, Differs, Endless):
        return UNSAID
    return ""


def drawn(random: Random, *, rich: bool) -> str:
    """Draw up a chart and events for it, and compare."""
    return compared(Draft(random, rich).text(), [random.choice("ab") for _ in range(6)])


@settings(max_examples=80, deadline=None)
@given(random=st.randoms(use_true_random=False), rich=st.booleans())
def test_a_chart_that_can_be_said_does_what_the_algorithm_says(random: Random, rich: bool) -> None:
    assert drawn(random, rich=rich) in ("", UNSAID)


@pytest.mark.parametrize("rich", [False, True])
def test_many_random_charts_can_be_said(rich: bool) -> None:
    found = [drawn(Random(seed), rich=rich) for seed in range(100)]
    assert set(found) <= {"", UNSAID}
    assert found.count("") >= 15


@pytest.mark.parametrize(
    ("where", "name", "wrong"),
    [
        (KERNEL, "_chosen", lambda *given: chosen(*given)[:1]),
        (Definition, "_answering", lambda *given: iter(list(answering(*given))[::-1])),
        (moves, "_leave_below", lambda m, region, domain: None),
    ],
    ids=["one branch answers", "parents first", "branches are not left"],
)
def test_random_charts_catch_a_wrong_kernel(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, wrong: Any
) -> None:
    monkeypatch.setattr(where, name, wrong)
    found = (drawn(Random(seed), rich=False) for seed in range(200))
    assert any(each not in ("", UNSAID) for each in found)


def test_the_algorithm_itself_passes_the_cases_without_data() -> None:
    try:
        cases = [case for case in framework_cases(w3c=False) if b"<datamodel" not in case.chart]
    except NotThere as trouble:
        pytest.skip(f"NOT TESTED: {trouble}")
    played = 0
    for case in cases:
        chart = read_chart(case.chart.decode("utf-8-sig"))
        if chart.odd or chart.histories or b"<send" in case.chart or b"cond" in case.chart:
            continue
        played += 1
        session = Interpreter(chart)
        seen = [tuple(session.configuration())]
        for event, _, _ in case.events:
            session.send(event)
            seen.append(tuple(session.configuration()))
        assert seen == [case.first, *(expected for _, _, expected in case.events)], case.name
    assert played >= 70
