"""BPMN for tests: short texts become files, and processes are drawn by hypothesis."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from hypothesis import strategies as st

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
             xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
             xmlns:flowable="http://flowable.org/bpmn"
             xmlns:camunda="http://camunda.org/schema/1.0/bpmn"
             targetNamespace="http://example.org">
"""


def file_of(body: str, names: str = "", process: str = "example") -> bytes:
    """Give a file with one process."""
    inner = f'<process id="{process}" isExecutable="true">\n{body}\n</process>'
    return f"{HEAD}{names}{inner}\n</definitions>\n".encode()


def flows(*pairs: str) -> str:
    """Write flows: `a>b`, `a>b:condition`; the id of each is `a_b`."""
    found = []
    for pair in pairs:
        ends, _, condition = pair.partition(":")
        source, _, target = ends.partition(">")
        inner = f"<conditionExpression>{escape(condition)}</conditionExpression>"
        found.append(
            f'<sequenceFlow id="{source}_{target}" sourceRef="{source}" targetRef="{target}">'
            f"{inner if condition else ''}</sequenceFlow>"
        )
    return "\n".join(found)


class Drawn:
    """A process while it is drawn: what is written, and the ids that were given."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.ids: list[str] = []

    def node(self, tag: str, inner: str = "", **attributes: str) -> str:
        """Write an element with an id of its own."""
        name = f"{tag}{len(self.ids)}"
        self.ids.append(name)
        title = self.draw(st.sampled_from(["", "Same name", "Prüfe {{ it }}", "done", "on: [x]"]))
        said = {"id": name, "name": title} | {k.replace("_", ":"): v for k, v in attributes.items()}
        written = " ".join(f"{key}={quoteattr(value)}" for key, value in said.items() if value)
        self.lines.append(f"<{tag} {written}>{inner}</{tag}>")
        return name

    def flow(self, source: str, target: str, condition: str = "") -> str:
        """Write a flow."""
        name = f"flow{len(self.ids)}"
        self.ids.append(name)
        inner = f"<conditionExpression>{escape(condition)}</conditionExpression>"
        self.lines.append(
            f'<sequenceFlow id="{name}" sourceRef="{source}" targetRef="{target}">'
            f"{inner if condition else ''}</sequenceFlow>"
        )
        return name


CONDITIONS = st.sampled_from([
    "${a < 1}", "${a >= 1 && b == 'x'}", "${!c}", "${bean.ask(a)}", "${a > 'x' ? b : c}",
    "#{empty a}", "nonsense ${", "${a ==}", "${b eq 'it''s'}", "${a / 2 > 1 or not c}",
])  # fmt: skip
TIMES = st.sampled_from([
    "<timeDuration>PT5M</timeDuration>", "<timeDuration>P1M</timeDuration>",
    "<timeCycle>R3/PT10M</timeCycle>", "<timeCycle>0 0 6 ? * 2-6</timeCycle>",
    "<timeDate>2026-01-01T00:00:00</timeDate>", "<timeDuration>${later}</timeDuration>", "",
])  # fmt: skip
FORM = ('<extensionElements><flowable:formProperty id="b" type="enum"><flowable:value id="x"/>'
        '<flowable:value id="y"/></flowable:formProperty></extensionElements>')  # fmt: skip
DATA = ('<extensionElements><camunda:formData><camunda:formField id="c" type="boolean"/>'
        "</camunda:formData></extensionElements>")  # fmt: skip


@st.composite
def structured(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """Draw a process in which everything nests, and give the ids in it."""
    drawn = Drawn(draw)
    start = drawn.node("startEvent")
    last = _sequence(drawn, start, draw(st.integers(1, 3)), 0)
    drawn.flow(last, drawn.node("endEvent"))
    return file_of("\n".join(drawn.lines)), drawn.ids


def _sequence(drawn: Drawn, at: str, length: int, depth: int) -> str:
    for _ in range(length):
        kinds = ["work", "ask", "wait", "bordered"]
        kinds += ["choose", "together", "as_needed", "inside", "again", "first", "beside"] * (
            depth < 3
        )
        at = globals()[f"_{drawn.draw(st.sampled_from(kinds))}"](drawn, at, depth)
    return at


def _work(drawn: Drawn, at: str, depth: int) -> str:
    tag = drawn.draw(st.sampled_from(["serviceTask", "scriptTask", "sendTask", "task",
                                      "businessRuleTask", "callActivity", "receiveTask",
                                      "intermediateThrowEvent", "manualTask"]))  # fmt: skip
    node = drawn.node(tag, camunda_delegateExpression=drawn.draw(st.sampled_from(["", "${d}"])))
    drawn.flow(at, node)
    return node


def _ask(drawn: Drawn, at: str, depth: int) -> str:
    form = drawn.draw(st.sampled_from([FORM, DATA, ""]))
    groups = drawn.draw(st.sampled_from(["", "g, ${h}"]))
    node = drawn.node("userTask", form, flowable_candidateGroups=groups)
    drawn.flow(at, node)
    return node


def _wait(drawn: Drawn, at: str, depth: int) -> str:
    kind = drawn.draw(st.sampled_from(["timer", "message", "signal", "conditional"]))
    inner = drawn.draw(TIMES) if kind == "timer" else ""
    tag = f"{kind}EventDefinition"
    node = drawn.node("intermediateCatchEvent", f"<{tag}>{inner}</{tag}>")
    drawn.flow(at, node)
    return node


def _bordered(drawn: Drawn, at: str, depth: int) -> str:
    node = _ask(drawn, at, depth) if drawn.draw(st.booleans()) else _work(drawn, at, depth)
    if not node.startswith(HOSTS):
        return node
    kind = drawn.draw(st.sampled_from(["timer", "error", "signal", "escalation", "compensate"]))
    inner = drawn.draw(TIMES) if kind == "timer" else ""
    tag = f"{kind}EventDefinition"
    event = drawn.node("boundaryEvent", f"<{tag}>{inner}</{tag}>", attachedToRef=node,
                       cancelActivity=drawn.draw(st.sampled_from(["", "false"])))  # fmt: skip
    if drawn.draw(st.booleans()):
        work = _work(drawn, event, depth)
        if drawn.draw(st.booleans()):
            drawn.flow(work, drawn.node("endEvent"))
    return node


def _choose(drawn: Drawn, at: str, depth: int) -> str:
    split, merge = drawn.node("exclusiveGateway"), drawn.node("exclusiveGateway")
    drawn.flow(at, split)
    for _ in range(drawn.draw(st.integers(1, 3))):
        _way(drawn, split, merge, depth, drawn.draw(CONDITIONS))
    if drawn.draw(st.booleans()):
        default = drawn.flow(split, merge)
        drawn.lines = [line.replace(f'id="{split}"', f'id="{split}" default="{default}"')
                       for line in drawn.lines]  # fmt: skip
    return merge


def _way(drawn: Drawn, split: str, merge: str, depth: int, condition: str = "") -> None:
    first = drawn.node("serviceTask")
    drawn.flow(split, first, condition)
    last = _sequence(drawn, first, drawn.draw(st.integers(0, 2)), depth + 1)
    drawn.flow(last, merge)


def _together(drawn: Drawn, at: str, depth: int) -> str:
    fork, join = drawn.node("parallelGateway"), drawn.node("parallelGateway")
    drawn.flow(at, fork)
    for _ in range(drawn.draw(st.integers(2, 3))):
        _way(drawn, fork, join, depth)
    return join


def _as_needed(drawn: Drawn, at: str, depth: int) -> str:
    fork, join = drawn.node("inclusiveGateway"), drawn.node("inclusiveGateway")
    drawn.flow(at, fork)
    for _ in range(drawn.draw(st.integers(2, 3))):
        _way(drawn, fork, join, depth, drawn.draw(CONDITIONS))
    return join


def _inside(drawn: Drawn, at: str, depth: int) -> str:
    outer, drawn.lines = drawn.lines, []
    start = drawn.node("startEvent")
    last = _sequence(drawn, start, drawn.draw(st.integers(0, 2)), depth + 1)
    thrown = drawn.draw(st.sampled_from(["", "<errorEventDefinition/>",
                                         "<terminateEventDefinition/>"]))  # fmt: skip
    drawn.flow(last, drawn.node("endEvent", thrown))
    inner, drawn.lines = "\n".join(drawn.lines), outer
    node = drawn.node(drawn.draw(st.sampled_from(["subProcess", "transaction"])), inner)
    drawn.flow(at, node)
    return node


def _again(drawn: Drawn, at: str, depth: int) -> str:
    merge = drawn.node("exclusiveGateway")
    drawn.flow(at, merge)
    work = drawn.node("serviceTask")
    drawn.flow(merge, work)
    split = drawn.node("exclusiveGateway")
    drawn.flow(work, split)
    drawn.flow(split, merge, drawn.draw(CONDITIONS))
    after = drawn.node("serviceTask")
    drawn.flow(split, after, drawn.draw(CONDITIONS))
    return after


def _beside(drawn: Drawn, at: str, depth: int) -> str:
    """Draw a sub-process that an event starts."""
    outer, drawn.lines = drawn.lines, []
    kind = drawn.draw(st.sampled_from(["timer", "error", "signal", "escalation"]))
    inner = drawn.draw(TIMES) if kind == "timer" else ""
    tag = f"{kind}EventDefinition"
    start = drawn.node("startEvent", f"<{tag}>{inner}</{tag}>",
                       isInterrupting=drawn.draw(st.sampled_from(["", "false"])))  # fmt: skip
    drawn.flow(_sequence(drawn, start, 1, 3), drawn.node("endEvent"))
    text, drawn.lines = "\n".join(drawn.lines), outer
    drawn.node("subProcess", text, triggeredByEvent="true")
    return at


def _first(drawn: Drawn, at: str, depth: int) -> str:
    gateway, merge = drawn.node("eventBasedGateway"), drawn.node("exclusiveGateway")
    drawn.flow(at, gateway)
    for _ in range(2):
        drawn.flow(_wait(drawn, gateway, depth), merge)
    return merge


TAGS = ("startEvent", "endEvent", "userTask", "serviceTask", "scriptTask", "exclusiveGateway",
        "parallelGateway", "inclusiveGateway", "eventBasedGateway", "complexGateway",
        "intermediateCatchEvent", "intermediateThrowEvent", "boundaryEvent", "subProcess",
        "adHocSubProcess", "callActivity", "receiveTask", "dataObject",
        "textAnnotation")  # fmt: skip
HOSTS = ("userTask", "serviceTask", "scriptTask", "subProcess", "callActivity", "receiveTask")
DEFINITIONS = ("", *(f"<{kind}EventDefinition/>" for kind in (
    "timer", "message", "signal", "error", "escalation", "terminate", "compensate", "link",
    "conditional", "cancel",
)))  # fmt: skip


@st.composite
def tangled(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """Draw nodes and flows between any of them, and give the ids."""
    drawn = Drawn(draw)
    count = draw(st.integers(1, 12))
    for _ in range(count):
        tag = draw(st.sampled_from(TAGS))
        inner = draw(st.sampled_from(DEFINITIONS)) if tag.endswith("Event") else ""
        activities = [each for each in drawn.ids if each.startswith(HOSTS)]
        if tag == "boundaryEvent" and not activities:
            continue
        host = draw(st.sampled_from(activities)) if tag == "boundaryEvent" else ""
        drawn.node(tag, inner, attachedToRef=host)
    able = [each for each in drawn.ids if not each.startswith(("dataObject", "textAnnotation"))]
    for _ in range(draw(st.integers(0, 18)) if able else 0):
        source, target = draw(st.sampled_from(able)), draw(st.sampled_from(able))
        if source.startswith("endEvent") or target.startswith(("startEvent", "boundaryEvent")):
            continue
        drawn.flow(source, target, draw(st.one_of(st.just(""), CONDITIONS)))
    return file_of("\n".join(drawn.lines)), drawn.ids
