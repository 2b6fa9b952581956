"""Mistakes of the original are found with their places, and their cures are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from bpmn_processes import file_of, flows

from waystage.bpmn import Finding, Imported, Mapping, import_bpmn, judge, read_mapping
from waystage.check import check_lifecycle
from waystage.registry import load_catalog

FILES = Path(__file__).parent / "files"


def judged(name: str, mapping: Mapping | None = None) -> Imported:
    """Import one of the files, and lead back what `validate` says."""
    content = (FILES / name).read_bytes()
    imported = import_bpmn(content, name, mapping=mapping or Mapping())
    judge(imported, check_lifecycle(imported.loaded, None, load_catalog()))
    return imported


def found(imported: Imported, code: str) -> list[Finding]:
    return [each for each in imported.report.findings if each.code == code]


MISTAKES = {
    "champion_flowable.bpmn": {
        "W-BPMN-POLL": "pause", "W-BPMN-SEVERITY": "tell", "W-BPMN-FIELD-UNREAD": "imageTag",
        "W-BPMN-CONSTANT": "driftStatus", "W-BPMN-BOUNDARY": "SCAN_FAILED",
        "W-GUARD-HOLE": "data.ks_floor are equal", "E-GUARD-NO-DEFAULT": "no guard holds",
    },
    "champion_camunda.bpmn": {
        "W-BPMN-POLL": "Event_poll", "W-BPMN-SEVERITY": "Gateway_ks",
        "W-BPMN-FIELD-UNREAD": "image_tag", "W-BPMN-CONSTANT": "HEALTHY",
        "W-BPMN-BOUNDARY": "DEPLOY_FAILED", "W-GUARD-HOLE": "is 0.3,",
        "E-GUARD-NO-DEFAULT": "no guard holds",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_of_the_champion_process_is_found_at_its_line(name: str) -> None:
    imported = judged(name)
    lines = (FILES / name).read_text().splitlines()
    for code, says in MISTAKES[name].items():
        (first, *_) = found(imported, code)
        assert says in first.message, code
        assert lines[first.line - 1][first.column - 1] == "<"


def test_holes_are_led_back_to_the_gateway() -> None:
    (hole,) = found(judged("champion_flowable.bpmn"), "W-GUARD-HOLE")
    assert hole.element == "exclusiveGateway 'KS good?' (good)"


MENDED = (
    ("gt; ksFloor", "gt;= ksFloor"),
    ('<boundaryEvent id="scanFailed"', '<sequenceFlow id="m1" sourceRef="scanFailed" '
     'targetRef="rejected"/><boundaryEvent id="scanFailed"'),
    ("<timeDuration>PT30S", "<timeDuration>PT2H"),
    ('stringValue="https://api', 'expression="${imageTag}" stringValue="https://api'),
    ('name="requestMethod" stringValue="POST"', 'name="requestMethod" stringValue="${imageTag}"'),
    ('"severity" stringValue="ERROR"', '"severity" stringValue="INFO"'),
    ('"severity" stringValue="INFO"/>\n        <flowable:field name="message" stringValue="Depl',
     '"severity" stringValue="ERROR"/>\n        <flowable:field name="message" stringValue="Depl'),
    ("${'OK'}", "${drift.measure()}"),
)  # fmt: skip


def test_the_mended_process_has_none_of_them() -> None:
    text = (FILES / "champion_flowable.bpmn").read_text()
    for wrong, right in MENDED:
        assert wrong in text
        text = text.replace(wrong, right)
    imported = import_bpmn(text.encode(), "mended.bpmn")
    assert imported.report.findings == []


def test_with_its_mapping_the_camunda_process_uses_what_is_there() -> None:
    imported = judged("champion_camunda.bpmn", read_mapping(FILES / "champion_map.yaml"))
    spec = imported.loaded.spec
    assert spec.start[0].on == "snapshot.registered"
    main = spec.states["main"]
    assert main.states
    assert main.states["deploy_champion"].stage == "PROD"
    assert main.signals == ("snapshot.superseded",)
    assert found(imported, "E-PLUGIN-SETTINGS")[0].element.startswith("serviceTask 'Retrain'")


def of(body: str, *pairs: str, names: str = "") -> list[str]:
    """Give the codes of what is wrong in a small process."""
    text = f'<startEvent id="s"/><endEvent id="e"/>{body}{flows(*pairs)}'
    return [each.code for each in import_bpmn(file_of(text, names), "x.bpmn").report.findings]


POLL = """<serviceTask id="t" camunda:resultVariable="r"/><exclusiveGateway id="g" default="g_w"/>
    <intermediateCatchEvent id="w"><timerEventDefinition><timeDuration>PT1M</timeDuration>
    </timerEventDefinition></intermediateCatchEvent>"""
ROUND = ("s>w", "w>t", "t>g", "g>w", "g>e:${r == 'ok'}")


def test_a_poll_with_a_deadline_or_a_count_is_none() -> None:
    assert of(POLL, *ROUND) == ["W-BPMN-POLL"]
    late = """<boundaryEvent id="b" attachedToRef="t"><timerEventDefinition><timeDuration>PT1H
        </timeDuration></timerEventDefinition></boundaryEvent>"""
    assert of(POLL + late, *ROUND, "b>e") == []
    count = '<scriptTask id="c"><script>n = n + 1</script></scriptTask>'
    assert of(POLL + count, "s>w", "w>t", "t>c", "c>g", "g>w", "g>e:${r == 'ok'}") == []


def test_an_error_that_ends_a_sub_process_must_be_caught() -> None:
    body = """<subProcess id="p"><startEvent id="ps"/><endEvent id="pe"><errorEventDefinition
        errorRef="x"/></endEvent><sequenceFlow id="pf" sourceRef="ps" targetRef="pe"/>
        </subProcess>"""
    names = '<error id="x" errorCode="BAD"/><error id="y" errorCode="OTHER"/>'
    border = """<boundaryEvent id="b" attachedToRef="p"><errorEventDefinition errorRef="{}"/>
        </boundaryEvent>"""
    assert of(body, "s>p", "p>e", names=names) == ["W-BPMN-UNCAUGHT"]
    assert of(body + border.format("x"), "s>p", "p>e", "b>e", names=names) == []
    assert of(body + border.format("y"), "s>p", "p>e", "b>e", names=names) == ["W-BPMN-UNCAUGHT"]


def test_a_data_object_that_nothing_writes_decides_nothing() -> None:
    body = """<dataObject id="d" name="status"><extensionElements><flowable:value>OK
        </flowable:value></extensionElements></dataObject>
        <exclusiveGateway id="g" default="g_f"/><endEvent id="f"/>"""
    assert of(body, "s>g", "g>e:${status == 'OK'}", "g>f") == ["W-BPMN-CONSTANT"]
    limit = body.replace("OK\n        ", "3").replace('name="status"', 'name="limit"')
    step = '<serviceTask id="t" camunda:resultVariable="n"/>'
    assert of(limit + step, "s>t", "t>g", "g>e:${n > limit}", "g>f") == []


LEVELS = """<dataObject id="d1" name="warnAt" itemSubjectRef="xsd:double"><extensionElements>
    <flowable:value>{warn}</flowable:value></extensionElements></dataObject>
    <dataObject id="d2" name="breachAt" itemSubjectRef="xsd:double"><extensionElements>
    <flowable:value>{breach}</flowable:value></extensionElements></dataObject>
    <serviceTask id="t" camunda:resultVariable="ks"/><exclusiveGateway id="g" default="g_e"/>
    <serviceTask id="w" name="Warn"/><serviceTask id="b" name="Breach"/>"""


@pytest.mark.parametrize(("warn", "breach", "codes"), [
    ("0.33", "0.30", []), ("0.30", "0.33", ["W-BPMN-SEVERITY"]),
])  # fmt: skip
def test_a_pair_of_limits_that_is_swapped_is_found(
    warn: str, breach: str, codes: list[str]
) -> None:
    pairs = ("s>t", "t>g", "g>b:${ks < breachAt}", "g>w:${ks < warnAt}", "g>e")
    assert of(LEVELS.format(warn=warn, breach=breach), *pairs) == codes
