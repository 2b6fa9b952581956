"""Expressions of Flowable and Camunda become ours, or are left with the reason."""

from __future__ import annotations

import contextlib

import pytest
from bpmn_processes import file_of, flows
from hypothesis import given
from hypothesis import strategies as st

from waystage.bpmn import import_bpmn, juel
from waystage.check import check_lifecycle
from waystage.expressions import BadExpression, compile_expression, compile_template


def ours(text: str) -> str:
    return juel.translate(text, lambda name: f"data.{name}")


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ("${ks < 0.3 && approved == 'yes'}", 'data.ks < 0.3 && data.approved == "yes"'),
        ("#{a eq 1 or b ne 2}", "data.a == 1 || data.b != 2"),
        ("${not a and !b}", "!data.a && !data.b"),
        ("${(a || b) && c}", "(data.a || data.b) && data.c"),
        ("${a.b['c'] ge 3}", 'data.a.b["c"] >= 3'),
        ("${n mod 2 == 1}", "data.n % 2 == 1"),
        ("${a - (b - c) > 0}", "data.a - (data.b - data.c) > 0"),
        ("${a / 2 > .5}", "double(data.a) / double(2) > 0.5"),
        ("${a ? 'x' : 'y'}", 'data.a ? "x" : "y"'),
        ("${-1 < a}", "-1 < data.a"),
        ("${!!a}", "!(!data.a)"),
        ("${execution.getVariable('ks') > 1}", "data.ks > 1"),
        ('${a == "it\'s"}', 'data.a == "it\'s"'),
    ],
)
def test_what_can_be_said_is_said(theirs: str, expected: str) -> None:
    assert ours(theirs) == expected
    compile_expression(expected)


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        ("${bean.check(a)}", "calls the bean's"),
        ("${check(a)}", "calls 'check'"),
        ("${empty a}", "`empty`"),
        ("${a ==}", "ends too early"),
        ("${a b}", "goes on with 'b'"),
        ("${}", "empty"),
        ("${a # b}", "'#'"),
        ("${" + "!" * 60 + "a}", "too deep"),
        ("${" + "(" * 60 + "a" + ")" * 60 + "}", "too deep"),
        ("${" + "a && " * 2000 + "b}", "too long"),
    ],
)
def test_what_cannot_be_said_says_why(theirs: str, why: str) -> None:
    with pytest.raises(juel.Untranslatable, match=why.replace("(", r"\(")):
        ours(theirs)


@given(st.text("ab1.'\"<>=!&|()[]?:+-*/% ,${}#"))
def test_whatever_is_written_is_translated_or_refused(text: str) -> None:
    try:
        found = ours(text)
    except juel.Untranslatable:
        return
    with contextlib.suppress(BadExpression):  # chains of comparisons are for validate to tell
        compile_expression(found)


def test_a_text_with_expressions_becomes_a_template() -> None:
    found = juel.template("KS is ${ks} of ${n}", lambda name: f"data.{name}")
    assert found == "KS is {{ data.ks }} of {{ data.n }}"
    assert compile_template(found).render({"data": {"ks": 0.3, "n": 2}}) == "KS is 0.3 of 2"


def test_a_condition_that_cannot_be_translated_is_never_true() -> None:
    body = """<startEvent id="s"/><serviceTask id="t"/><exclusiveGateway id="g" default="g_f"/>
        <endEvent id="e"/><endEvent id="f"/>""" + flows("s>t", "t>g", "g>e:${bean.ok()}", "g>f")
    imported = import_bpmn(file_of(body), "x.bpmn")
    guard = imported.loaded.spec.states["t"].next["done"][0].if_
    assert guard == "data.by_hand_g_e"
    problems = check_lifecycle(imported.loaded, None, {})
    assert any(p.code == "E-EXPRESSION-TYPE" and "by_hand_g_e" in p.message for p in problems)
    assert "${bean.ok()}" in imported.text
    assert imported.report.entries["g_e"].state == "hand"


def test_another_language_needs_a_hand() -> None:
    body = """<startEvent id="s"/><exclusiveGateway id="g" default="g_f"/><endEvent id="e"/>
        <endEvent id="f"/>""" + flows("s>g", "g>e:a == 1", "g>f").replace(
        "<conditionExpression>", '<conditionExpression language="groovy">'
    )
    imported = import_bpmn(file_of(body), "x.bpmn")
    assert "written in groovy" in imported.report.entries["g_e"].hands[0]
