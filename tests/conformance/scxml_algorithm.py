"""The recommendation's algorithm of interpretation, for charts without data: what must come out.

It is written from the recommendation alone (its appendix on the algorithm), shares nothing with
the kernel, and is slow and plain. Charts that neither suite has are held against it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from scxml_arrows import EVENTLESS, first_of, hears
from scxml_chart import Action, Chart, Node, Transition

MOST_STEPS = 200


class Endless(Exception):
    """The chart never comes to rest."""


class Interpreter:
    """A session of a chart."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self.place = {node: number for number, node in enumerate(chart.root.below())}
        self.active: set[Node] = set()
        self.internal: deque[str] = deque()
        self.over = False
        self._enter([(self._nodes(first_of(chart.root)), chart.root)])
        self._settle()

    def configuration(self) -> list[str]:
        """Give the names of the innermost active states."""
        return sorted(node.id for node in self._atomic())

    def send(self, event: str) -> None:
        """Take an event from outside, and all that follows from it."""
        if not self.over:
            self._step(self._select(event))
            self._settle()

    def _nodes(self, names: Iterable[str]) -> list[Node]:
        return [self.chart.nodes[name] for name in names]

    def _atomic(self) -> list[Node]:
        return sorted((n for n in self.active if not n.children), key=self.place.__getitem__)

    def _settle(self) -> None:
        for _ in range(MOST_STEPS):
            found = [] if self.over else self._select(EVENTLESS)
            if self.over or not (found or self.internal):
                return
            self._step(found or self._select(self.internal.popleft()))
        raise Endless

    # --- which transitions ---

    def _select(self, event: str) -> list[Transition]:
        enabled: list[Transition] = []
        for state in self._atomic():
            found = (t for node in (state, *state.ancestors()) for t in node.transitions
                     if hears(t, event) and t.cond != "false")  # fmt: skip
            first = next(found, None)
            if first is not None and first not in enabled:
                enabled.append(first)
        return self._without_conflicts(enabled)

    def _without_conflicts(self, enabled: list[Transition]) -> list[Transition]:
        kept: list[Transition] = []
        for transition in enabled:
            rivals = [each for each in kept if self._exits(each) & self._exits(transition)]
            inside = [transition.source.is_in(each.source) for each in rivals]
            if all(inside):
                kept = [*(each for each in kept if each not in rivals), transition]
        return kept

    def _domain(self, transition: Transition) -> Node:
        source, targets = transition.source, self._nodes(transition.targets)
        around = [source, *source.ancestors()] if transition.internal else source.ancestors()
        compound = (node for node in around if node.kind != "parallel")
        return next(n for n in compound if all(t is not n and t.is_in(n) for t in targets))

    def _exits(self, transition: Transition) -> set[Node]:
        if not transition.targets:
            return set()
        domain = self._domain(transition)
        return {node for node in self.active if node is not domain and node.is_in(domain)}

    # --- what they do ---

    def _step(self, transitions: list[Transition]) -> None:
        entered = [(self._nodes(t.targets), self._domain(t)) for t in transitions if t.targets]
        left = {node for transition in transitions for node in self._exits(transition)}
        for node in sorted(left, key=self.place.__getitem__, reverse=True):
            self._do(node.onexit)
        self.active -= left
        for transition in transitions:
            self._do(transition.actions)
        self._enter(entered)

    def _do(self, actions: Iterable[Action]) -> None:
        self.internal += (a.attributes["event"] for a in actions if a.kind == "raise")

    def _enter(self, entered: list[tuple[list[Node], Node]]) -> None:
        found: set[Node] = set()
        for targets, domain in entered:
            found.update(targets)
            for target in targets:
                self._add_below(target, found)
            for target in targets:
                self._add_around(target, domain, found)
        for node in sorted(found - self.active, key=self.place.__getitem__):
            self.active.add(node)
            self._do(node.onentry)
            if node.kind == "final":
                self._ended(node)

    def _add_below(self, node: Node, found: set[Node]) -> None:
        found.add(node)
        if node.kind == "parallel":
            self._add_regions(node, found)
        elif node.children:
            for target in self._nodes(first_of(node)):
                self._add_below(target, found)
                self._add_around(target, node, found)

    def _add_around(self, target: Node, domain: Node, found: set[Node]) -> None:
        for node in target.ancestors():
            if node is domain:
                return
            found.add(node)
            if node.kind == "parallel":
                self._add_regions(node, found)

    def _add_regions(self, parallel: Node, found: set[Node]) -> None:
        for child in parallel.children:
            if not any(node.is_in(child) for node in found):
                self._add_below(child, found)

    def _ended(self, node: Node) -> None:
        parent = node.parent
        assert parent is not None
        if parent.kind == "scxml":
            self.over = True
            return
        self.internal.append(f"done.state.{parent.id}")
        around = parent.parent
        if around is not None and around.kind == "parallel" and self._is_final(around):
            self.internal.append(f"done.state.{around.id}")

    def _is_final(self, node: Node) -> bool:
        if node.kind == "parallel":
            return all(self._is_final(child) for child in node.children)
        return any(child.kind == "final" and child in self.active for child in node.children)
