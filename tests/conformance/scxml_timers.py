"""Delayed events as timers: whose they are, so that they end neither too early nor too late."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain as joined

from scxml_actions import courses
from scxml_arrows import Arrow, Arrows, region_of
from scxml_chart import Action, CannotSay, Chart, Differs, Node, Transition

NO_ORDER = "timers that come due at one instant fire in no given order; events of SCXML queue up"
OUTLIVES = "a timer ends with its state; a delayed event of SCXML outlives it"


class Timers:
    """What a chart sends to itself, and raises."""

    def __init__(self, chart: Chart, variables: list[str]) -> None:
        self.chart, self.variables = chart, variables
        self.at: dict[Node, list[tuple[str, float]]] = {}
        self.outer: list[tuple[str, float]] = []
        self.moved: set[Transition] = set()

    def _contents(self) -> Iterator[tuple[Action, ...]]:
        for node in self.chart.root.below():
            yield node.onentry
            yield node.onexit
            yield node.initial_actions
            for transition in node.transitions:
                yield transition.actions

    def raised(self) -> list[str]:
        """Give the names of all events that are raised."""
        found = (c.raises for each in self._contents() for c in courses(each, self.variables))
        return list(dict.fromkeys(joined.from_iterable(found)))

    def events(self) -> list[str]:
        """Give the names of all events that are sent."""
        found = (c.sends for each in self._contents() for c in courses(each, self.variables))
        return list(dict.fromkeys(event for event, _ in joined.from_iterable(found)))

    def assigned(self, name: str) -> Iterator[str]:
        """Give the texts that a variable is assigned."""
        for each in self._contents():
            yield from _assigned(each, name)

    def place(self, arrows: Arrows) -> None:
        """Find the state whose timer each sent event can be; raises `Differs` if there is none."""
        for node in arrows.states:
            for event, delay in self._sends(node.onentry):
                self._place(node, event, delay, arrows)
            if any(arrows.of(event) for event, _ in self._sends(node.onexit)):
                raise Differs(OUTLIVES)
            for transition in node.transitions:
                for event, delay in self._sends(transition.actions):
                    self._move(transition, event, delay, arrows)
        self._hold_apart()

    def _hold_apart(self) -> None:
        for node, timers in self.at.items():
            around = [self.at.get(each, []) for each in node.ancestors()]
            together = [*timers, *self.outer, *joined.from_iterable(around)]
            if len({delay for _, delay in together}) < len(together):
                raise Differs(NO_ORDER)
        if len({delay for _, delay in self.outer}) < len(self.outer):
            raise Differs(NO_ORDER)

    def _sends(self, actions: tuple[Action, ...]) -> tuple[tuple[str, float], ...]:
        found = courses(actions, self.variables)
        if any(course.sends for course in found) and len(found) > 1:
            raise CannotSay("a delayed event that is sent under a condition")
        return found[0].sends

    def _place(self, node: Node, event: str, delay: float, arrows: Arrows) -> None:
        hearers = [arrow.home for arrow in arrows.of(event)]
        if not hearers:
            return  # it is sent for nobody
        for home in hearers:
            if region_of(home) is not region_of(node):
                raise CannotSay("a delayed event that another branch, or one below, hears")
        if all(home.is_in(node) for home in hearers):
            self._keep(self.at.setdefault(node, []), event, delay)
        elif self._only_first(node, arrows):
            self._keep(self.outer, event, delay)
        else:
            raise Differs(OUTLIVES)

    def _keep(self, timers: list[tuple[str, float]], event: str, delay: float) -> None:
        if event in [name for name, _ in timers]:
            raise CannotSay("one event that is sent several times")
        timers.append((event, delay))

    def _only_first(self, node: Node, arrows: Arrows) -> bool:
        """Whether the state is entered when the session begins and never again."""
        root = self.chart.root
        if region_of(node) is not root or node not in list(arrows.begun_by(root)):
            return False
        for found in arrows.at.values():
            for arrow in found:
                target = arrow.target
                if target is not None and (target.is_in(node) or node.is_in(target)):
                    return False
        return True

    def _move(self, transition: Transition, event: str, delay: float, arrows: Arrows) -> None:
        """Let the target send what the arrow sends, if the arrow is the only way in."""
        ways = {a.transition: a for found in arrows.at.values() for a in found}
        arrow = ways.get(transition)
        if arrow is None or not arrows.of(event):
            return
        target = arrow.target
        if target is None or target.kind == "final":
            raise Differs(OUTLIVES)
        begun = any(target in list(arrows.begun_by(node)) for node in target.ancestors())
        others = (each for each in ways.values() if each is not arrow)
        if begun or any(_enters(each, target) for each in others):
            raise Differs(OUTLIVES)
        homes = [each.home for each in arrows.of(event)]
        if not all(h.is_in(target) and region_of(h) is region_of(target) for h in homes):
            raise Differs(OUTLIVES)
        self._keep(self.at.setdefault(target, []), event, delay)
        self.moved.add(transition)

    def owner_around(self, node: Node, event: str) -> bool:
        """Whether a timer of that name may fire while a state of its region is active."""
        if any(name == event for name, _ in self.outer):
            return region_of(node).kind == "scxml" and node.kind != "final"
        return any(
            name == event and node.is_in(owner) and region_of(node) is region_of(owner)
            for owner, timers in self.at.items()
            for name, _ in timers
        )


def _enters(arrow: Arrow, state: Node) -> bool:
    if arrow.target is None or not arrow.target.is_in(state):
        return False
    return arrow.target is state or not arrow.home.is_in(state)


def _assigned(actions: tuple[Action, ...], name: str) -> Iterator[str]:
    for action in actions:
        if action.kind == "assign" and action.attributes.get("location") == name:
            yield action.attributes.get("expr", action.text)
        for _, inner in action.branches:
            yield from _assigned(inner, name)
