"""From sequence flows and gateways to the arrows of states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from waystage.bpmn import juel
from waystage.bpmn.activities import Hands
from waystage.bpmn.graph import Graph, circles
from waystage.bpmn.model import Element, Flow, Node
from waystage.bpmn.parallel import Fork
from waystage.bpmn.report import YamlPath
from waystage.bpmn.text import one_line, slug

MOST_COPIES = 3


@dataclass(frozen=True)
class Arrow:
    """One way to a state: when it is taken, and the elements that it stands for."""

    to: str
    guard: str | None = None
    stands_for: tuple[Element, ...] = ()

    def behind(self, guard: str | None, *elements: Element) -> Arrow:
        """Give the arrow as it is behind a gateway."""
        both = both_of(guard, self.guard)
        return replace(self, guard=both, stands_for=(*elements, *self.stands_for))


@dataclass
class Box:
    """The states that are written into one place: of a scope, or of an arm of a fork."""

    graph: Graph
    forks: dict[str, Fork]
    path: YamlPath
    exit: str = ""
    finish: str = "joined"
    ended: str = "ended"
    finished: bool = False
    ends: bool = False

    def at(self, name: str) -> YamlPath:
        """Give the path of a state."""
        return (*self.path, name)


class Arrows:
    """Follows flows to the states that they lead to."""

    def __init__(self, hands: Hands, names: dict[str, str]) -> None:
        self._hands, self._names = hands, names
        self._guards: dict[str, str] = {}
        self._light: dict[int, frozenset[str]] = {}
        self.guesses: dict[str, str] = {}

    def follow(self, flow: Flow, box: Box) -> list[Arrow]:
        """Give the arrows to where a flow leads."""
        return [arrow.behind(None, flow.element) for arrow in self.arrive(flow.target, box)]

    def out_of(self, node: str, box: Box) -> list[Arrow]:
        """Give the arrows out of a node with one way out, or to the end where there is none."""
        flows = box.graph.out[node]
        if not flows:
            box.ends = True
            return [Arrow(box.ended)]
        return self.follow(flows[0], box)

    def arrive(self, node: str, box: Box) -> list[Arrow]:
        """Give the arrows that stand for arriving at a node."""
        if node == box.exit:
            box.finished = True
            return [Arrow(box.finish, stands_for=(box.graph.nodes[node].element,))]
        if node not in self.light(box.graph):
            return [Arrow(self._names[node])]
        element = box.graph.nodes[node].element
        found = self.choices(box.graph.nodes[node], box)
        return [arrow.behind(None, element) for arrow in found]

    def choices(self, node: Node, box: Box) -> list[Arrow]:
        """Give the arrows behind a gateway, in the order in which its conditions are tried."""
        flows = box.graph.out[node.id]
        last = [flow for flow in flows if flow.element.id == node.default]
        found: list[Arrow] = []
        for flow in [each for each in flows if each not in last] + last:
            guard = self.guard(flow) if flow.condition and flow not in last else None
            found += [arrow.behind(guard) for arrow in self.follow(flow, box)]
        return found

    def guard(self, flow: Flow) -> str:
        """Translate a condition; where that cannot be, give one that `validate` refuses."""
        if flow.element.id not in self._guards:
            self._guards[flow.element.id] = self._translated(flow)
        return self._guards[flow.element.id]

    def _translated(self, flow: Flow) -> str:
        why = f"it is written in {one_line(flow.language, 40)}" if _strange(flow.language) else ""
        try:
            if not why:
                return self._hands.variables.translate(flow.condition, flow.element)
        except juel.Untranslatable as error:
            why = str(error)
        guess = f"data.by_hand_{slug(flow.element.id, 'condition')}"
        what = f"the condition {one_line(flow.condition, 160)} cannot be translated: {why}"
        self._hands.report.hand(flow.element, what)
        line = f"by hand ({self._hands.file}:{flow.element.spot.line}): {what}"
        self.guesses[guess] = line
        return guess

    def light(self, graph: Graph) -> frozenset[str]:
        """Give the gateways and events that need no state of their own."""
        if id(graph) not in self._light:
            self._light[id(graph)] = frozenset(_light(graph))
        return self._light[id(graph)]


def both_of(one: str | None, two: str | None) -> str | None:
    """Join two conditions that must both hold."""
    if one is None or two is None:
        return one or two
    return " && ".join(f"({each})" if "||" in each or "?" in each else each for each in (one, two))


def written(arrows: Iterable[Arrow], sets: dict[str, str]) -> Any:
    """Write arrows as an entry of `next`."""
    found = list(arrows)
    if len(found) == 1 and found[0].guard is None and not sets:
        return found[0].to
    return [
        ({"if": each.guard} if each.guard else {}) | {"to": each.to}
        | ({"set": dict(sets)} if sets else {})
        for each in found
    ]  # fmt: skip


def _strange(language: str) -> bool:
    return bool(language) and language.lower() not in ("juel", "uel") and "/" not in language


def _light(graph: Graph) -> set[str]:
    """Take those whose copies would be many, or that go in circles, out again."""
    light = {each.id for each in graph.nodes.values() if graph.passes(each) or graph.splits(each)}
    edges = {node: [f.target for f in graph.out[node] if f.target in light] for node in light}
    for part in circles(edges):
        light -= part
    splits = {node for node in light if graph.splits(graph.nodes[node])}
    for node in sorted(splits):
        sources = _sources(graph, node, light - splits)
        closed = any(flow.element.id == graph.nodes[node].default for flow in graph.out[node])
        nested = any(each in splits for each in sources)
        if len(sources) > MOST_COPIES or (nested and (len(sources) > 1 or not closed)):
            light.discard(node)
    return light


def _sources(graph: Graph, node: str, through: set[str]) -> list[str]:
    """Give what leads to a node, looked at through nodes where nothing is done."""
    found: list[str] = []
    seen, rest = {node}, [node]
    while rest:
        for flow in graph.into[rest.pop()]:
            if flow.source in through:
                if flow.source not in seen:
                    seen.add(flow.source)
                    rest.append(flow.source)
            else:
                found.append(flow.source)
    return found
