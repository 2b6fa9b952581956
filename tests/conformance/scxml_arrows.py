"""Where the arrows of a chart belong in our language, and why some belong nowhere.

Our branches are only left by the arrows of the state around them. An arrow of SCXML that leaves
a parallel state from inside one of its regions is put there where that means the same: its
source is active as long as the parallel state is, and no region behind it answers the event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scxml_chart import Action, CannotSay, Chart, Differs, Node, Transition

IN_BRANCH = (
    "an arrow inside of a branch stays in it; SCXML's external transition of a region "
    "leaves and enters its whole parallel state"
)
EVENTLESS = ""


@dataclass(frozen=True, eq=False)
class Arrow:
    """A transition for one event: the state that has it, the state that it leads to."""

    home: Node
    event: str
    target: Node | None
    domain: Node | None  # the innermost state that is not left
    transition: Transition
    lifted: bool


def matches(descriptor: str, event: str) -> bool:
    """Whether a transition's descriptor names the event: the same words, or those in front."""
    if descriptor == "*":
        return True
    stem = descriptor.removesuffix(".*").removesuffix(".")
    return bool(stem) and (event == stem or event.startswith(f"{stem}."))


def hears(transition: Transition, event: str) -> bool:
    """Whether the transition is for the event; `EVENTLESS` is for those without any."""
    if event == EVENTLESS:
        return not transition.events
    return any(matches(descriptor, event) for descriptor in transition.events)


def region_of(node: Node) -> Node:
    """Give the region's top state, or the root, that a state belongs to."""
    while node.parent is not None and node.parent.kind != "parallel":
        node = node.parent
    return node


def chain(node: Node) -> Iterator[Node]:
    """Give the state and those around it up to the top of its region, without the root."""
    top = region_of(node)
    while node.kind != "scxml":
        yield node
        if node is top or node.parent is None:
            return
        node = node.parent


def first_of(node: Node) -> list[str]:
    """Give the names that a compound state begins with."""
    return list(node.initial) or [node.children[0].id]


def inner_first(node: Node) -> Iterator[Node]:
    """Give the states below in the order in which their arrows go before one another."""
    for child in node.children:
        yield from inner_first(child)
        yield child


class Arrows:
    """All arrows of a chart for the events that can occur."""

    def __init__(self, chart: Chart, events: list[str]) -> None:
        self.chart = chart
        self.states = list(chart.root.below())[1:]
        self.at: dict[tuple[Node, str], list[Arrow]] = {}
        for event in [EVENTLESS, *events]:
            for state in inner_first(chart.root):
                for transition in state.transitions:
                    if hears(transition, event):
                        self._add(self._arrow(transition, event))

    def _add(self, arrow: Arrow) -> None:
        self.at.setdefault((arrow.home, arrow.event), []).append(arrow)

    def of(self, event: str) -> list[Arrow]:
        """Give all arrows for an event."""
        return [arrow for (_, name), found in self.at.items() if name == event for arrow in found]

    def from_leaf(self, leaf: Node, event: str) -> list[Arrow]:
        """Give the arrows in the order in which SCXML tries them in a leaf of a region."""
        return [arrow for node in chain(leaf) for arrow in self.at.get((node, event), [])]

    def _arrow(self, transition: Transition, event: str) -> Arrow:
        source = transition.source
        if not transition.targets:
            return Arrow(source, event, None, None, transition, lifted=False)
        targets = [self.node(name) for name in transition.targets]
        domain = domain_of(transition, targets)
        try:
            home = self._home(transition, domain, event)
            target = self.entered(targets, home, domain)
        except CannotSay as reason:
            top = region_of(source)
            if source is top and all(target.is_in(top) for target in targets):
                raise Differs(IN_BRANCH) from reason
            raise
        return Arrow(home, event, target, domain, transition, lifted=home is not source)

    def node(self, name: str) -> Node:
        """Give the state of a name."""
        if name not in self.chart.nodes:
            raise CannotSay("a target that does not exist")
        return self.chart.nodes[name]

    def _home(self, transition: Transition, domain: Node, event: str) -> Node:
        home = transition.source
        while (top := region_of(home)).kind != "scxml" and not domain.is_in(top):
            if event == EVENTLESS:
                raise CannotSay("an eventless transition out of a branch")
            self._may_leave(home, top, event)
            assert top.parent is not None
            home = top.parent
        return home

    def _may_leave(self, home: Node, top: Node, event: str) -> None:
        parallel = top.parent
        assert parallel is not None
        for node in chain(home):
            if node is not top and node.parent and len(node.parent.children) > 1:
                raise CannotSay("an arrow out of a branch from one of several states in it")
        for other in parallel.children[parallel.children.index(top) + 1 :]:
            if any(_stays_in(other, each, self) for each in _hearing(other, event)):
                raise CannotSay("an arrow out of a branch that goes before those of later branches")
        if any(node.onexit for node in parallel.below()):
            raise CannotSay("onexit in a branch that an arrow leaves")

    def entered(self, targets: list[Node], home: Node, domain: Node) -> Node:
        """Give the one state of the home's region that leads to all targets."""
        within = region_of(home)
        tops = [_in_region(target, within, home, domain) for target in targets]
        if len(set(tops)) > 1:
            raise CannotSay("an arrow to several states that are not those a state begins with")
        top = tops[0]
        if len(targets) > 1 or top is not targets[0]:
            begun = set(self.begun_by(top))
            if not begun.issuperset(targets):
                raise CannotSay("an arrow into a branch, to a state that it does not begin with")
        return top

    def begun_by(self, node: Node) -> Iterator[Node]:
        """Give the states that are entered with a state when nothing else is said."""
        yield node
        if node.kind == "parallel":
            for child in node.children:
                yield from self.begun_by(child)
        elif node.children:
            names = first_of(node)
            if len(names) > 1:
                raise CannotSay("a state that begins in several states")
            first = self.node(names[0])
            yield from (each for each in first.ancestors() if each.is_in(node) and each is not node)
            yield from self.begun_by(first)


def domain_of(transition: Transition, targets: list[Node]) -> Node:
    """Give the innermost compound state that the transition does not leave."""
    source = transition.source
    inside = all(target is not source and target.is_in(source) for target in targets)
    if transition.internal and source.kind == "state" and inside:
        return source
    for node in source.ancestors():
        if node.kind != "parallel" and all(
            target.is_in(node) and target is not node for target in targets
        ):
            return node
    raise CannotSay("a target outside of the document")


def _hearing(top: Node, event: str) -> list[Transition]:
    return [each for node in top.below() for each in node.transitions if hears(each, event)]


def _stays_in(top: Node, transition: Transition, arrows: Arrows) -> bool:
    if not transition.targets:
        return True
    return domain_of(transition, [arrows.node(name) for name in transition.targets]).is_in(top)


def _in_region(target: Node, region: Node, home: Node, domain: Node) -> Node:
    """Give the outermost parallel state around the target that is entered with it, or itself."""
    if not target.is_in(region):
        raise CannotSay("an arrow into another branch")
    found = target
    for node in target.ancestors():
        if node is region and region.kind != "parallel":
            break
        entered = node is not domain and not domain.is_in(node)
        if node.kind == "parallel" and entered and node.is_in(region):
            found = node
    return found


def actions_on(node: Node) -> tuple[Action, ...]:
    """Give what is done when a state is entered, its first transition included."""
    return (*node.onentry, *node.initial_actions)
