"""The only user of `transitions`: one flat machine per region of a definition.

No string from YAML but state and event names reaches the library, events are prefixed so that
none can clash with an attribute, and there are no automatic transitions or model methods: the
library's events are triggered on a pilot, a small object whose state is set before each event.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from transitions import EventData, Machine

from waystage.errors import ExpressionError

if TYPE_CHECKING:
    from waystage.expressions import Expression
    from waystage.kernel.definition import Definition, Way

# it tells every entry and exit at level INFO; a run's history says it better
logging.getLogger("transitions").setLevel(logging.WARNING)

PREFIX = "on:"  # so that no event clashes with an attribute of the library
Environment = Callable[[], dict[str, Any]]


class Pilot:
    """What the machine moves: the state, the names for guards, the arrow that was taken."""

    __slots__ = ("environment", "state", "way")

    def __init__(self) -> None:
        self.state = ""
        self.way: Way | None = None
        self.environment: Environment = dict


class RegionMachine:
    """One region's flat state machine, read once into a table of arrows by state and event.

    The table is what moves runs: a trigger of the library costs twenty times as much as the
    arrow that it picks. A test holds that both pick the same.
    """

    def __init__(self, leaves: list[str], ways: list[tuple[str, str, Way, str]]) -> None:
        self.library = Machine(
            model=None,
            states=leaves,
            initial=leaves[0],
            auto_transitions=False,
            ignore_invalid_triggers=True,
            send_event=True,
        )
        for leaf, event, way, rest in ways:
            self.library.add_transition(f"{PREFIX}{event}", leaf, rest, conditions=[Taken(way)])
        self._table = dict(_arrows(self.library))

    def fire(self, leaf: str, event: str, environment: Environment) -> Way | None:
        """Give the arrow that the event takes from the leaf, or None if it takes none.

        Raises `ExpressionError` when a guard cannot be evaluated.
        """
        for way in self._table.get((leaf, event), ()):
            if way.guard is None or _holds(way.guard, environment()):
                return way
        return None

    def handles(self, leaf: str, event: str) -> bool:
        """Whether the leaf or a state above it has an answer to the event."""
        return (leaf, event) in self._table


class Taken:
    """The library's condition of one arrow: its guard; remembers on the pilot that it held."""

    def __init__(self, way: Way) -> None:
        self.way = way

    def __call__(self, event: EventData) -> bool:
        """Say whether the arrow is taken."""
        pilot = event.model
        assert isinstance(pilot, Pilot)
        if self.way.guard is not None and not _holds(self.way.guard, pilot.environment()):
            return False
        pilot.way = self.way
        return True


def _holds(guard: Expression, environment: dict[str, Any]) -> bool:
    answer = guard.evaluate(environment)
    if answer is True or answer is False:
        return bool(answer)
    raise ExpressionError(f"guard `{guard.text}` gave {answer!r}, which is no yes or no")


def _arrows(machine: Machine) -> Iterator[tuple[tuple[str, str], tuple[Way, ...]]]:
    """Read the machine: per state and event its arrows, in the order in which they are tried."""
    for name, event in machine.events.items():
        for leaf, transitions in event.transitions.items():
            conditions = [each.func for found in transitions for each in found.conditions]
            ways = tuple(each.way for each in conditions if isinstance(each, Taken))
            if ways:
                yield (leaf, name.removeprefix(PREFIX)), ways


def build_machines(definition: Definition) -> dict[str, RegionMachine]:
    """Build the machine of every region, arrows in document order, child before parent."""
    machines = {}
    for region in definition.region_initial:
        leaves = [n.path for n in definition.nodes.values() if n.region == region and n.leaf]
        ways = [entry for leaf in leaves for entry in _ways_of(definition, region, leaf)]
        machines[region] = RegionMachine(leaves, ways)
    return machines


def _ways_of(definition: Definition, region: str, leaf: str) -> list[tuple[str, str, Way, str]]:
    events = {event for node in definition.chain(leaf) for event in node.ways} | {"done"}
    found = []
    for event in sorted(events):
        for way in definition.ways_from(leaf, event):
            rest = definition.leaf_of(way.target)
            inside = definition.nodes[rest].region == region
            found.append((leaf, event, way, rest if inside else leaf))
    return found
