"""The whole file of a lifecycle, made of a process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from waystage.bpmn.activities import Hands
from waystage.bpmn.build import Builder
from waystage.bpmn.emit import Comments, emit
from waystage.bpmn.mapping import Mapping
from waystage.bpmn.mistakes import find_mistakes
from waystage.bpmn.model import Element, Process
from waystage.bpmn.names import state_names
from waystage.bpmn.read import elements
from waystage.bpmn.report import Report
from waystage.bpmn.text import one_line, slug
from waystage.bpmn.variables import Variables, scopes_of

REGISTERED = "snapshot.registered"
DRAWN = ("textAnnotation", "association", "group", "dataObjectReference", "dataStoreReference")
UNASKED = ("parallelGateway", "eventBasedGateway")
USED = "its name is used where it is referred to"


def document(
    process: Process, file: str, mapping: Mapping, services: tuple[str, ...]
) -> tuple[str, str, Report]:
    """Give the lifecycle's name, its text, and the account of every element."""
    aside = {element.id: why for element, why in process.aside}
    report = Report(
        [process.element, *elements(process.scope), *process.names, *(e for e, _ in process.aside)]
    )
    names = state_names(process.scope)
    comments = Comments()
    variables = Variables(process, mapping, names, report)
    hands = Hands(file, mapping, report, comments, variables)
    find_mistakes(process, variables, report)
    builder = Builder(hands, names, process.scope)
    initial, states = builder.states(process.scope, ())
    name = slug(process.element.id, "imported", joined="-")
    tree: dict[str, Any] = {"lifecycle": name}
    if process.element.name:
        tree["title"] = one_line(process.element.name)
    if process.documentation:
        tree["description"] = process.documentation[:2000]
    tree["services"] = list(services or mapping.services or ("*",))
    tree |= _start(hands, process)
    if variables.data:
        tree["data"] = variables.data
    tree |= {"initial": initial, "states": states}
    report.mapped(process.element, ("lifecycle",))
    _extras(hands, process)
    _rest(process, report, aside)
    _head(hands, process, file, not (services or mapping.services))
    return name, emit(tree, comments), report


def _start(hands: Hands, process: Process) -> dict[str, Any]:
    """Say what opens a run, where the mapping knows; else a person says it."""
    found: dict[str, Any] = {}
    for node in process.scope.nodes:
        if node.kind != "startEvent":
            continue
        name = node.trigger.name or node.element.name
        if name and hands.mapping.signals.get(name) == REGISTERED:
            found = {"start": [{"on": REGISTERED}]}
            hands.report.mapped(node.element, ("start", 0))
        elif node.trigger.kind != "none":
            by = f"{node.trigger.kind} {node.trigger.name}".strip()
            what = f"a run was started by {by}; here by hand, by the API, or by "
            what += "start: [{on: snapshot.registered}]"
            hands.by_hand(node, ("initial",), what)
        for field in node.form:
            what = f"{field.id!r} was asked for at the start: a parameter, or a field of a task"
            hands.by_hand(node, ("initial",), what)
        for extra in node.extras:
            if extra.needed:
                hands.by_hand(node, ("initial",), f"{extra.what} has no like here")
    return found


def _extras(hands: Hands, process: Process) -> None:
    for extra in process.extras:
        hands.report.hand(process.element, f"{extra.what} has no like here")
    told = {node.id for scope in scopes_of(process.scope) for node in scope.nodes
            if node.kind in ("exclusiveGateway", "boundaryEvent", "parallelGateway",
                             "inclusiveGateway")}  # fmt: skip
    for scope in scopes_of(process.scope):
        nodes = [(n.element, n.extras) for n in scope.nodes if n.id in told]
        for element, extras in (*nodes, *((f.element, f.extras) for f in scope.flows)):
            for extra in extras:
                if extra.needed:
                    hands.report.hand(element, f"{extra.what} has no like here")


def _rest(process: Process, report: Report, aside: dict[str, str]) -> None:
    """Say why nothing came of what is left."""
    for scope in scopes_of(process.scope):
        for lane in scope.lanes:
            report.note(lane.element, "a lane: who is asked where a task names nobody")
        for element in scope.aside:
            if element.kind in DRAWN:
                report.note(element, _beside(element))
            else:
                report.hand(element, "it has no like here")
        for flow in scope.flows:
            source = next((n for n in scope.nodes if n.id == flow.source), None)
            if flow.condition and source and source.kind in UNASKED:
                report.note(flow.element, f"its condition is never asked for after a {source.kind}")
            elif flow.condition and source and source.default == flow.element.id:
                report.note(flow.element, "its condition is not asked for: it is the default")
    for element in process.names:
        report.note(element, USED)
    for entry in report.entries.values():
        if entry.element.id in aside:
            report.note(entry.element, aside[entry.element.id])
        elif not (entry.became or entry.hands or entry.notes):
            report.hand(entry.element, "nothing leads to it, so that it was left out")


def _beside(element: Element) -> str:
    if element.kind == "textAnnotation":
        return "a note of the picture; it stands at the head of the file"
    if element.kind.endswith("Reference"):
        return "a picture of what is declared elsewhere"
    return "of the picture alone"


def _head(hands: Hands, process: Process, file: str, any_service: bool) -> None:
    lines = [
        f"Imported from {file} (process {process.element.id}, {process.dialect}).",
        "Beside each state stands the element it came from; `by hand` marks what needs a person.",
        *_notes(process),
    ]
    hands.comments.above[("lifecycle",)] = lines
    if any_service:
        line = "by hand: the process does not say for which services it is"
        hands.comments.add(("services",), line)
    for name in sorted(hands.mapping.variables):
        hands.report.note(process.element, f"the mapping gives {name!r}")


def _notes(process: Process) -> Iterator[str]:
    for scope in scopes_of(process.scope):
        for element in scope.aside:
            if element.kind == "textAnnotation" and element.name:
                yield f"Note (line {element.spot.line}): {one_line(element.name, 200)}"
