"""Names of states: each node that becomes one has a name that no other has."""

from __future__ import annotations

import re

from waystage.bpmn.graph import Graph
from waystage.bpmn.model import Node, Scope
from waystage.bpmn.text import slug, unused
from waystage.bpmn.variables import nodes_of

# ids that modelers make up say nothing
_MADE_UP = re.compile(
    r"[A-Za-z]+_(?:[01][0-9a-z]{6}|\d+|[0-9a-fA-F-]{32,36})|sid-.*|line_.*"
    r"|[a-z]+(?:task|event|gateway|subprocess)\d+"
)
KINDS = {
    "endEvent": "closed", "exclusiveGateway": "decide", "parallelGateway": "together",
    "inclusiveGateway": "as_needed", "eventBasedGateway": "wait", "complexGateway": "decide",
    "intermediateCatchEvent": "wait", "intermediateThrowEvent": "tell", "userTask": "task",
    "manualTask": "task", "task": "work", "serviceTask": "work", "scriptTask": "script",
    "sendTask": "send", "receiveTask": "wait", "businessRuleTask": "rules",
    "callActivity": "call", "subProcess": "inside", "transaction": "inside",
}  # fmt: skip


def state_names(scope: Scope) -> dict[str, str]:
    """Give the name of the state for each node, in the order of the file."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for node in nodes_of(scope):
        name = unused(state_name(node), taken)
        taken.add(name)
        found[node.id] = name
    return found


def state_name(node: Node) -> str:
    """Give a name for a node by what it is called, else by its id, else by its kind."""
    kind = KINDS.get(node.kind, "state")
    if node.element.name and (name := slug(node.element.name, before=kind)):
        return name
    made_up = _MADE_UP.fullmatch(node.id)
    return kind if made_up else slug(node.id, kind)


def add_implied(graph: Graph, names: dict[str, str]) -> None:
    """Name the gateways that activities imply."""
    for node in sorted(graph.implied):
        host = names.get(node.removesuffix("/out"), "work")
        names[node] = unused(f"after_{host}"[:60], set(names.values()))
