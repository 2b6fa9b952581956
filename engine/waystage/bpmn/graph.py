"""How the nodes of one scope hang together, with what BPMN leaves implicit made explicit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from waystage.bpmn.model import ACTIVITIES, Element, Flow, Node, Scope

XOR = ("exclusiveGateway",)
AND = ("parallelGateway",)
OR = ("inclusiveGateway",)


@dataclass(frozen=True)
class Graph:
    """The nodes of a scope by id, and the flows out of and into each."""

    nodes: dict[str, Node]
    out: dict[str, tuple[Flow, ...]]
    into: dict[str, tuple[Flow, ...]]
    boundary: dict[str, tuple[Node, ...]]
    implied: frozenset[str]

    def after(self, node: str) -> Iterator[str]:
        """Give the ids of what may follow: ends of flows, events at the border."""
        for flow in self.out[node]:
            yield flow.target
        for event in self.boundary.get(node, ()):
            yield event.id

    def forks(self, node: Node) -> bool:
        """Whether several ways may be gone at once from here."""
        return node.kind in AND + OR and len(self.out[node.id]) > 1

    def splits(self, node: Node) -> bool:
        """Whether exactly one of several ways is gone from here, chosen by conditions."""
        flows = self.out[node.id]
        return node.kind in XOR and (len(flows) > 1 or any(flow.condition for flow in flows))

    def passes(self, node: Node) -> bool:
        """Whether a run goes through here without anything being done."""
        if node.kind in AND + OR + XOR + ("complexGateway",):
            return len(self.out[node.id]) == 1 and not self.splits(node)
        if node.kind == "intermediateThrowEvent":
            return node.trigger.kind in ("none", "link") and bool(self.out[node.id])
        if node.kind == "intermediateCatchEvent":
            return node.trigger.kind == "link" and bool(self.out[node.id])
        return False

    def reach(self, start: Iterable[str], stop: str = "") -> list[str]:
        """Give all that can follow, nearest first, without going through `stop`."""
        found = [node for node in dict.fromkeys(start) if node != stop]
        seen = set(found)
        for node in found:
            for each in self.after(node):
                if each != stop and each not in seen:
                    seen.add(each)
                    found.append(each)
        return found


def graph_of(scope: Scope) -> Graph:
    """Make the graph: forks that activities imply become gateways, links become flows."""
    nodes = {node.id: node for node in scope.nodes}
    flows = [flow for flow in scope.flows if flow.source in nodes and flow.target in nodes]
    flows += _links(scope.nodes)
    implied: set[str] = set()
    for node in scope.nodes:
        own = [flow for flow in flows if flow.source == node.id]
        if node.kind not in ACTIVITIES and node.kind not in EVENTS_THAT_FORK:
            continue
        if len(own) > 1 or any(flow.condition for flow in own):
            gateway = _implied(node, own)
            nodes[gateway.id] = gateway
            implied.add(gateway.id)
            flows = [replace(f, source=gateway.id) if f.source == node.id else f for f in flows]
            flows.append(Flow(node.element, node.id, gateway.id))
    boundary: dict[str, tuple[Node, ...]] = {}
    for node in scope.nodes:
        if node.kind == "boundaryEvent":
            boundary[node.attached] = (*boundary.get(node.attached, ()), node)
    return Graph(nodes, _by(nodes, flows, "source"), _by(nodes, flows, "target"), boundary,
                 frozenset(implied))  # fmt: skip


EVENTS_THAT_FORK = ("startEvent", "intermediateCatchEvent", "boundaryEvent",
                    "intermediateThrowEvent")  # fmt: skip


def _implied(node: Node, flows: list[Flow]) -> Node:
    """Give the gateway that several flows out of an activity stand for."""
    guarded = [flow for flow in flows if flow.condition]
    kind = "parallelGateway" if not guarded else "inclusiveGateway"
    if len(flows) == 1 or (len(flows) - len(guarded) == 1 and node.default and len(flows) == 2):
        kind = "exclusiveGateway"  # of one condition and the default, one holds
    element = Element(kind, f"{node.id}/out", "", node.element.spot)
    return Node(element, default=node.default)


def _by(nodes: dict[str, Node], flows: list[Flow], end: str) -> dict[str, tuple[Flow, ...]]:
    found: dict[str, list[Flow]] = {node: [] for node in nodes}
    for flow in flows:
        found[getattr(flow, end)].append(flow)
    return {node: tuple(each) for node, each in found.items()}


def _links(nodes: Iterable[Node]) -> Iterator[Flow]:
    """Give a flow for each event that throws a link to where it is caught."""
    each = list(nodes)
    caught = {n.trigger.name: n for n in each
              if n.kind == "intermediateCatchEvent" and n.trigger.kind == "link"}  # fmt: skip
    for node in each:
        target = caught.get(node.trigger.name)
        if node.kind == "intermediateThrowEvent" and node.trigger.kind == "link" and target:
            yield Flow(node.element, node.id, target.id)


def circles(edges: dict[str, list[str]]) -> list[set[str]]:
    """Give the sets of nodes that lead back to themselves (strongly connected, Tarjan)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    held: set[str] = set()
    found: list[set[str]] = []
    for root in edges:
        work = [(root, iter(edges[root]))] if root not in order else []
        while work:
            node, rest = work[-1]
            if node not in order:
                order[node] = low[node] = len(order)
                stack.append(node)
                held.add(node)
            for each in rest:
                if each not in order:
                    work.append((each, iter(edges.get(each, ()))))
                    break
                if each in held:
                    low[node] = min(low[node], order[each])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    part = set()
                    while node not in part:
                        part.add(stack.pop())
                    held -= part
                    if len(part) > 1 or node in edges.get(node, ()):
                        found.append(part)
    return found
