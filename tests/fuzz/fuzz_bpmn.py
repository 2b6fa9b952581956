"""What the import of BPMN makes of any bytes: a lifecycle that loads, or problems with places."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from waystage.bpmn import import_bpmn, judge
from waystage.check import check_lifecycle
from waystage.errors import Invalid

FILES = Path(__file__).resolve().parents[1] / "bpmn" / "files"

HEAD = b'<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"><process id="p">'
SMALL = (
    b'<startEvent id="a"/><sequenceFlow id="b" sourceRef="a" targetRef="c"/><userTask id="c"/>',
    b'<exclusiveGateway id="a"/><sequenceFlow id="b" sourceRef="a" targetRef="a">'
    b"<conditionExpression>${x &lt; 1 and (y eq 'z')}</conditionExpression></sequenceFlow>",
    b'<parallelGateway id="a"/><sequenceFlow id="b" sourceRef="a" targetRef="d"/>'
    b'<sequenceFlow id="c" sourceRef="a" targetRef="d"/><parallelGateway id="d"/>',
    b'<intermediateCatchEvent id="a"><timerEventDefinition><timeCycle>R3/PT1M</timeCycle>'
    b"</timerEventDefinition></intermediateCatchEvent>",
    b'<subProcess id="a"><startEvent id="b"/><endEvent id="c"><errorEventDefinition/></endEvent>'
    b'</subProcess><boundaryEvent id="d" attachedToRef="a"><errorEventDefinition/></boundaryEvent>',
)


def one_input(data: bytes) -> None:
    """Import the bytes, and prove what came of them."""
    try:
        imported = import_bpmn(data, "given.bpmn")
    except Invalid as error:
        _located(error)
        return
    for entry in imported.report.entries.values():
        assert entry.became or entry.hands or entry.notes, entry
    judge(imported, check_lifecycle(imported.loaded, None, {}))


def _located(error: Invalid) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.line >= 1 or problem.code == "E-BPMN-SIZE", problem
        assert str(problem).isprintable(), problem


def seeds() -> Iterator[bytes]:
    """Give the processes of the tests, and small ones for each kind of element."""
    for path in sorted(FILES.glob("*.bpmn")):
        yield path.read_bytes()
    for inner in SMALL:
        yield HEAD + inner + b"</process></definitions>"
