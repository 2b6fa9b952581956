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
    starts: tuple[tuple[Node, Node], ...] = ()  # branches that begin elsewhere than they say


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
    """All arrows of a chart for the events that can occur.

    `held` names the leaves that must stay as they are when an event comes, so that the state
    around their branch is not asked.
    """

    def __init__(self, chart: Chart, events: list[str]) -> None:
        self.chart = chart
        self.states = list(chart.root.below())[1:]
        self.at: dict[tuple[Node, str], list[Arrow]] = {}
        self.held: set[tuple[Node, str]] = set()
        never: set[tuple[Transition, str]] = set()
        for event in [EVENTLESS, *events]:
            for state in inner_first(chart.root):
                for transition in state.transitions:
                    if hears(transition, event) and (transition, event) not in never:
                        arrow = self._arrow(transition, event, never)
                        self.at.setdefault((arrow.home, event), []).append(arrow)
        self._beside()
        for key, found in list(self.at.items()):
            self.at[key] = [each for each in found if (each.transition, key[1]) not in never]
            if not self.at[key]:
                del self.at[key]

    def _beside(self) -> None:
        """Refuse arrows without a target in a branch for what the states around it hear too.

        SCXML takes both, as the one leaves nothing; here the branch answers, and they do not.
        """
        for (home, event), found in self.at.items():
            inside = list(chain(home))
            around = [node for node in home.ancestors() if node not in inside]
            if any(a.target is None for a in found) and any((n, event) in self.at for n in around):
                raise CannotSay("an arrow without a target beside one of a state around the branch")

    def of(self, event: str) -> list[Arrow]:
        """Give all arrows for an event."""
        return [arrow for (_, name), found in self.at.items() if name == event for arrow in found]

    def from_leaf(self, leaf: Node, event: str) -> list[Arrow]:
        """Give the arrows in the order in which SCXML tries them in a leaf of a region."""
        return [arrow for node in chain(leaf) for arrow in self.at.get((node, event), [])]

    def _arrow(
        self, transition: Transition, event: str, never: set[tuple[Transition, str]]
    ) -> Arrow:
        source = transition.source
        if not transition.targets:
            return Arrow(source, event, None, None, transition, lifted=False)
        targets = [self.node(name) for name in transition.targets]
        domain = domain_of(transition, targets)
        lift = Lift(transition, event, domain, self)
        try:
            home = lift.home()
        except CannotSay as reason:
            top = region_of(source)
            if source is top and all(target.is_in(top) for target in targets):
                raise Differs(IN_BRANCH) from reason
            raise
        never |= {(each, event) for each in lift.never}
        self.held |= {(leaf, event) for leaf in lift.held}
        target, starts = self.entered(targets, home, domain)
        return Arrow(home, event, target, domain, transition, home is not source, starts)

    def node(self, name: str) -> Node:
        """Give the state of a name."""
        if name not in self.chart.nodes:
            raise CannotSay("a target that does not exist")
        return self.chart.nodes[name]

    def entered(
        self, targets: list[Node], home: Node, domain: Node
    ) -> tuple[Node, tuple[tuple[Node, Node], ...]]:
        """Give the one state of the home's region that leads to all targets.

        The pairs name the branches below that must begin in another state than they say.
        """
        within = region_of(home)
        tops = [_in_region(target, within, domain) for target in targets]
        if len(set(tops)) > 1:
            raise CannotSay("an arrow to several states of one branch")
        pairs = {pair for target in targets for pair in self._starts(tops[0], target)}
        if len({branch for branch, _ in pairs}) < len(pairs):
            raise CannotSay("an arrow to several states of one branch")
        return tops[0], tuple(sorted(pairs, key=lambda pair: pair[0].order))

    def _starts(self, top: Node, target: Node) -> Iterator[tuple[Node, Node]]:
        if top is target:
            return
        branch = next(child for child in top.children if target.is_in(child))
        inner = _in_region(target, branch, top)
        begun = [node for node in self.begun_by(branch) if region_of(node) is branch]
        if inner not in begun:
            yield branch, inner
        yield from self._starts(inner, target)

    def begun_by(self, node: Node) -> Iterator[Node]:
        """Give the states that are entered with a state when nothing else is said."""
        yield node
        if node.kind == "parallel":
            for child in node.children:
                yield from self.begun_by(child)
        elif node.children:
            targets = [self.node(name) for name in first_of(node)]
            first = self.entered(targets, node, node)[0]
            yield from (each for each in first.ancestors() if each.is_in(node) and each is not node)
            yield from self.begun_by(first)


class Lift:
    """Where an arrow goes that leaves its branch: to the state around it, if that is the same."""

    def __init__(self, transition: Transition, event: str, domain: Node, arrows: Arrows) -> None:
        self.transition, self.event, self.domain, self.arrows = transition, event, domain, arrows
        self.sure = transition.cond is None  # whether it is always taken where it is
        self.never: list[Transition] = []  # what cannot be taken because of it
        self.held: list[Node] = []

    def home(self) -> Node:
        """Give the state that has the arrow in our language; raises `CannotSay`."""
        home = self.transition.source
        while (top := region_of(home)).kind != "scxml" and not self.domain.is_in(top):
            if self.event == EVENTLESS:
                raise CannotSay("an eventless transition out of a branch")
            assert top.parent is not None
            self._before(home, top, top.parent)
            self._behind(home, top, top.parent)
            if any(node.onexit for node in top.parent.below()):
                raise CannotSay("onexit in a branch that an arrow leaves")
            home = top.parent
        return home

    def _before(self, home: Node, top: Node, parallel: Node) -> None:
        """Look at what goes before the arrow, and whether the state is there at all."""
        earlier = parallel.children[: parallel.children.index(top)]
        within = [n for child in home.children for n in child.below()]
        before = [n for branch in earlier for n in branch.below()] + within
        if any(hears(t, self.event) for n in before for t in n.transitions if t not in self.never):
            self.sure = False
        if all(_only_child(node) for node in chain(home) if node is not top):
            return
        self.sure = False
        self._alone(parallel)
        if any(node.kind == "parallel" for node in top.below()):
            raise CannotSay("an arrow out of a branch from one of several states with branches")
        others = (node for node in top.below() if not node.children and not node.is_in(home))
        self.held += others

    def _alone(self, parallel: Node) -> None:
        """Refuse others that the state around would have to answer for, or around it."""
        around = [parallel, *parallel.ancestors()]
        others = [t for n in around for t in n.transitions if hears(t, self.event)]
        for branch in parallel.children:
            for transition in _hearing(branch, self.event):
                leaves = not _stays_in(branch, transition, self.arrows)
                if leaves and transition is not self.transition:
                    others.append(transition)
        if others:
            raise CannotSay("arrows out of a branch from some of its states, beside others")

    def _behind(self, home: Node, top: Node, parallel: Node) -> None:
        """Look at what the arrow goes before, and our language would ask first."""
        own = home.transitions
        at = own.index(self.transition) if self.transition in own else len(own)
        outer = [t for node in chain(home) if node is not home for t in node.transitions]
        later = parallel.children[parallel.children.index(top) + 1 :]
        found = [t for t in (*own[at + 1 :], *outer) if hears(t, self.event)]
        found += [t for branch in later for t in _hearing(branch, self.event)]
        stays = [t for t in found if _stays_in(_branch_of(t, parallel), t, self.arrows)]
        if stays and not self.sure:
            raise CannotSay("an arrow out of a branch that goes before those of later branches")
        self.never += stays


def _branch_of(transition: Transition, parallel: Node) -> Node:
    return next(child for child in parallel.children if transition.source.is_in(child))


def _only_child(node: Node) -> bool:
    return node.parent is not None and len(node.parent.children) == 1


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


def _in_region(target: Node, region: Node, domain: Node) -> Node:
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
