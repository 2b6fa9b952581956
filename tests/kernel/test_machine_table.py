"""The table that moves runs, held against the library's machine that it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage import library
from waystage.errors import ExpressionError
from waystage.kernel import compile_lifecycle
from waystage.kernel.definition import Way
from waystage.kernel.machine import PREFIX, Pilot, RegionMachine
from waystage.spec.load import load_lifecycle

LEAVES, EVENTS = ("a", "b", "c.d"), ("done", "go", "to_b", "state")


@dataclass
class Guard:
    """A guard whose answer is known; some give what is no yes or no, some have no value."""

    answer: Any
    text: str = "made up"

    def evaluate(self, environment: dict[str, Any]) -> Any:
        environment["asked"].append(id(self))
        if self.answer == "error":
            raise ExpressionError("made up")
        return self.answer


def by_library(machine: RegionMachine, leaf: str, event: str, names: Any) -> Way | None:
    """Trigger the event on the library's own machine."""
    found = machine.library.events.get(PREFIX + event)
    pilot = Pilot()
    pilot.state, pilot.environment = leaf, names
    if found is not None:
        found.trigger(pilot)
    return pilot.way


def outcome(fire: Any, leaf: str, event: str) -> tuple[Any, list[int]]:
    """Give the arrow, or that there was an error, and which guards were asked in which order."""
    asked: list[int] = []
    try:
        return fire(leaf, event, lambda: {"asked": asked}), asked
    except ExpressionError:
        return "error", asked


guards = st.none() | st.sampled_from([True, False, None, 1, "error"]).map(Guard)
arrows = st.tuples(st.sampled_from(LEAVES), st.sampled_from(EVENTS), guards,
                   st.sampled_from(LEAVES))  # fmt: skip


@given(st.lists(arrows, max_size=12))
def test_the_table_takes_the_arrow_that_the_library_takes(made):
    ways = [(leaf, event, Way(event, leaf, to, guard, ()), to) for leaf, event, guard, to in made]
    machine = RegionMachine(list(LEAVES), ways)
    for leaf in LEAVES:
        for event in (*EVENTS, "unknown"):
            ours = outcome(machine.fire, leaf, event)
            assert ours == outcome(lambda *at: by_library(machine, *at), leaf, event)


@pytest.mark.parametrize("path", library.lifecycles(), ids=lambda path: path.stem)
def test_the_table_of_a_shipped_lifecycle_holds_what_its_machine_holds(path):
    loaded = load_lifecycle(path)
    for machine in compile_lifecycle(loaded.spec, loaded.digest).machines.values():
        for name, event in machine.library.events.items():
            for leaf, transitions in event.transitions.items():
                assert machine.handles(leaf, name.removeprefix(PREFIX)) == bool(transitions)
