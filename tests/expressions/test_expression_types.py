"""What is known about expressions before anything runs."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel

from waystage.expressions import Scope, TypeProblem, compile_expression, type_from_json_schema
from waystage.expressions.types import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Type,
    conform,
    list_of,
    map_of,
    object_of,
)
from waystage.plugin import Snapshot

SCOPE = Scope(
    {
        "params": object_of({"floor": DOUBLE, "count": INT, "names": list_of(STRING)}),
        "snapshot": type_from_json_schema(Snapshot.model_json_schema()),
        "steps": object_of({"training": object_of({"artifact": STRING}, optional=frozenset())}),
        "event": DYN,
        "service": STRING,
        "now": TIMESTAMP,
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params.floor < 1", BOOL),
        ("params.floor + 0.1", DOUBLE),
        ("params.count + 1", INT),
        ("params.names[0]", STRING),
        ("params.names.map(n, n.size())", list_of(INT)),
        ("params.names.filter(n, n != 'x')", list_of(STRING)),
        ("snapshot.tags", map_of(STRING)),
        ("snapshot.tags.anything", STRING),
        ("snapshot.metrics.ks", DOUBLE),
        ("snapshot.inputs[0].name", STRING),
        ("snapshot.lineage.parent == null", BOOL),
        ("steps.training.artifact", STRING),
        ("event.payload.x + 1", DYN),
        ("event.payload.x < 1", BOOL),
        ("now - duration('P1D')", TIMESTAMP),
        ("now - now", DURATION),
        ("now.getHours('UTC')", INT),
        ("true ? 1 : 2", INT),
        ("true ? 1 : 'a'", DYN),
        ("{'a': 1}.a", INT),
        ("[1, 2] + [3]", list_of(INT)),
        ("'a' in snapshot.tags && 1 in [1.5]", BOOL),
        ("dyn(1) == 'a'", BOOL),
    ],
)
def test_an_expression_has_a_type(text: str, expected: Type) -> None:
    expression = compile_expression(text)
    assert expression.check(SCOPE) == []
    assert expression.type(SCOPE) == expected


@pytest.mark.parametrize(
    ("text", "message", "column", "suggestion"),
    [
        ("params.flor < 1", "there is no field 'flor'", 8, "did you mean floor?"),
        ("snapshot.metric.ks < 1.0", "there is no field 'metric'", 10, "did you mean metrics?"),
        ("steps.trainin.artifact", "there is no field 'trainin'", 7, "did you mean training?"),
        ("has(params.flor)", "there is no field 'flor'", 12, "did you mean floor?"),
        ("params['flor']", "there is no field 'flor'", 8, "did you mean floor?"),
        ("tasks.approve", "there is no name 'tasks' here", 1, ""),
        ("service.name", "string has no fields", 9, ""),
        ("params.floor + 1", "there is no double + int", 1, "write 1.0 for 1"),
        ("params.floor == '0.3'", "cannot compare double with string", 1, ""),
        ("service < 1", "cannot compare string < int", 1, ""),
        ("snapshot.tags < snapshot.tags", "cannot compare map", 1, ""),
        ("null < 1", "cannot compare null < int", 1, ""),
        ("1 in ['a']", "cannot compare int with the elements", 1, ""),
        ("1 in snapshot.tags", "the keys of a map are strings, not int", 1, ""),
        ("1 in 2", "in needs a list or a map", 1, ""),
        ("params.floor && true", "&& needs a bool, not double", 8, ""),
        ("!service", "! needs a bool, not string", 2, ""),
        ("-service", "- needs a number, not string", 1, ""),
        ("service ? 1 : 2", "? needs a bool, not string", 1, ""),
        ("params.names['a']", "the index of a list is int, not string", 14, ""),
        ("params.count[0]", "int has no elements", 1, ""),
        ("size(1)", "size() does not take (int)", 1, ""),
        ("service.contains(1)", "contains() does not take (string, int)", 9, ""),
        ("params.names.all(n, n)", "all() needs a bool, not string", 21, ""),
        ("params.names.exists(n, n > 1)", "cannot compare string > int", 24, ""),
        ("service.all(x, true)", "all() needs a list or a map, not string", 9, ""),
        ("service.matches('(')", "the pattern '(' is wrong", 17, ""),
        ("now - duration('1 week')", "is no duration", 16, ""),
        ("timestamp('2026-13-01T00:00:00Z') < now", "no instant", 11, ""),
        ("now + now", "there is no timestamp + timestamp", 1, ""),
    ],
)
def test_what_cannot_be_right_is_found(
    text: str, message: str, column: int, suggestion: str
) -> None:
    (problem,) = compile_expression(text).check(SCOPE)
    assert isinstance(problem, TypeProblem)
    assert message in problem.message
    assert problem.column == column
    assert suggestion in problem.suggestion


def test_all_problems_of_an_expression_are_found_at_once() -> None:
    problems = compile_expression("params.a < 1 && params.b == 'x' || service").check(SCOPE)
    assert [problem.column for problem in problems] == [8, 24, 36]


class Inner(BaseModel):
    count: int


class Outer(BaseModel):
    name: str
    rate: float = 0.5
    inner: Inner
    maybe: Inner | None = None
    either: int | str = 1
    many: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = {}
    word: Literal["a", "b"] = "a"
    tree: list[Outer] = []


def test_a_pydantic_model_becomes_a_type() -> None:
    outer = type_from_json_schema(Outer.model_json_schema())
    inner = object_of({"count": INT})
    fields = dict(outer.fields)
    assert fields["name"] == STRING
    assert fields["rate"] == DOUBLE
    assert fields["inner"] == inner
    assert fields["maybe"] == Type("object", fields=inner.fields, nullable=True)
    assert fields["either"] == DYN
    assert fields["many"] == list_of(inner)
    assert fields["by_name"] == map_of(inner)
    assert fields["word"] == STRING
    assert fields["tree"].kind == "list"


def test_an_open_schema_has_any_field_and_a_closed_one_its_own() -> None:
    assert type_from_json_schema({}) == DYN
    assert type_from_json_schema({"type": "object"}).field("x") == DYN
    closed = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert type_from_json_schema(closed).field("b") is None
    opened = {**closed, "additionalProperties": {"type": "string"}}
    assert type_from_json_schema(opened).field("a") == INT
    assert type_from_json_schema(opened).field("b") == STRING


def test_whole_numbers_become_doubles_where_the_type_says_so() -> None:
    wanted = object_of({"floor": DOUBLE, "count": INT, "list": list_of(DOUBLE), "flag": DOUBLE})
    found = conform({"floor": 1, "count": 1, "list": [1, 2.5], "flag": True, "more": 1}, wanted)
    assert [type(found[name]) for name in ("floor", "count", "flag", "more")] == [
        float, int, bool, int,
    ]  # fmt: skip
    assert [type(each) for each in found["list"]] == [float, float]
