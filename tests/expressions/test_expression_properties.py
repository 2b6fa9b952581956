"""What holds for any expression and any data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isfinite
from operator import add, eq, ge, gt, le, lt, mul, ne, sub
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from waystage.errors import ExpressionError
from waystage.expressions import (
    BadExpression,
    Expression,
    Scope,
    compile_expression,
    compile_template,
)
from waystage.expressions.checker import Checker
from waystage.expressions.types import DYN, type_of_value

TOKENS = """
params data snapshot service now x . .a .b [ ] ( ) { } , : ? + - * / % < <= > >= == != && || ! in
0 1 2.5 9223372036854775807 0x1F 1e308 'a' "b" b'c' r'\\d' true false null has( size( .all(x,
.exists(x, .map(x, .filter(x, .exists_one(x, int( double( string( timestamp( duration( 'P1D'
'2026-01-01T00:00:00Z' .getHours( .matches( .contains( \\ ' " // {{ }} 1u for
"""
WORDS = TOKENS.split()
texts = st.one_of(
    st.text(max_size=50),
    st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=14).map("".join),
)
integers = st.integers(-(2**63), 2**63 - 1)
numbers = st.one_of(integers, st.floats(allow_nan=False, allow_infinity=False))
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3)
    ),
    max_leaves=8,
)
OPERATORS = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne}


class Failure(str):
    """The message of an error in the place of a value."""


def read(text: str) -> Expression | BadExpression:
    try:
        return compile_expression(text)
    except BadExpression as error:
        return error


def outcome(expression: Expression, env: dict[str, Any]) -> Any:
    try:
        return expression.evaluate(env)
    except ExpressionError as error:
        return Failure(error)


@given(texts, json)
def test_any_text_is_refused_or_has_a_value_or_an_error(text: str, data: Any) -> None:
    env = {"params": data, "data": data, "snapshot": {"a": data}, "service": "s"}
    env["now"] = datetime(2026, 1, 1, tzinfo=UTC)
    expression = read(text)
    if isinstance(expression, BadExpression):
        assert 1 <= expression.column <= len(text) + 1
        return
    expression.check(Scope({"params": DYN}))
    assert all(path[0] in env or path[0] in ("x", "y") for path in expression.references)
    found = outcome(expression, env)
    assert not isinstance(found, Failure) or found.startswith(f"{expression.text}: ")


@given(texts, json)
def test_any_template_is_refused_or_renders_or_has_an_error(text: str, data: Any) -> None:
    try:
        template = compile_template({"k": [text, data]})
    except BadExpression:
        return
    try:
        rendered = template.render({"params": data, "data": data, "service": "s"})
    except ExpressionError:
        return
    if template.constant:
        assert rendered is template.value


@given(numbers, numbers, st.sampled_from(sorted(OPERATORS)))
def test_numbers_compare_as_in_mathematics(x: float, y: float, operator: str) -> None:
    env = {"data": {"x": x, "y": y}}
    found = compile_expression(f"data.x {operator} data.y").evaluate(env)
    assert found is OPERATORS[operator](x, y)


@given(integers, integers, st.sampled_from([("+", add), ("-", sub), ("*", mul)]))
def test_integers_compute_exactly_or_not_at_all(x: int, y: int, how: Any) -> None:
    symbol, operator = how
    expression = compile_expression(f"data.x {symbol} data.y")
    exact = operator(x, y)
    try:
        assert expression.evaluate({"data": {"x": x, "y": y}}) == exact
    except ExpressionError:
        assert not -(2**63) <= exact < 2**63


@given(integers, integers.filter(bool))
def test_quotient_and_remainder_belong_together(x: int, y: int) -> None:
    if (x, y) == (-(2**63), -1):
        return
    env = {"data": {"x": x, "y": y}}
    quotient = compile_expression("data.x / data.y").evaluate(env)
    remainder = compile_expression("data.x % data.y").evaluate(env)
    assert quotient * y + remainder == x
    assert abs(remainder) < abs(y)
    assert remainder == 0 or (remainder < 0) == (x < 0)


@given(st.floats(), st.floats())
def test_doubles_compute_finite_results_or_none(x: float, y: float) -> None:
    for symbol in "+-*/":
        try:
            found = compile_expression(f"data.x {symbol} data.y").evaluate(
                {"data": {"x": x, "y": y}}
            )
        except ExpressionError:
            continue
        assert isfinite(found)


@given(
    st.sampled_from([None, float("nan"), float("inf"), -float("inf"), "0.3", True, [], {}]),
    st.sampled_from(sorted(OPERATORS)),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_no_gate_is_passed_by_what_is_no_number(bad: Any, operator: str, limit: float) -> None:
    env = {"data": {"bad": bad, "limit": limit}}
    for text in (f"data.bad {operator} data.limit", f"data.limit {operator} data.bad"):
        for form in (text, f"!({text})", f"{text} || false", f"{text} && true"):
            try:
                found = compile_expression(form).evaluate(env)
            except ExpressionError:
                continue
            raise AssertionError(f"{form} with {bad!r} gave {found!r}")


@given(st.text(max_size=30))
def test_a_text_literal_reads_back_as_itself(text: str) -> None:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    quoted = plain.replace("\n", "\\n").replace("\r", "\\r")
    if any(ord(letter) in (0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029) for letter in text):
        return  # line breaks of other alphabets need no escape, and are not what is meant here
    assert compile_expression(f'"{quoted}"').evaluate({}) == text


@given(st.timedeltas(min_value=timedelta(days=-9999), max_value=timedelta(days=9999)))
def test_a_span_reads_back_as_itself(span: timedelta) -> None:
    env = {"data": {"span": span}}
    assert compile_expression("duration(string(data.span)) == data.span").evaluate(env) is True


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))
def test_an_instant_reads_back_as_itself(naive: datetime) -> None:
    env = {"data": {"at": naive.replace(tzinfo=UTC)}}
    assert compile_expression("timestamp(string(data.at)) == data.at").evaluate(env) is True


@given(texts, json)
def test_what_passes_the_type_check_never_fails_on_a_kind(text: str, data: Any) -> None:
    """A checked expression may lack a key or divide by zero, but compares what is comparable."""
    env = {"params": data, "data": data, "service": "s", "now": datetime(2026, 1, 1, tzinfo=UTC)}
    expression = read(text)
    if isinstance(expression, BadExpression):
        return
    names = {name: type_of_value(value) for name, value in env.items()}
    checker = Checker(names)
    found = checker.type(expression.ast)
    if checker.problems or "dyn" in str(names) or "snapshot" in text:
        return
    value = outcome(expression, env)
    if isinstance(value, Failure):
        assert "needs a bool, not" not in value
    elif found.kind in ("bool", "int", "double", "string"):
        assert type_of_value(value).kind == found.kind
