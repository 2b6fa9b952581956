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

MOST_TRIED = 12


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


def forks_of(graph: Graph, file: str) -> tuple[dict[str, Fork], list[Problem]]:
    """Give every fork by its gateway's id, and what does not nest."""
    forks: dict[str, Fork] = {}
    problems: list[Problem] = []
    for node in graph.nodes.values():
        if graph.forks(node):
            found = _fork(graph, node)
            if found is None:
                problems.append(_unnested(graph, node, file))
            else:
                forks[node.id] = found
    if not problems:
        problems += _stuck(graph, forks, file)
    return forks, problems


def _fork(graph: Graph, node: Node) -> Fork | None:
    for join in [*_candidates(graph, node), ""]:
        arms = tuple(
            Arm(flow, frozenset(graph.reach([flow.target], join))) for flow in graph.out[node.id]
        )
        if _nests(graph, node, arms):
            return Fork(node, join, arms)
    return None


def _candidates(graph: Graph, node: Node) -> list[str]:
    """Give the joins that at least two of the arms lead to, the nearest first."""
    counted: dict[str, int] = {}
    for flow in graph.out[node.id]:
        for each in graph.reach([flow.target]):
            if graph.nodes[each].kind in AND + OR and len(graph.into[each]) > 1:
                counted[each] = counted.get(each, 0) + 1
    near = [each for each in graph.reach([node.id]) if counted.get(each, 0) > 1]
    return [each for each in near if each != node.id][:MOST_TRIED]


def _nests(graph: Graph, node: Node, arms: tuple[Arm, ...]) -> bool:
    seen: set[str] = set()
    for arm in arms:
        if node.id in arm.nodes or seen & arm.nodes:
            return False
        seen |= arm.nodes
        for each in arm.nodes:
            for flow in graph.into[each]:
                own = flow.source == node.id and flow == arm.flow
                if flow.source not in arm.nodes and not own:
                    return False
            hosts = graph.nodes[each].attached
            if hosts and hosts not in arm.nodes:
                return False
    return True


def _unnested(graph: Graph, node: Node, file: str) -> Problem:
    ways = [set(graph.reach([flow.target])) for flow in graph.out[node.id]]
    spot = node.element.spot
    if any(node.id in way for way in ways):
        text = f"{node.element}: one of its ways leads back to before it"
        hint = "end the loop inside of the way, or put the loop around fork and join"
    else:
        met = next((each for each in graph.reach([node.id])
                    if sum(each in way for way in ways) > 1), "")  # fmt: skip
        meeting = graph.nodes[met].element if met else None
        text = f"{node.element}: its ways do not come together in one join"
        text += f", but meet at {meeting}, line {meeting.spot.line}" if meeting else ""
        hint = ("let all of its ways end in one joining gateway of their own; ways that join "
                "earlier belong into a fork inside of one way")  # fmt: skip
    return Problem("E-BPMN-PARALLEL", text, file, spot.line, spot.column, suggestion=hint)


def _stuck(graph: Graph, forks: dict[str, Fork], file: str) -> Iterator[Problem]:
    """Find joins that wait for ways of which only one is ever gone."""
    for node in graph.nodes.values():
        if node.kind not in AND or len(graph.into[node.id]) < 2:
            continue
        own = [fork for fork in forks.values() if fork.join == node.id]
        known = {each for fork in own for each in (fork.node.id, *fork.inside)}
        strange = [flow for flow in graph.into[node.id] if flow.source not in known]
        if strange:
            text = f"{node.element}: it waits for {len(graph.into[node.id])} ways, and no fork "
            text += f"before it opens the one from {graph.nodes[strange[0].source].element}"
            hint = "where one of several ways is gone, merge them with an exclusive gateway"
            spot = node.element.spot
            yield Problem("E-BPMN-PARALLEL", text, file, spot.line, spot.column, suggestion=hint)
