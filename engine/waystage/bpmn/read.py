"""A file of BPMN becomes one process of the model; what cannot be followed is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from waystage.bpmn import dialect
from waystage.bpmn.dialect import BPMN, DIALECTS, said, standard
from waystage.bpmn.model import (
    ACTIVITIES,
    NODES,
    Element,
    Extra,
    Flow,
    Lane,
    Node,
    Process,
    Scope,
    Timing,
    Trigger,
    TriggerKind,
    Variable,
)
from waystage.bpmn.text import clean
from waystage.bpmn.xml import Xml, read_xml
from waystage.errors import Invalid, Problem

MOST_NODES = 1000
MOST_FLOWS = 4000
MOST_WAYS = 40  # out of one element; who reads more guards than that?
DEEPEST = 8
NAMES = ("message", "signal", "error", "escalation", "itemDefinition", "dataStore", "resource",
         "import", "interface", "category")  # fmt: skip
REFERENCES = ("messageRef", "signalRef", "errorRef", "escalationRef", "name")
SUBS = ("subProcess", "transaction", "adHocSubProcess")
DATA_FLOW = ("ioSpecification", "dataInputAssociation", "dataOutputAssociation", "dataInput",
             "dataOutput", "inputSet", "outputSet", "property")  # fmt: skip
INSIDE = frozenset({
    "documentation", "extensionElements", "incoming", "outgoing", "script", "potentialOwner",
    "humanPerformer", "performer", "standardLoopCharacteristics",
    "multiInstanceLoopCharacteristics",
})  # fmt: skip
READ_IN_SCOPE = frozenset({"sequenceFlow", "laneSet", "dataObject", "property"}) | INSIDE | NODES
TIMINGS: tuple[tuple[str, Timing], ...] = (
    ("timeDate", "date"), ("timeDuration", "duration"), ("timeCycle", "cycle"),
)  # fmt: skip
TRIGGERS: dict[str, TriggerKind] = {
    "timerEventDefinition": "timer", "messageEventDefinition": "message",
    "signalEventDefinition": "signal", "errorEventDefinition": "error",
    "escalationEventDefinition": "escalation", "terminateEventDefinition": "terminate",
    "compensateEventDefinition": "compensate", "conditionalEventDefinition": "conditional",
    "linkEventDefinition": "link", "cancelEventDefinition": "cancel",
}  # fmt: skip


class Reading:
    """Reads the one process of a file; keeps all that is wrong on the way."""

    def __init__(self, root: Xml, file: str) -> None:
        self.root, self.file = root, file
        self.problems: list[Problem] = []
        self._names = {
            each.get("id"): clean(each.get("name") or each.get("errorCode")
                                  or each.get("escalationCode") or each.get("id"))
            for each in standard(root, "message", "signal", "error", "escalation")
        }  # fmt: skip
        self._codes = {
            each.get("id"): clean(each.get("errorCode") or each.get("escalationCode"))
            for each in standard(root, "error", "escalation")
        }
        self._nodes = self._flows = 0

    def process(self, wanted: str) -> Process:
        """Give the process with that id, or the only one that can be executed."""
        chosen = self._choose(wanted)
        scope = self.scope(chosen, 0)
        found = Process(
            element_of(chosen), scope, clean(dialect.first_text(chosen, "documentation")),
            dialect.extras_of(chosen), tuple(map(element_of, standard(self.root, *NAMES))),
            tuple(self._aside(chosen)), self._dialect(),
        )  # fmt: skip
        self._ids(found)
        if self.problems:
            raise Invalid(self.problems)
        return found

    def _choose(self, wanted: str) -> Xml:
        if (self.root.space, self.root.tag) != (BPMN, "definitions"):
            text = f"is no BPMN 2.0: its root is <{clean(self.root.tag)}>"
            raise self.wrong("E-BPMN-PROCESS", self.root, text, "export it as BPMN 2.0 XML")
        all_ = list(standard(self.root, "process"))
        full = [each for each in all_ if any(c.tag in NODES for c in each.children)]
        able = [each for each in full if each.get("isExecutable") == "true"] or full
        chosen = [each for each in all_ if each.get("id") == wanted] if wanted else able
        known = ", ".join(clean(each.get("id")) for each in all_[:8])
        if len(chosen) == 1:
            return chosen[0]
        if wanted:
            text = f"has no process {wanted!r}"
            raise self.wrong("E-BPMN-PROCESS", self.root, text, f"there is {known}")
        if not chosen:
            raise self.wrong("E-BPMN-PROCESS", self.root, "has no process with anything in it")
        hint = f"say which by --process: {known}"
        raise self.wrong("E-BPMN-PROCESS", chosen[1], "has more than one process", hint)

    def wrong(self, code: str, xml: Xml, message: str, hint: str = "") -> Invalid:
        """Make the refusal of a file at an element."""
        return Invalid([self._problem(code, xml, message, hint)])

    def _problem(self, code: str, xml: Xml, message: str, hint: str = "") -> Problem:
        spot = xml.spot
        return Problem(code, message, self.file, spot.line, spot.column, suggestion=hint)

    def _aside(self, chosen: Xml) -> Iterator[tuple[Element, str]]:
        for each in self.root.children:
            if each.space == BPMN and each.tag == "process" and each is not chosen:
                why = f"another process; import it by --process {clean(each.get('id'))}"
                yield element_of(each), why
                for inner in each.walk():
                    if inner.space == BPMN and (inner.tag in NODES or inner.tag == "sequenceFlow"):
                        yield element_of(inner), "of another process"
            elif each.space == BPMN and each.tag == "collaboration":
                yield element_of(each), "pools; a lifecycle is one process"
                for inner in standard(each, "participant", "messageFlow"):
                    yield element_of(inner), "of the collaboration"
            elif each.space == BPMN and each.tag not in (*NAMES, "process", *INSIDE):
                yield element_of(each), "no like here"
            elif each.tag == "BPMNDiagram":
                yield element_of(each), "the picture; `waystage graph` draws the lifecycle"

    def _dialect(self) -> str:
        spaces = {space for each in self.root.walk() for space, _ in each.attributes}
        spaces |= {each.space for each in self.root.walk()}
        return next((name for space, name in DIALECTS.items() if space in spaces), "BPMN 2.0")

    def scope(self, xml: Xml, depth: int) -> Scope:
        """Read what stands directly inside of a process or sub-process."""
        if depth > DEEPEST:
            text = f"has sub-processes nested deeper than {DEEPEST} levels"
            raise self.wrong("E-BPMN-SIZE", xml, text, "import the inner ones by themselves")
        nodes = [self._node(each, depth) for each in xml.children
                 if each.space == BPMN and each.tag in NODES]  # fmt: skip
        flows = [self._flow(each) for each in standard(xml, "sequenceFlow")]
        self._ends(nodes, flows)
        lanes = [lane for each in standard(xml, "laneSet") for lane in each.walk()]
        return Scope(
            tuple(nodes), tuple(flows), tuple(self._variables(xml)),
            tuple(_lane(each) for each in lanes if each.tag == "lane"),
            tuple((e.get("sourceRef"), e.get("targetRef")) for e in standard(xml, "association")),
            tuple(element_of(e) for e in xml.children
                  if e.space == BPMN and e.tag not in READ_IN_SCOPE),
        )  # fmt: skip

    def _node(self, xml: Xml, depth: int) -> Node:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            text = f"has more than {MOST_NODES} activities, events and gateways"
            raise self.wrong("E-BPMN-SIZE", xml, text, "split the process")
        inner = self.scope(xml, depth + 1) if xml.tag in SUBS else None
        return Node(
            element_of(xml), clean(dialect.first_text(xml, "documentation")), self._trigger(xml),
            clean(xml.get("attachedToRef")),
            xml.get("cancelActivity") != "false" and xml.get("isInterrupting") != "false",
            xml.get("default"), dialect.people_of(xml), dialect.form_of(xml),
            said(xml, "formKey") or said(xml, "formRef"), dialect.work_of(xml),
            dialect.inputs_of(xml), dialect.outputs_of(xml), dialect.loop_of(xml),
            dialect.retry_of(xml), xml.get("calledElement"), inner,
            xml.get("triggeredByEvent") == "true", xml.get("isForCompensation") == "true",
            (*dialect.extras_of(xml), *_more(xml)),
        )  # fmt: skip

    def _trigger(self, xml: Xml) -> Trigger:
        found = [each for each in xml.children if each.space == BPMN and each.tag in TRIGGERS]
        if xml.tag == "receiveTask":
            return Trigger("message", self._named(xml), spot=xml.spot)
        if not found or xml.tag in ACTIVITIES:
            return Trigger(spot=xml.spot)
        if len(found) > 1:
            return Trigger("multiple", spot=found[1].spot)
        each = found[0]
        for tag, timing in TIMINGS:
            if any(standard(each, tag)):
                text = clean(dialect.first_text(each, tag))
                return Trigger("timer", timing=timing, text=text, spot=each.spot)
        text = clean(dialect.first_text(each, "condition"))
        return Trigger(TRIGGERS[each.tag], self._named(each), text=text, spot=each.spot)

    def _named(self, xml: Xml) -> str:
        ref = next((found for key in REFERENCES if (found := xml.get(key))), "")
        return self._codes.get(ref) or self._names.get(ref, "") or clean(ref)

    def _flow(self, xml: Xml) -> Flow:
        self._flows += 1
        if self._flows > MOST_FLOWS:
            text = f"has more than {MOST_FLOWS} sequence flows"
            raise self.wrong("E-BPMN-SIZE", xml, text, "split the process")
        condition = next(standard(xml, "conditionExpression"), None)
        language = condition.get("language") if condition else ""
        text = condition.text if condition else ""
        return Flow(element_of(xml), xml.get("sourceRef"), xml.get("targetRef"), clean(text),
                    clean(language), dialect.extras_of(xml))  # fmt: skip

    def _ends(self, nodes: list[Node], flows: list[Flow]) -> None:
        """Hold what elements name against what stands beside them."""
        known = {node.id for node in nodes}
        hosts = {node.id for node in nodes if node.kind in ACTIVITIES}
        for flow in flows:
            for role, end in (("begins", flow.source), ("ends", flow.target)):
                if end not in known:
                    text = f"{flow.element} {role} at {clean(end)!r}, which is not in its process"
                    hint = "connect it, or remove it; no flow crosses a sub-process's border"
                    self._lost(flow.element, text, hint)
        kinds = {node.id: node.kind for node in nodes}
        for flow in flows:
            if kinds.get(flow.target) in ("startEvent", "boundaryEvent"):
                text = f"{flow.element} leads to {flow.target!r}, where nothing may arrive"
                self._lost(flow.element, text, f"a {kinds[flow.target]} is where ways begin")
            if kinds.get(flow.source) == "endEvent":
                text = f"{flow.element} leads on from {flow.source!r}, which is an end"
                self._lost(flow.element, text, "make it an intermediate event, or remove the flow")
        ways = Counter(flow.source for flow in flows)
        for node in nodes:
            if ways[node.id] > MOST_WAYS:
                text = f"{node.element} has more than {MOST_WAYS} ways out"
                self._lost(node.element, text, "decide in several steps", "E-BPMN-SIZE")
            if node.kind == "boundaryEvent" and node.attached not in hosts:
                text = f"{node.element} is attached to {node.attached!r}, no activity beside it"
                self._lost(node.element, text, "attach it to one, or remove it")

    def _lost(
        self, element: Element, text: str, hint: str, code: str = "E-BPMN-REFERENCE"
    ) -> None:  # fmt: skip
        spot = element.spot
        self.problems.append(
            Problem(code, text, self.file, spot.line, spot.column, suggestion=hint)
        )

    def _variables(self, xml: Xml) -> Iterator[Variable]:
        types = {clean(each.get("id")): each.get("structureRef")
                 for each in standard(self.root, "itemDefinition")}  # fmt: skip
        for each in standard(xml, "dataObject", "property"):
            kind = each.get("itemSubjectRef")
            value = next((v.text for v in dialect.inside(each, "value")), "")
            yield Variable(element_of(each), clean(each.get("name") or each.get("id")),
                           types.get(kind, kind) or "", clean(value))  # fmt: skip

    def _ids(self, process: Process) -> None:
        found = [e for e in elements(process.scope) if e.id]
        counted = Counter(each.id for each in found)
        for each in found:
            if counted[each.id] > 1:
                counted[each.id] = 0
                text, spot = f"the id {each.id!r} is there twice", each.spot
                self.problems.append(
                    Problem("E-BPMN-ID", text, self.file, spot.line, spot.column,
                            suggestion="give each element its own"))  # fmt: skip


def read_process(content: bytes, file: str, wanted: str = "") -> Process:
    """Read a file's content; raises `Invalid` with places when it is no process of ours."""
    return Reading(read_xml(content, file), file).process(wanted)


def element_of(xml: Xml) -> Element:
    """Give what the report says of an element; without an id, its line is one."""
    name = clean(xml.get("name") or (_annotated(xml) if xml.tag == "textAnnotation" else ""))
    unnamed = f"line_{xml.spot.line}_{xml.spot.column}"
    return Element(xml.tag, xml.get("id") or unnamed, name, xml.spot)


def elements(scope: Scope) -> Iterator[Element]:
    """Give every element of a scope and of those inside it."""
    for node in scope.nodes:
        yield node.element
        if node.scope is not None:
            yield from elements(node.scope)
    for part in (scope.flows, scope.variables, scope.lanes):
        yield from (each.element for each in part)
    yield from scope.aside


def _annotated(xml: Xml) -> str:
    return dialect.first_text(xml, "text")[:80]


def _lane(xml: Xml) -> Lane:
    return Lane(element_of(xml), frozenset(e.text for e in standard(xml, "flowNodeRef")))


def _more(xml: Xml) -> Iterator[Extra]:
    """Give what else stands inside of an element, and what event definitions say in a dialect."""
    for each in xml.children:
        if each.space == BPMN and each.tag in TRIGGERS:
            yield from dialect.extras_of(each)
        elif each.space == BPMN and each.tag in DATA_FLOW:
            yield Extra(f"{each.tag} draws which data go in and out", each.spot, needed=False)
        elif each.space == BPMN and each.tag not in INSIDE and not _of_scope(each, xml):
            yield Extra(each.tag, each.spot)


def _of_scope(xml: Xml, outer: Xml) -> bool:
    return outer.tag in SUBS and xml.tag not in ("ioSpecification",)
