"""What expressions give."""

from __future__ import annotations

import timeit
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from waystage.errors import ExpressionError
from waystage.expressions import compile_expression

ENV: dict[str, Any] = {
    "params": {"floor": 0.3, "limits": [1, 2, 3], "nothing": None, "nan": float("nan"),
               "huge": float("inf"), "text": "0.3"},
    "snapshot": {"metrics": {"ks": 0.35}, "tags": {"candidate": "champion"}, "version": "3"},
    "steps": {"training": {"artifact": "a", "metrics": {"auc": 0.8}}},
    "service": "cc-fraud",
    "stage": None,
    "now": datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
}  # fmt: skip


def value(text: str) -> Any:
    return compile_expression(text).evaluate(ENV)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("snapshot.metrics.ks < params.floor", False),
        ("snapshot.metrics.ks >= params.floor", True),
        ('snapshot.tags.candidate == "champion"', True),
        ('snapshot.tags["candidate"] != "champion"', False),
        ("1 < 1.5", True),
        ("2 == 2.0", True),
        ("9007199254740993 == 9007199254740992.0", False),
        ("1 + 2 * 3", 7),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("7.0 / 2.0", 3.5),
        ("- (1 - 3)", 2),
        ('"a" + "b"', "ab"),
        ("[1] + [2]", [1, 2]),
        ("!true || true", True),
        ("true && !false", True),
        ("1 > 2 ? 'yes' : 'no'", "no"),
        ("2 in params.limits", True),
        ("'candidate' in snapshot.tags", True),
        ("has(snapshot.tags.owner)", False),
        ("has(steps.training.artifact)", True),
        ("params.nothing == null", True),
        ("stage != null", False),
        ("size(params.limits) == params.limits.size()", True),
        ("size('größe')", 5),
        ("service.startsWith('cc') && service.endsWith('fraud') && service.contains('-')", True),
        (r"service.matches('^[a-z]+-[a-z]+$')", True),
        ("matches(service, '[0-9]')", False),
        ("params.limits.all(x, x > 0)", True),
        ("params.limits.exists(x, x > 2)", True),
        ("params.limits.exists_one(x, x > 1)", False),
        ("params.limits.map(x, x * x)", [1, 4, 9]),
        ("params.limits.map(x, x > 1, x * 10)", [20, 30]),
        ("params.limits.filter(x, x != 2)", [1, 3]),
        ("[[1], [2, 3]].map(x, x.map(y, x.size() * y))", [[1], [4, 6]]),
        ("[1, 2].all(x, [1, 2].exists(x, [2].all(x, x == 2) && x == 1))", True),
        ("snapshot.tags.exists(key, key == 'candidate')", True),
        ("{'a': 1, 'b': [2]}.b[0]", 2),
        ("int('12') + int(3.9) - int(-3.9)", 18),
        ("double('0.5') + double(1)", 1.5),
        ("string(1) + string(1.0) + string(0.1) + string(true)", "110.1true"),
        ("bool('true')", True),
        ("now - duration('P1D') < now", True),
        ("now - timestamp('2026-03-01T12:00:00Z') == duration('30m')", True),
        ("now.getHours() * 100 + now.getMinutes()", 1230),
        ("now.getHours('Europe/Berlin')", 13),
        ("now.getDayOfWeek()", 0),
        ("duration('1h30m').getMinutes()", 90),
        ("duration('PT1.5S').getMilliseconds()", 500),
        ("string(duration('-1.5s'))", "-1.5s"),
        ("string(now)", "2026-03-01T12:30:00Z"),
        ("int(timestamp('1970-01-01T00:00:10Z'))", 10),
        (r"'\u00e4\x41\101\n' == 'äAA' + '''" + "\n'''", True),
        (r"r'\d'.size()", 2),
        ("b'ä'.size()", 2),
        ("0x1F", 31),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_an_expression_gives_its_value(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("snapshot.metrics.auc < 1.0", "there is no 'auc' in snapshot.metrics (there: ks)"),
        ("steps.deploy.url", "there is no 'deploy' in steps (there: training)"),
        ("steps.training.metrics.ks", "there is no 'ks' in steps.training.metrics"),
        ("tasks.approve", "tasks is not known here"),
        ("stage.name", "stage is null"),
        ("service.name", "service is string and has no fields"),
        ("params.nothing < 1", "cannot compare null < int"),
        ("params.nothing == 'x'", "cannot compare null with string"),
        ("params.nothing in ['x']", "cannot compare null"),
        ("params.nan < 0.5", "nan is no number"),
        ("params.nan == params.nan", "nan is no number"),
        ("!(params.nan < 0.5)", "nan is no number"),
        ("params.huge > 0.5", "inf is no number"),
        ("params.text < 0.5", "cannot compare string < double"),
        ("params.text == 0.3", "cannot compare string with double"),
        ("params.text in [0.3]", "cannot compare string"),
        ("true < 1", "cannot compare bool < int"),
        ("1 + 1.0", "there is no int + double; convert one with double() or int()"),
        ("1 / 0", "division by zero"),
        ("1.0 / 0.0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("9223372036854775807 + 1", "beyond a 64-bit integer"),
        ("-9223372036854775808 / -1", "beyond a 64-bit integer"),
        ("1e308 * 10.0", "inf is no number"),
        ("params.limits[3]", "there is no element 3 in a list of 3"),
        ("params.limits[-1]", "there is no element -1"),
        ("params.limits[true]", "the place in a list is an int, not bool"),
        ("params.limits.all(x, x)", "all() needs a bool, not int"),
        ("'a'.all(x, true)", "all() needs a list or a map, not string"),
        ("service ? 1 : 2", "? needs a bool, not string"),
        ("!service", "! needs a bool, not string"),
        ("int('1.5')", "int() cannot convert the string '1.5'"),
        ("double('nan')", "double() cannot convert the string 'nan'"),
        ("timestamp('yesterday')", "is no instant such as"),
        ("duration('1 day')", "is no duration such as"),
        ("now.getHours('Middle/Earth')", "is not an IANA time zone"),
        ("service.matches('(')", "the pattern '(' is wrong"),
        ("now + duration('P3000000D')", "beyond the calendar"),
        ("duration('P9999999D')", "longer than ten thousand years"),
        ("{'a': 1, 'a': 2}", "the map has the key 'a' twice"),
        ("{1: 2}", "the keys of a map are strings, not int"),
    ],
)
def test_what_has_no_value_is_an_error_that_says_why(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert str(caught.value).startswith(f"{text}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("false && 1 / 0 == 0", False),
        ("1 / 0 == 0 && false", False),
        ("true || 1 / 0 == 0", True),
        ("1 / 0 == 0 || true", True),
        ("[0, 1].exists(x, 1 / x == 1)", True),
        ("[0, 1].all(x, 1 / x == 2)", False),
    ],
)
def test_one_side_may_decide_when_the_other_has_an_error(text: str, expected: bool) -> None:
    assert value(text) is expected


@pytest.mark.parametrize(
    "text", ["1 / 0 == 0 && true", "true && 1 / 0 == 0", "1 / 0 == 0 || false", "false || service"]
)
def test_an_error_stands_when_the_other_side_decides_nothing(text: str) -> None:
    with pytest.raises(ExpressionError):
        value(text)


def test_a_condition_is_a_bool_and_nothing_else() -> None:
    assert compile_expression("1 < 2").holds({}) is True
    for text in ("1", "'true'", "null", "[true]"):
        with pytest.raises(ExpressionError, match="a condition gives a bool"):
            compile_expression(text).holds({})


def test_times_with_and_without_a_zone_do_not_mix() -> None:
    env = {"now": datetime(2026, 1, 1, tzinfo=UTC), "data": {"naive": datetime(2026, 1, 1)}}
    for text in ("now < data.naive", "now - data.naive", "now == data.naive"):
        with pytest.raises(ExpressionError, match="zone"):
            compile_expression(text).evaluate(env)


def test_a_deep_value_is_an_error_and_no_crash() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ExpressionError, match="too deeply nested"):
        compile_expression("data == params").evaluate({"data": deep, "params": deep})


def test_a_simple_guard_costs_about_a_microsecond() -> None:
    guard = compile_expression("snapshot.metrics.ks < params.floor")
    arithmetic = timeit.timeit(lambda: float(str(0.35)) < 0.3, number=20_000)
    evaluated = timeit.timeit(lambda: guard.evaluate(ENV), number=20_000)
    assert evaluated < 10 * arithmetic  # reading one float is about 0.3 microseconds


def test_spans_and_instants_come_out_as_python_has_them() -> None:
    assert value("duration('PT30S')") == timedelta(seconds=30)
    assert value("timestamp('2026-12-20T01:00:00+01:00')") == datetime(2026, 12, 20, tzinfo=UTC)
