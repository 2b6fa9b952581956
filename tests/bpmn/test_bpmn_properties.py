"""Whatever process comes in: it is refused with places, or everything in it is accounted for."""

from __future__ import annotations

import pytest
from bpmn_processes import structured, tangled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from waystage.bpmn import Imported, import_bpmn, judge
from waystage.check import check_lifecycle
from waystage.errors import Invalid

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def accounted(imported: Imported, ids: list[str]) -> None:
    """Hold the report against what was drawn: each element once, with a word about it."""
    entries = imported.report.entries
    told = [each.element.id for each in entries.values()]
    assert sorted(told) == sorted([*ids, "example"])
    for entry in entries.values():
        assert entry.became or entry.hands or entry.notes, entry


def located(error: Invalid) -> None:
    """Hold a refusal to saying where and what."""
    assert error.problems
    for problem in error.problems:
        assert problem.line > 0, problem
        assert problem.code.startswith("E-BPMN-")


@FEW
@given(structured())
def test_everything_that_nests_is_accounted_for(drawn: tuple[bytes, list[str]]) -> None:
    content, ids = drawn
    imported = import_bpmn(content, "drawn.bpmn")
    accounted(imported, ids)
    known = judge(imported, check_lifecycle(imported.loaded, None, {}))
    assert known >= 0
    assert imported.text == import_bpmn(content, "drawn.bpmn").text


@FEW
@given(tangled())
def test_a_tangle_is_accounted_for_or_refused_with_places(drawn: tuple[bytes, list[str]]) -> None:
    content, ids = drawn
    try:
        imported = import_bpmn(content, "drawn.bpmn")
    except Invalid as error:
        located(error)
        return
    accounted(imported, ids)
    judge(imported, check_lifecycle(imported.loaded, None, {}))


@FEW
@given(st.binary(max_size=400))
def test_bytes_that_are_no_process_are_refused(content: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        import_bpmn(content, "noise.bpmn")
    assert caught.value.problems[0].code == "E-BPMN-XML"


@FEW
@given(st.data())
def test_a_file_that_was_damaged_is_refused_or_accounted_for(data: st.DataObject) -> None:
    content, _ = data.draw(structured())
    at = data.draw(st.integers(0, len(content)))
    cut = data.draw(st.integers(0, 20))
    damaged = content[:at] + data.draw(st.binary(max_size=8)) + content[at + cut :]
    try:
        imported = import_bpmn(damaged, "damaged.bpmn")
    except Invalid as error:
        located(error)
    else:
        assert imported.report.counts["elements"] == len(imported.report.entries)
