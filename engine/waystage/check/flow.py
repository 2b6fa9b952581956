"""Which events each state can see, and where they lead: the graph that the proofs walk.

Leaves are what a run rests in. An edge is *quick* when the event needs nobody and no time:
the work of steps and monitors, the end of nested states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Literal, TypeAlias

from waystage.kernel import Definition, Node
from waystage.kernel.definition import ROOT

END = ""
STEPS = ("done", "refused", "failed")
VERDICTS = ("ok", "warn", "insufficient", "breach", "error")
SAFE = frozenset({"failed", "error"})  # unanswered, they park the run as an incident

Kind: TypeAlias = Literal["work", "timer", "signal"]
OutcomesOf: TypeAlias = Callable[[str], frozenset[str] | None]


@dataclass(frozen=True)
class Raised:
    """An event that can come while a leaf is the run's state; `owner` is what raises it."""

    leaf: str
    owner: str
    event: str
    kind: Kind


@dataclass(frozen=True)
class Edge:
    """An event and the leaf that it leads to; `END` is the end of the run."""

    event: str
    target: str
    quick: bool


class Flow:
    """The events of a definition and where they lead."""

    def __init__(self, definition: Definition, outcomes_of: OutcomesOf) -> None:
        self.definition = definition
        self._outcomes_of = outcomes_of
        self._targets: dict[Raised, tuple[str, ...]] = {}

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """Where a run can rest, in the order of the file."""
        return tuple(path for path, node in self.definition.nodes.items() if node.leaf)

    @cached_property
    def raised(self) -> tuple[Raised, ...]:
        """Every event at every leaf."""
        return tuple(each for found in self._by_leaf.values() for each in found)

    @cached_property
    def _by_leaf(self) -> Mapping[str, tuple[Raised, ...]]:
        return {leaf: tuple(self._raised(leaf)) for leaf in self.leaves}

    def raised_at(self, leaf: str) -> tuple[Raised, ...]:
        """Give the events that can come while the run is in one leaf."""
        return self._by_leaf.get(leaf, ())

    @cached_property
    def edges(self) -> Mapping[str, tuple[Edge, ...]]:
        """Where each leaf leads."""
        return {leaf: tuple(self._edges(leaf)) for leaf in self.leaves}

    @cached_property
    def start(self) -> str:
        """The leaf that a run begins in."""
        return self.definition.leaf_of(self.definition.region_initial[ROOT])

    def _raised(self, leaf: str) -> Iterator[Raised]:
        node = self.definition.nodes[leaf]
        for event in self.work_events(node):
            yield Raised(leaf, leaf, event, "work")
        for each in self.definition.chain(leaf):
            for name in each.spec.timers:
                yield Raised(leaf, each.path, name, "timer")
            for name in each.spec.signals:
                yield Raised(leaf, each.path, name, "signal")

    def work_events(self, node: Node) -> tuple[str, ...]:
        """Give the events that a leaf's own activity can come to."""
        spec = node.spec
        if spec.steps:
            return STEPS
        if spec.task:
            return spec.task.outcomes
        if spec.verify:
            return VERDICTS
        if spec.call:
            known = self._outcomes_of(spec.call.lifecycle)
            return (*sorted(known), "failed") if known is not None else _assumed(node)
        if node.branches:
            return self._joins(node)
        if spec.final and node.parent is not None and node.parent != node.region:
            return (spec.outcome or "done",)
        return ()

    def _joins(self, node: Node) -> tuple[str, ...]:
        finals = [n for n in self.definition.nodes.values() if n.parent in node.branches]
        outcomes = {n.spec.outcome for n in finals if n.activity == "final" and n.spec.outcome}
        return ("done", *(f"any_{outcome}" for outcome in sorted(outcomes)))

    def hearing(self, raised: Raised) -> Iterator[Node]:
        """Give the states that an event is offered to, the nearest first."""
        d, leaf = self.definition, raised.leaf
        while True:
            nodes = list(d.chain(leaf))
            nodes = nodes[1:] if nodes[0].activity == "final" else nodes
            if raised.event == "done":
                yield from _hearing_done(nodes)
                return
            yield from nodes
            region = d.nodes[leaf].region
            if region == ROOT or raised.kind == "signal":
                return
            leaf = region.rpartition(".")[0]

    def targets(self, raised: Raised) -> tuple[str, ...]:
        """Give the states that the event can lead to; none if nothing answers it."""
        if raised not in self._targets:
            self._targets[raised] = self._find_targets(raised)
        return self._targets[raised]

    def _find_targets(self, raised: Raised) -> tuple[str, ...]:
        d, leaf = self.definition, raised.leaf
        while True:
            ways = d.ways_from(leaf, raised.event)
            region = d.nodes[leaf].region
            outwards = region != ROOT and raised.event != "done" and raised.kind != "signal"
            if ways or not outwards:
                return tuple(dict.fromkeys(way.target for way in ways))
            leaf = region.rpartition(".")[0]

    def _edges(self, leaf: str) -> Iterator[Edge]:
        d, node = self.definition, self.definition.nodes[leaf]
        if node.activity == "final" and node.parent is None:
            yield Edge(node.spec.outcome or "done", END, quick=True)
        for branch in node.branches:
            yield Edge("", d.leaf_of(d.region_initial[branch]), quick=True)
        for raised in self._by_leaf[leaf]:
            if node.branches and raised.kind == "work":
                continue  # the join belongs to the branches' last states
            yield from self._led(raised, quick=self._is_quick(node, raised))
        if node.activity == "final" and node.parent and node.parent == node.region:
            yield from self._joined(node)

    def _joined(self, node: Node) -> Iterator[Edge]:
        owner = node.region.rpartition(".")[0]
        # whatever the other branches ended with: any of the joins may follow
        for event in self.work_events(self.definition.nodes[owner]):
            if event == "done" and node.spec.outcome:
                continue
            yield from self._led(Raised(owner, owner, event, "work"), quick=True)

    def _led(self, raised: Raised, *, quick: bool) -> Iterator[Edge]:
        for target in self.targets(raised):
            yield Edge(raised.event, self.definition.leaf_of(target), quick)

    def _is_quick(self, node: Node, raised: Raised) -> bool:
        if raised.kind == "timer":
            owner = self.definition.nodes[raised.owner]
            return owner.spec.timers[raised.event].after == timedelta()
        return raised.kind == "work" and node.activity in ("steps", "verify", "final")


def _assumed(node: Node) -> tuple[str, ...]:
    """Give the outcomes of a child that is not known here: those that are answered."""
    own = {*node.spec.timers, *node.spec.signals}
    return tuple(event for event in node.spec.next if event not in own) or ("done",)


def _hearing_done(nodes: list[Node]) -> Iterator[Node]:
    """`done` is for the state itself; that of the last stage for the one that lists them too."""
    for node in nodes:
        yield node
        if not node.is_stage or node.next_stage:
            return
