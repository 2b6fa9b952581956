"""Mistakes that a process brings along and that no check of the lifecycle would see."""

from __future__ import annotations

import re
from collections.abc import Iterator

from waystage.bpmn import juel, times
from waystage.bpmn.graph import Graph, circles, graph_of
from waystage.bpmn.model import Element, Flow, Node, Process, Scope
from waystage.bpmn.report import Report
from waystage.bpmn.severity import message_severities, severities
from waystage.bpmn.variables import Variables, nodes_of, scopes_of
from waystage.spec.values import parse_duration

LONGEST_POLL = parse_duration("PT1H")
ANSWERED = ("userTask", "manualTask", "receiveTask", "eventBasedGateway", "callActivity")
_COUNTS = re.compile(r"\+\s*1\b|\+\+|\+=")


def find_mistakes(process: Process, variables: Variables, report: Report) -> None:
    """Write what is wrong in the original to the report."""
    for scope in scopes_of(process.scope):
        graph = graph_of(scope)
        _polls(graph, variables, report)
        severities(graph, variables, report)
    message_severities(variables.nodes, report)
    _unread(process, variables, report)
    _constants(variables, report)
    _uncaught(process.scope, (), report)


def _unread(process: Process, variables: Variables, report: Report) -> None:
    for node in nodes_of(process.scope):
        for field in node.form:
            if field.writable and not variables.reads.get(field.id):
                text = f"the field {field.id!r} of {node.element} is filled in and read by nothing"
                hint = "use it where it was meant (an input of a task, a condition), or drop it"
                report.wrong(node.element, "W-BPMN-FIELD-UNREAD", text, hint, field.spot)


def _constants(variables: Variables, report: Report) -> None:
    told: set[str] = set()
    for flow in variables.flows:
        for name in sorted(juel.names(flow.condition)):
            found = _constant(name, flow, variables)
            if found is not None and name not in told:
                told.add(name)
                element, value = found
                text = (
                    f"{name!r} is always {value!r}, so the condition {juel.bare(flow.condition)!r} "
                    f"(line {flow.element.spot.line}) decides on what nobody measures"
                )
                hint = "measure it: a monitor with verify:, or a step that gives it"
                report.wrong(element, "W-BPMN-CONSTANT", text, hint)


def _constant(name: str, flow: Flow, variables: Variables) -> tuple[Element, str] | None:
    """Give what makes a variable constant and its value; None if it may change."""
    writers = variables.writers.get(name, [])
    declared = variables.objects.get(name)
    values = {writer.value for writer in writers}
    if writers and None not in values and len(values) == 1:
        return writers[0].node.element, str(writers[0].value)
    compared = any(
        (found := juel.comparison(piece)) and found.name == name
        for piece in pieces(flow.condition)
    )  # fmt: skip
    if not writers and declared is not None and declared.value and compared:
        return declared.element, declared.value
    return None


def pieces(condition: str) -> list[str]:
    """Give the comparisons that a condition is joined of."""
    parts = re.split(r"&&|\|\||\band\b|\bor\b", juel.bare(condition))
    return [part.strip(" ()") for part in parts]


def _polls(graph: Graph, variables: Variables, report: Report) -> None:
    edges = {each: list(graph.after(each)) for each in graph.nodes}
    for part in circles(edges):
        nodes = [graph.nodes[each] for each in part]
        timers = sorted((n for n in nodes if _waits_shortly(n)), key=lambda n: n.element.spot.line)
        if timers and not any(_ends(node, graph, part) for node in nodes) and not _counts(nodes):
            work = next((n.element for n in nodes if n.kind in ("serviceTask", "scriptTask")), None)
            asked = f" {work}" if work else ""
            text = (
                f"{timers[0].element} and{asked or ' its gateway'} poll with no end: nothing but "
            )
            text += "the answer that is hoped for ends the loop"
            hint = (
                "let the step wait by itself (plugins answer Waiting) under a deadline:, or put "
                "the loop into a sub-process with a timer at its border"
            )
            report.wrong(timers[0].element, "W-BPMN-POLL", text, hint)


def _waits_shortly(node: Node) -> bool:
    if node.kind != "intermediateCatchEvent" or node.trigger.kind != "timer":
        return False
    after = times.timing_of(node.trigger, once=True).says.get("after")
    return after is not None and parse_duration(after) <= LONGEST_POLL


def _ends(node: Node, graph: Graph, part: set[str]) -> bool:
    """Whether somebody or a timer at the border can end a loop here."""
    caught = node.kind == "intermediateCatchEvent" and node.trigger.kind not in ("timer", "link")
    timers = [e for e in graph.boundary.get(node.id, ()) if e.trigger.kind == "timer"]
    out = any(e.interrupting and not set(graph.reach([e.id])) & part for e in timers)
    return node.kind in ANSWERED or caught or out


def _counts(nodes: list[Node]) -> bool:
    """Whether something in a loop counts its rounds."""
    texts = [text for n in nodes for text in (n.work.script, n.work.text,
                                              *(o.value for o in n.outputs))]  # fmt: skip
    return any(_COUNTS.search(text) for text in texts)


def _uncaught(scope: Scope, caught: tuple[str, ...], report: Report, depth: int = 0) -> None:
    """Find errors that end a sub-process and that nothing around it handles."""
    for node in scope.nodes:
        kind, name = node.trigger.kind, node.trigger.name
        thrown = node.kind == "endEvent" and kind in ("error", "escalation") and depth > 0
        if thrown and f"{kind} " not in caught and f"{kind} {name}" not in caught:
            text = f"{node.element} throws {kind} {name!r}, and no boundary event around catches it"
            hint = "catch it at the border of the sub-process, and lead it to where it is handled"
            report.wrong(node.element, "W-BPMN-UNCAUGHT", text, hint)
        if node.scope is not None:
            _uncaught(node.scope, (*caught, *_catches(scope, node)), report, depth + 1)


def _catches(scope: Scope, node: Node) -> Iterator[str]:
    for event in scope.nodes:
        if event.attached == node.id or event.by_event:
            inner = [event] if event.attached else list(event.scope.nodes if event.scope else ())
            yield from (f"{each.trigger.kind} {each.trigger.name}" for each in inner)
