"""Values with expressions in their texts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from waystage.errors import ExpressionError
from waystage.expressions import BadExpression, compile_template

ENV: dict[str, Any] = {
    "service": "cc-fraud",
    "stage": "PROD",
    "params": {"floor": 0.1 + 0.2, "whole": 1.0, "n": 3, "list": [1, 2], "none": None, "yes": True,
               "nan": float("nan")},
    "now": datetime(2026, 3, 1, tzinfo=UTC),
}  # fmt: skip


def render(value: Any) -> Any:
    return compile_template(value).render(ENV)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ service }}/{{stage}}", "cc-fraud/PROD"),
        ("KS {{ params.floor }} of {{ params.whole }}, {{ params.n }}", "KS 0.3 of 1, 3"),
        ("{{ params.floor }}", 0.1 + 0.2),
        ("{{ params.none }}", None),
        ("{{ params.list }}", [1, 2]),
        ("is {{ params.list }} {{ params.yes }}", "is [1, 2] true"),
        (" {{ params.n }}", " 3"),
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("{{ {'a': {'b': 1}}}}", {"a": {"b": 1}}),
        ("{{ '}}' }}!{{ \"{{\" }}", "}}!{{"),
        ("{{ 'it\\'s }}' }}", "it's }}"),
        ("{{ now }}", "2026-03-01T00:00:00Z"),
        ("{{ now + duration('P1D') }}", "2026-03-02T00:00:00Z"),
        ("{{ duration('26h1.5s') }}", "P1DT2H1.5S"),
        ("in {{ duration('PT0S') }}", "in PT0S"),
        ("{{ [now] }}", ["2026-03-01T00:00:00Z"]),
        ("no expression } } {", "no expression } } {"),
        ("", ""),
    ],
)
def test_a_text_is_rendered(text: str, expected: Any) -> None:
    found = render(text)
    assert found == expected
    assert type(found) is type(expected)


def test_expressions_are_found_wherever_texts_are() -> None:
    template = compile_template({"a": [1, {"b": "x {{ service }}"}], "c": ("{{ stage }}",), "d": 2})
    assert template.render(ENV) == {"a": [1, {"b": "x cc-fraud"}], "c": ["PROD"], "d": 2}
    assert [(path, e.text) for path, e in template.expressions] == [
        (("a", 1, "b"), "service"),
        (("c", 0), "stage"),
    ]
    assert not template.constant


def test_a_value_without_expressions_is_given_back_untouched() -> None:
    value = {"a": [1, {"b": "text"}], "c": None, "d": 0.5}
    template = compile_template(value)
    assert template.constant
    assert template.expressions == ()
    assert template.render({}) is value


def test_rendering_leaves_the_written_value_alone() -> None:
    value = {"a": ["{{ service }}"]}
    assert compile_template(value).render(ENV) == {"a": ["cc-fraud"]}
    assert value == {"a": ["{{ service }}"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x {{ params.none }}", "null cannot stand in a text"),
        ("{{ params.nan }}", "cannot be written as JSON"),
        ("{{ b'a' }}", "cannot be written as JSON"),
        ("{{ params.missing }}", "there is no 'missing' in params"),
    ],
)
def test_what_cannot_be_written_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        render(text)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("x {{ service", 3, "{{ is not closed"),
        ("x {{ 'a }}", 3, "{{ is not closed"),
        ("x {{ servce }}", 6, "there is no name 'servce'"),
        ("x {{ }}", 6, "is empty"),
        ("{{ 1 }}{{ 1 + }}", 14, "ends too early"),
    ],
)
def test_a_bad_template_is_refused_with_the_column_in_its_text(
    text: str, column: int, message: str
) -> None:
    with pytest.raises(BadExpression) as caught:
        compile_template({"a": text})
    assert caught.value.column == column
    assert message in caught.value.message
    assert caught.value.text == text
