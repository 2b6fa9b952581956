"""Which ways are gone side by side: each fork with its join and the arms between them.

Lifecycles nest. A fork whose arms meet elsewhere than in one join, are entered from outside or
lead back before the fork cannot be nested; it is refused with what to change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from waystage.bpmn.graph import AND, OR, Graph
from waystage.bpmn.model import Flow, Node
from waystage.errors import Problem

MOST_TRIED = 8
MOST_TOLD = 10


@dataclass(frozen=True)
class Arm:
    """One of the ways that a fork opens; no nodes where it leads straight to the join."""

    flow: Flow
    nodes: frozenset[str]


@dataclass(frozen=True)
class Fork:
    """A gateway that opens several ways, and where they come together, if they do."""

    node: Node
    join: str
    arms: tuple[Arm, ...]

    @property
    def inside(self) -> frozenset[str]:
        """All nodes of its arms."""
        return frozenset(chain.from_iterable(arm.nodes for arm in self.arms))


class Reach:
    """What can follow each node, as bits, so that many ways are compared at once."""

    def __init__(self, graph: Graph) -> None:
        self.bit = {node: 1 << number for number, node in enumerate(graph.nodes)}
        self.of = dict(self.bit)
        changed = True
        while changed:
            changed = False
            for node in reversed(graph.nodes):
                found = self.of[node]
                for each in graph.after(node):
                    found |= self.of[each]
                if found != self.of[node]:
                    self.of[node], changed = found, True

    def shared(self, starts: list[str]) -> int:
        """Give what can follow at least two of some nodes."""
        one = two = 0
        for start in starts:
            two |= one & self.of[start]
            one |= self.of[start]
        return two


def forks_of(graph: Graph, file: str) -> tuple[dict[str, Fork], list[Problem]]:
    """Give every fork by its gateway's id, and what does not nest."""
    forks: dict[str, Fork] = {}
    problems: list[Problem] = []
    gateways = [node for node in graph.nodes.values() if graph.forks(node)]
    reach = Reach(graph) if gateways else None
    for node in gateways:
        shared = reach.shared([f.target for f in graph.out[node.id]]) if reach else 0
        ordered = [e for e in graph.reach([node.id]) if reach and reach.bit[e] & shared]
        found = _fork(graph, node, ordered)
        if found is not None:
            forks[node.id] = found
        elif len(problems) < MOST_TOLD:
            problems.append(_unnested(graph, node, ordered, file))
        else:
            break  # enough is told, and the rest would be long to look through
    if not problems:
        problems += _stuck(graph, forks, file)
    return forks, problems


def _fork(graph: Graph, node: Node, shared: list[str]) -> Fork | None:
    """Try the joins that at least two of the arms lead to, the nearest first."""
    gateways = [each for each in shared if graph.nodes[each].kind in AND + OR]
    joins = [each for each in gateways if len(graph.into[each]) > 1 and each != node.id]
    for join in (*joins[:MOST_TRIED], ""):
        arms = _arms(graph, node, join)
        if arms is not None:
            return Fork(node, join, arms)
    return None


def _arms(graph: Graph, node: Node, join: str) -> tuple[Arm, ...] | None:
    """Give the arms of a fork up to a join; None if they do not nest."""
    seen: set[str] = set()
    arms: list[Arm] = []
    for flow in graph.out[node.id]:
        nodes = _region(graph, flow.target, join, {*seen, node.id})
        if nodes is None or not _closed(graph, flow, nodes):
            return None
        seen |= nodes
        arms.append(Arm(flow, frozenset(nodes)))
    return tuple(arms)


def _region(graph: Graph, start: str, join: str, foreign: set[str]) -> set[str] | None:
    """Give what follows before the join; None as soon as it is foreign."""
    found: set[str] = set()
    rest = [start]
    while rest:
        node = rest.pop()
        if node == join or node in found:
            continue
        if node in foreign:
            return None
        found.add(node)
        rest.extend(graph.after(node))
    return found


def _closed(graph: Graph, entry: Flow, nodes: set[str]) -> bool:
    """Whether nothing but its own flow leads into an arm."""
    for each in nodes:
        host = graph.nodes[each].attached
        if host and host not in nodes:
            return False
        if any(flow.source not in nodes and flow is not entry for flow in graph.into[each]):
            return False
    return True


def _unnested(graph: Graph, node: Node, shared: list[str], file: str) -> Problem:
    spot = node.element.spot
    if any(node.id in graph.reach([flow.target]) for flow in graph.out[node.id][:MOST_TRIED]):
        text = f"{node.element}: one of its ways leads back to before it"
        hint = "end the loop inside of the way, or put the loop around fork and join"
    else:
        meeting = graph.nodes[shared[0]].element if shared else None
        text = f"{node.element}: its ways do not come together in one join"
        text += f", but meet at {meeting}, line {meeting.spot.line}" if meeting else ""
        hint = ("let all of its ways end in one joining gateway of their own; ways that join "
                "earlier belong into a fork inside of one way")  # fmt: skip
    return Problem("E-BPMN-PARALLEL", text, file, spot.line, spot.column, suggestion=hint)


def _stuck(graph: Graph, forks: dict[str, Fork], file: str) -> Iterator[Problem]:
    """Find joins that wait for ways of which only one is ever gone."""
    opened: dict[str, set[str]] = {}
    for fork in forks.values():
        opened.setdefault(fork.join, set()).update((fork.node.id, *fork.inside))
    for node in graph.nodes.values():
        if node.kind not in AND or len(graph.into[node.id]) < 2:
            continue
        known = opened.get(node.id, set())
        strange = [flow for flow in graph.into[node.id] if flow.source not in known]
        if strange:
            text = f"{node.element}: it waits for {len(graph.into[node.id])} ways, and no fork "
            text += f"before it opens the one from {graph.nodes[strange[0].source].element}"
            hint = "where one of several ways is gone, merge them with an exclusive gateway"
            spot = node.element.spot
            yield Problem("E-BPMN-PARALLEL", text, file, spot.line, spot.column, suggestion=hint)
