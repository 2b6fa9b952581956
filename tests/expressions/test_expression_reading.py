"""How expressions are read and what is refused before anything runs."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from waystage.errors import ExpressionError
from waystage.expressions import BadExpression, compile_expression


@pytest.mark.parametrize(
    ("text", "column", "message", "suggestion"),
    [
        ("", 1, "is empty", ""),
        ("  ", 1, "is empty", ""),
        ("1 +", 4, "ends too early", ""),
        ("[1, 2", 6, "ends too early", ""),
        ("service = 'a'", 9, "'=' is not expected here", "compare with =="),
        ("service and stage", 9, "'and' is not expected here", "write &&"),
        ("service == 'a", 12, "\"'\" is not expected here", "closing quote"),
        ("snapshots.version", 1, "there is no name 'snapshots'", "did you mean snapshot?"),
        ("params.x > 1 || prams.y", 17, "there is no name 'prams'", "did you mean params?"),
        ("service.startswith('a')", 9, "no function startswith()", "did you mean startsWith?"),
        ("len(service)", 1, "there is no function len()", ""),
        ("service.int()", 9, "int() is called as int(value)", ""),
        ("contains(service, 'a')", 1, "contains() is called as value.contains(…)", ""),
        ("service.contains()", 9, "contains() takes 1 argument, not 0", ""),
        ("has(service)", 1, "has() asks for one field", ""),
        ("[1].all(1, true)", 1, "all() needs a name first", ""),
        ("[1].all(x)", 5, "all() is called as list.all(x, …)", ""),
        ("1u", 1, "unsigned numbers", "leave the u away"),
        ("9223372036854775808", 1, "beyond a 64-bit integer", ""),
        ("1e999", 1, "too large for a number", ""),
        (r"'\q'", 1, r"unknown escape \q", ""),
        (r"'\ud800'", 1, "no character", ""),
        ("for", 1, "reserved word", ""),
        ("snapshot{a: 1}", 1, "not part of this language", ""),
        (".service", 1, "not part of this language", ""),
        ("[1].map(x, y)", 12, "there is no name 'y'", ""),
        ("[1].all(x, true) && x", 21, "there is no name 'x'", ""),
    ],
)  # fmt: skip
def test_a_bad_expression_is_refused_with_its_column(
    text: str, column: int, message: str, suggestion: str
) -> None:
    with pytest.raises(BadExpression) as caught:
        compile_expression(text)
    assert caught.value.column == column
    assert message in caught.value.message
    assert suggestion in caught.value.suggestion
    assert isinstance(caught.value, ExpressionError)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "service.__class__()",
        "params.x.format()",
        "eval('1')",
        "lambda: 1",
        "service; stage",
        "`ls`",
    ],
)
def test_python_is_not_part_of_the_language(text: str) -> None:
    with pytest.raises(BadExpression):
        compile_expression(text)


def test_a_field_with_underscores_is_looked_up_in_the_data_alone() -> None:
    with pytest.raises(ExpressionError, match="has no fields"):
        compile_expression("service.__class__").evaluate({"service": "a"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1" * 5000, "longer than 4 KiB"),
        ("'" + "ä" * 2100 + "'", "longer than 4 KiB"),
        ("!" * 70 + "true", "too deeply nested"),
        ("[" * 70 + "]" * 70, "too deeply nested"),
        (" + ".join(["1"] * 100), "too deeply nested"),
        ("[" + ",".join(["1"] * 1100) + "]", "too long"),
        ("(" * 2000, "ends too early"),
    ],
)
def test_large_expressions_are_refused_at_once(text: str, message: str) -> None:
    started = time.process_time()
    with pytest.raises(BadExpression, match=message):
        compile_expression(text)
    assert time.process_time() - started < 10


def test_parentheses_cost_no_depth() -> None:
    assert compile_expression("(" * 500 + "1" + ")" * 500).evaluate({}) == 1


def test_endless_work_is_cut_off_and_nothing_absorbs_it() -> None:
    tens = "[0,1,2,3,4,5,6,7,8,9]"
    inner = "true"
    for name in "abcdefg":
        inner = f"{tens}.all({name}, {inner})"
    for text in (inner, f"{inner} || true", f"true && {inner}", f"[1].exists(x, {inner})"):
        started = time.process_time()
        with pytest.raises(ExpressionError, match="more work than an expression may"):
            compile_expression(text).evaluate({})
        assert time.process_time() - started < 20


def test_growing_texts_inside_of_macros_are_charged() -> None:
    many = ",".join(["0"] * 100)
    text = f"[{many}].map(x, [{many}].map(y, data.text + data.text)).size()"
    with pytest.raises(ExpressionError, match="more work than an expression may"):
        compile_expression(text).evaluate({"data": {"text": "x" * 100_000}})


def test_a_pattern_that_runs_away_elsewhere_is_linear_here() -> None:
    started = time.process_time()
    matched = compile_expression("data.text.matches('^(a+)+$')").evaluate(
        {"data": {"text": "a" * 50_000 + "b"}}
    )
    assert matched is False
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("steps.training.artifact", {("steps", "training", "artifact")}),
        ('snapshot.tags["a.b"] == service', {("snapshot", "tags", "a.b"), ("service",)}),
        ("has(steps.build.image)", {("steps", "build", "image")}),
        ("steps.build.image.contains(params.x)", {("steps", "build", "image"), ("params", "x")}),
        ("data.list[0].name", {("data", "list")}),
        ("data.map[params.key]", {("data", "map"), ("params", "key")}),
        ("data.list.all(x, x.score > params.y)", {("data", "list"), ("params", "y")}),
        ("[1].all(run, run > 0)", set()),
        ("1 + 2", set()),
    ],
)
def test_references_are_the_longest_paths_that_are_read(
    text: str, paths: set[tuple[str, ...]]
) -> None:
    assert compile_expression(text).references == paths


def test_the_parser_is_not_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, waystage.expressions as e; assert 'lark' not in sys.modules;"
        "e.compile_expression('1 < 2'); assert 'lark' in sys.modules;"
        "assert 'pendulum' not in sys.modules and 're2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("quote", ['"', "'", '"""', "'''"])
@pytest.mark.parametrize("prefix", ["", "b", "r", "br"])
@pytest.mark.parametrize("filling", ["\\", "\\\\ ", '\\"', "\\'", "a\\", "\\x"])
def test_a_text_that_is_never_closed_is_refused_at_once(
    quote: str, prefix: str, filling: str
) -> None:
    text = prefix + quote + filling * (4000 // len(filling)) + "("
    began = time.process_time()
    with pytest.raises(BadExpression):
        compile_expression(text)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a\"b"', 'a"b'),
        (r"'a\\'", "a\\"),
        (r'r"a\"', "a\\"),
        (r'r"\d+"', r"\d+"),
        ('"""a "quoted" b"""', 'a "quoted" b'),
        ("'''a\nb'''", "a\nb"),
        ('""', ""),
        ('""""""', ""),
        (r'"""a\"""b"""', 'a"""b'),
        ('"a" + "b"', "ab"),
        (r"""'\'' + "'" """, "''"),
    ],
)
def test_texts_end_where_their_quote_does(text: str, value: str) -> None:
    assert compile_expression(text).evaluate({}) == value
