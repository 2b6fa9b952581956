"""The only user of `transitions`: one flat machine per region of a definition.

No string from YAML but state and event names reaches the library, events are prefixed so that
none can clash with an attribute, and there are no automatic transitions or model methods: the
library's events are triggered on a pilot, one small object per machine and thread, whose state
is set before each event.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transitions import EventData, Machine

from waystage.errors import ExpressionError

if TYPE_CHECKING:
    from waystage.kernel.definition import Definition, Way

# it tells every entry and exit at level INFO; a run's history says it better
logging.getLogger("transitions").setLevel(logging.WARNING)

Environment = Callable[[], dict[str, Any]]


class Pilot:
    """What the machine moves: the state, the names for guards, the arrow that was taken."""

    __slots__ = ("environment", "state", "way")

    def __init__(self) -> None:
        self.state = ""
        self.way: Way | None = None
        self.environment: Environment = dict


class RegionMachine:
    """One region's flat state machine."""

    def __init__(self, leaves: list[str], ways: list[tuple[str, str, Way, str]]) -> None:
        self._machine = Machine(
            model=None,
            states=leaves,
            initial=leaves[0],
            auto_transitions=False,
            ignore_invalid_triggers=True,
            send_event=True,
        )
        for leaf, event, way, rest in ways:
            self._machine.add_transition(f"on:{event}", leaf, rest, conditions=[_taken(way)])
        self._pilots: Any = threading.local()

    def fire(self, leaf: str, event: str, environment: Environment) -> Way | None:
        """Give the arrow that the event takes from the leaf, or None if it takes none.

        Raises `ExpressionError` when a guard cannot be evaluated.
        """
        trigger = self._machine.events.get(f"on:{event}")
        if trigger is None:
            return None
        pilot = self._pilot()
        pilot.state, pilot.way, pilot.environment = leaf, None, environment
        trigger.trigger(pilot)
        return pilot.way

    def handles(self, leaf: str, event: str) -> bool:
        """Whether the leaf or a state above it has an answer to the event."""
        trigger = self._machine.events.get(f"on:{event}")
        return trigger is not None and leaf in trigger.transitions

    def _pilot(self) -> Pilot:
        pilot: Pilot | None = self._pilots.__dict__.get("value")
        if pilot is None:
            pilot = Pilot()
            self._pilots.value = pilot
        return pilot


def _taken(way: Way) -> Callable[[EventData], bool]:
    def condition(event: EventData) -> bool:
        pilot = event.model
        assert isinstance(pilot, Pilot)
        if way.guard is not None:
            answer = way.guard.evaluate(pilot.environment())
            if answer is False:
                return False
            if answer is not True:
                raise ExpressionError(
                    f"guard `{way.guard.text}` gave {answer!r}, which is no yes or no"
                )
        pilot.way = way
        return True

    return condition


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
