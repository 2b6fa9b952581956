"""The arrows of a chart said in our language: their guards, what they set, where they lead.

SCXML keeps raised events in a queue. Which events wait in it is known wherever they are raised,
so the queue becomes states: a leaf has one more state inside for each queue that it can be
entered with, whose outcome is the first event, and whose arrows carry the others along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from scxml_actions import ALWAYS, NEVER, Course, column, courses, in_order, is_timer
from scxml_arrows import EVENTLESS, Arrow, Arrows, actions_on, chain, region_of
from scxml_chart import Action, CannotSay, Differs, Node, Transition
from scxml_timers import OUTLIVES, Timers
from scxml_values import condition

MOST_QUEUES = 60  # in one chart
Said = dict[str, Any]
Queue = tuple[str, ...]


def at_once(to: list[Said]) -> Said:
    """Give a state that ends as soon as it is entered, and leads on by these arrows."""
    return {"states": {"now": {"final": True}}, "next": {"done": to}}


def enters(node: Node) -> bool:
    """Whether a state does something on entry, but for sending."""
    return any(not is_timer(action) for action in actions_on(node))


NOTHING = Transition(Node("", "scxml", None, 0), (), None, (), False, ())


class Ways:
    """Says arrows; `made` are the states inside of leaves that carry queues."""

    def __init__(
        self, arrows: Arrows, timers: Timers, events: dict[str, str], local: Callable[[Node], str]
    ) -> None:
        self.arrows, self.timers, self.events, self.local = arrows, timers, events, local
        self.variables = timers.variables
        self.heard = {event for event in timers.raised() if arrows.of(event)}
        self.made: dict[Node, dict[str, Said]] = {}
        self.starts: set[tuple[Node, Node]] = set()
        self._names: dict[tuple[Node, str, Queue], str] = {}

    # --- lists of arrows ---

    def natural(self, home: Node, found: list[Arrow]) -> list[Said]:
        """Give the arrows of one state as they are written."""
        said = self._listed(home, found, ())
        if all("if" in each for each in said):
            raise CannotSay("the end of a state that only some guards answer")
        return said

    def of_leaf(self, leaf: Node, event: str, queue: Queue = (), last: str = "") -> list[Said]:
        """Give a leaf's arrows and those of the states around it; `last` is where it stays."""
        said = self._listed(leaf, self.arrows.from_leaf(leaf, event), queue)
        if all("if" in each for each in said):
            self._may_stay(leaf, event)
            said.append({"to": last or self.resting(leaf, queue)})
        return said

    def _listed(self, source: Node, found: list[Arrow], queue: Queue) -> list[Said]:
        said: list[Said] = []
        for number, arrow in enumerate(found):
            if said and "if" not in said[-1] and arrow.home is not found[number - 1].home:
                break  # what is further out is never asked
            cond = arrow.transition.cond
            if cond is None or cond.strip() not in NEVER:
                said += self._said(source, arrow, queue)
        return said

    def _may_stay(self, leaf: Node, event: str) -> None:
        if leaf.kind == "parallel":
            raise CannotSay("a parallel state whose guards may all be false")
        inside = list(chain(leaf))
        if any((node, event) in self.arrows.at for node in leaf.ancestors() if node not in inside):
            raise CannotSay("a branch whose guards decide whether the state around it answers")

    def _said(self, source: Node, arrow: Arrow, queue: Queue) -> list[Said]:
        actions, cond = arrow.transition.actions, arrow.transition.cond
        if arrow.target is None:
            if source.children:
                raise CannotSay("an arrow without a target in a state with states")
            return self.led(actions, cond, lambda raised: self.resting(source, queue + raised))
        assert arrow.domain is not None
        left = [n for n in chain(source) if n is not arrow.domain and n.is_in(arrow.domain)]
        if source.kind == "parallel" and any(n.onexit for n in source.below() if n is not source):
            raise CannotSay("onexit in a branch that an arrow leaves")
        before = tuple(action for node in left for action in node.onexit)
        return self.entering((*before, *actions), cond, arrow, source, queue)

    def entering(
        self, actions: Sequence[Action], cond: str | None, arrow: Arrow, source: Node,
        queue: Queue = (),
    ) -> list[Said]:  # fmt: skip
        """Give the arrows of a transition with a target, one for each course of its actions."""
        target, domain = arrow.target, arrow.domain
        assert target is not None
        sent = any(is_timer(action) and self._is_heard(action) for action in actions)
        if sent and arrow.transition not in self.timers.moved:
            raise Differs(OUTLIVES)
        between = self._between(source, target, domain)
        every = (*actions, *_entry(between))
        raised = {event for c in courses(every, self.variables) for event in c.raises}
        landing = self._landing(target)
        if not (raised & self.heard or queue) or _is_end(target):
            return self._with_starts(self.led(every, cond, lambda _: self.local(target)), arrow)
        if landing is None or _is_end(landing):
            raise CannotSay("an event raised while branches are entered")
        inner = [node for node in self.arrows.begun_by(target) if landing.is_in(node)]
        full = (*every, *_entry(sorted(inner, key=lambda node: node.order)))
        return self.led(full, cond, lambda raised: self.resting(landing, queue + raised))

    def _with_starts(self, said: list[Said], arrow: Arrow) -> list[Said]:
        """Note for the branches below where they are to begin."""
        notes = {self.note(branch): self.local(target) for branch, target in arrow.starts}
        self.starts |= set(arrow.starts)
        return [{**each, "set": {**each.get("set", {}), **notes}} if notes else each
                for each in said]  # fmt: skip

    def note(self, branch: Node) -> str:
        """Name the variable that says where a branch is to begin."""
        return f"begin_{branch.order}"

    def beginning(self, branch: Node, default: str) -> list[Said]:
        """Give the arrows with which a branch begins: where it was told to, or as it says."""
        name, found = self.note(branch), []
        for other, target in sorted(self.starts, key=lambda pair: pair[1].order):
            if other is branch:
                arrow = Arrow(branch, EVENTLESS, target, branch.parent, NOTHING, lifted=False)
                to = self.entering((), None, arrow, branch.parent or branch)
                found += [{**each, "if": f'data.{name} == "{self.local(target)}"',
                           "set": {**each.get("set", {}), name: ""}} for each in to]  # fmt: skip
        return [*found, {"to": default}]

    def _is_heard(self, action: Action) -> bool:
        sends = courses([action], self.variables)[0].sends
        return any(self.arrows.of(event) for event, _ in sends)

    def led(
        self, actions: Sequence[Action], cond: str | None, to: Callable[[Queue], str]
    ) -> list[Said]:
        """Give one arrow for each course of the actions; `to` says where, by what is raised."""
        base = {name: f"data.{column(name)}" for name in self.variables}
        first: tuple[str, ...] = ()
        if cond is not None and cond.strip() not in ALWAYS:
            first = (condition(cond, base),)
        return [_arrow([*first, *course.guard], course, to(course.raises))
                for course in courses(actions, self.variables)]  # fmt: skip

    def _between(self, source: Node, target: Node, domain: Node | None) -> list[Node]:
        """Give the states that are entered on the way to the target, from the outside in."""
        between = []
        for node in target.ancestors():
            if domain is None or node is domain or not node.is_in(domain):
                break
            if source.is_in(node) and node in self.timers.at:
                raise Differs("an arrow to a state inside its own source does not leave the source")
            between.append(node)
        return between[::-1]

    def _landing(self, target: Node) -> Node | None:
        """Give the leaf that a target leads to, None if there are several."""
        found = list(self.arrows.begun_by(target))
        return None if any(node.kind == "parallel" for node in found) else found[-1]

    # --- leaves, and the queues that they carry ---

    def unfolds(self, leaf: Node) -> bool:
        """Whether a leaf needs states of its own for what happens before it rests."""
        return bool(
            enters(leaf)
            or leaf in self.timers.at
            or self.heard
            or self.arrows.from_leaf(leaf, EVENTLESS)
        )

    def resting(self, leaf: Node, queue: Queue = ()) -> str:
        """Name where a leaf goes on that has been entered: what comes at once goes first."""
        if _is_end(leaf):
            return self.local(leaf)
        if leaf.kind == "parallel":
            raise CannotSay("an arrow without a target in a parallel state")
        queue = tuple(event for event in queue if event in self.heard)
        if not self.arrows.from_leaf(leaf, EVENTLESS):
            return self._raising(leaf, queue)
        if not queue:
            return f"{self.local(leaf)}.at_once"
        return self._made(leaf, "carries", queue)

    def _raising(self, leaf: Node, queue: Queue) -> str:
        while queue and not self._moves(leaf, queue[0]):
            queue = queue[1:]
        if queue:
            return self._made(leaf, "raises", queue)
        return f"{self.local(leaf)}.rest" if self.unfolds(leaf) else self.local(leaf)

    def _made(self, leaf: Node, kind: str, queue: Queue) -> str:
        key = (leaf, kind, queue)
        if key not in self._names:
            made = self.made.setdefault(leaf, {})
            if len(self._names) == MOST_QUEUES:
                raise CannotSay("internal raise ordering: a queue that grows in a loop")
            name = self._names[key] = f"{kind}_{len(made) + 1}"
            made[name] = {}
            made[name].update(self._carrying(leaf, kind, queue))
        return f"{self.local(leaf)}.{self._names[key]}"

    def _carrying(self, leaf: Node, kind: str, queue: Queue) -> Said:
        if kind == "carries":
            return at_once(self.of_leaf(leaf, EVENTLESS, queue, self._raising(leaf, queue)))
        event, rest = queue[0], queue[1:]
        name, last = self.events[event], self._raising(leaf, rest)
        now = {"now": {"final": True, "outcome": name}}
        return {"states": now, "next": {name: self.of_leaf(leaf, event, rest, last)}}

    def _moves(self, leaf: Node, event: str) -> bool:
        """Whether a raised event moves the leaf; no other branch may hear it."""
        inside, top = list(chain(leaf)), region_of(leaf)
        homes = [arrow.home for arrow in self.arrows.of(event)]
        if top.kind != "scxml" and any(home not in inside for home in homes):
            raise CannotSay("a raised event that several branches may hear")
        return any(home in inside for home in homes)


def _entry(nodes: Sequence[Node]) -> list[Action]:
    return [action for node in nodes for action in actions_on(node) if not is_timer(action)]


def _is_end(node: Node) -> bool:
    return node.kind == "final" and node.parent is not None and node.parent.kind == "scxml"


def _arrow(guard: list[str], course: Course, to: str) -> Said:
    said: Said = {"to": to}
    if guard:
        said["if"] = guard[0] if len(guard) == 1 else " && ".join(f"({each})" for each in guard)
    if course.now:
        now = in_order(course.now)
        said["set"] = {column(name): f"{{{{ {value} }}}}" for name, value in now.items()}
    return said
