"""A form's answer that a gateway asks for at once becomes the outcomes of the task."""

from __future__ import annotations

from dataclasses import dataclass

from waystage.bpmn import juel
from waystage.bpmn.graph import XOR, Graph
from waystage.bpmn.model import Element, Flow, Node
from waystage.bpmn.text import slug, unused
from waystage.bpmn.variables import Variables

POSITIVE = ("approve", "approved", "yes", "ok", "accept", "accepted", "go", "release", "promote",
            "pass", "passed", "confirm", "confirmed", "agree", "agreed", "complete")  # fmt: skip
RESERVED = ("done", "refused", "failed", "error")


@dataclass(frozen=True)
class Way:
    """One outcome, the flow behind it, and what it stands for."""

    outcome: str
    flow: Flow
    elements: tuple[Element, ...] = ()


@dataclass(frozen=True)
class Folded:
    """The field that became the outcomes, and the ways; the first approves."""

    field: str
    ways: tuple[Way, ...]
    elements: tuple[Element, ...]


def fold(node: Node, graph: Graph, variables: Variables) -> Folded | None:
    """Give the outcomes of a task whose answer alone decides where it leads."""
    found = _gateway(node, graph)
    if found is None:
        return None
    gateway, elements = found
    flows = graph.out[gateway.id]
    asked = {flow.element.id: juel.comparison(flow.condition) for flow in flows
             if flow.element.id != gateway.default}  # fmt: skip
    names = {each.name if each else "" for each in asked.values()}
    if len(names) != 1 or len(asked) < len(flows) - 1 or len(flows) < 2:
        return None
    name = names.pop()
    if not name or not _is_answer(name, node, variables, set(asked)):
        return None
    values = [each.value for each in asked.values() if each is not None and each.operator == "=="]
    if len(values) != len(asked) or len(set(map(str, values))) != len(values):
        return None
    if any(isinstance(value, float) for value in values):
        return None
    return _folded(name, node, flows, asked, elements)


def _gateway(node: Node, graph: Graph) -> tuple[Node, tuple[Element, ...]] | None:
    """Give the gateway right behind a node, if nothing else leads to it."""
    if len(graph.out[node.id]) != 1:
        return None
    flow = graph.out[node.id][0]
    gateway = graph.nodes[flow.target]
    alone = gateway.kind in XOR and len(graph.into[gateway.id]) == 1
    return (gateway, (flow.element, gateway.element)) if alone else None


def _is_answer(name: str, node: Node, variables: Variables, asking: set[str]) -> bool:
    """Whether only this task writes the variable, and only this gateway reads it."""
    writers = variables.writers.get(name, [])
    own = [writer for writer in writers if writer.node is node and writer.by == "form"]
    unseen = not writers and not node.form and name not in variables.objects
    return (len(own) == len(writers) == 1 or unseen) and variables.reads.get(name, set()) <= asking


def _folded(
    name: str, node: Node, flows: tuple[Flow, ...],
    asked: dict[str, juel.Comparison | None], elements: tuple[Element, ...],
) -> Folded | None:  # fmt: skip
    ways: list[Way] = []
    said = {str(each.value) for each in asked.values() if each is not None}
    field = next((each for each in node.form if each.id == name), None)
    for flow in flows:
        comparison = asked.get(flow.element.id)
        if comparison is not None:
            outcomes = [_outcome(comparison.value)]
        else:
            outcomes = _rest(said, field.values if field else (), asked)
        for outcome in outcomes:
            used = unused(outcome, {way.outcome for way in ways})
            ways.append(Way(used, flow))
    missing = [v for v in (field.values if field else ()) if v not in said]
    if missing and len(asked) == len(flows):
        return None  # an answer that no flow takes: the hole stays to be seen
    ways.sort(key=lambda way: not way.outcome.startswith(POSITIVE))
    return Folded(name, tuple(ways), elements) if ways else None


def _outcome(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "approve" if value else "reject"
    name = slug(str(value), "other")
    return f"{name}_it" if name in RESERVED else name


def _rest(
    said: set[str], values: tuple[str, ...], asked: dict[str, juel.Comparison | None]
) -> list[str]:
    """Give the outcomes that the default flow stands for."""
    if said <= {"True", "False"} and any(each for each in asked.values()):
        return [_outcome("True" not in said)] if len(said) == 1 else ["otherwise"]
    left = [_outcome(value) for value in values if value not in said]
    return left or ["otherwise"]
