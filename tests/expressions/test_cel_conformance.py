"""Our subset is held against the public conformance cases of CEL, as cel-python ships them."""

from __future__ import annotations

import ast
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from waystage.errors import ExpressionError
from waystage.expressions import BadExpression, compile_expression
from waystage.expressions.times import read_duration

pytestmark = pytest.mark.heavy

CACHE = Path(__file__).parents[2] / ".cache"
COMMAND = "pip download --no-deps --no-binary :all: --dest .cache cel-python"
SUBJECTS = {  # how many cases of each are inside of the subset, at least
    "basic": 33, "comparisons": 200, "conversions": 55, "fp_math": 25, "integer_math": 40,
    "lists": 28, "logic": 28, "macros": 38, "fields": 19, "string": 50, "timestamps": 60,
    "parse": 10, "plumbing": 5,
}  # fmt: skip
STRING_KEYS = "the keys of a map are strings"
SAFER = "comparing NaN or different kinds is an error here, so that guards fail closed"
EXACT = "integers and doubles compare exactly here, in the cases CEL lets the precision go"
MICRO = "instants have microseconds here"
DIFFERENT = {
    "comparisons/eq_literal/not_eq_double_nan": SAFER,
    "comparisons/eq_literal/not_eq_int_double_nan": SAFER,
    "comparisons/ne_literal/not_ne_double_nan": SAFER,
    "comparisons/ne_literal/not_ne_int_double_nan": SAFER,
    "comparisons/ne_literal/ne_double_nan": SAFER,
    "comparisons/lt_literal/not_lt_dyn_int_big_lossy_double": EXACT,
    "comparisons/gt_literal/not_gt_dyn_big_double_int": EXACT,
    "comparisons/lte_literal/lte_dyn_big_double_int": EXACT,
    "comparisons/gte_literal/gte_dyn_int_big_lossy_double": EXACT,
    "lists/index/zero_based_double": "an index is an int",
    "macros/exists/list_elem_type_exhaustive": SAFER,
    "timestamps/timestamp_conversions/toString_timestamp_nanos": MICRO,
    "timestamps/timestamp_range/add_duration_nanos_over": MICRO,
    "timestamps/timestamp_range/add_duration_nanos_under": MICRO,
    "timestamps/timestamp_range/sub_time_duration_over": "spans reach ten thousand years here",
    "timestamps/timestamp_range/sub_time_duration_under": "spans reach ten thousand years here",
}
ERROR = object()
UNREADABLE = object()


@dataclass
class Case:
    """One case: an expression, what is bound, and the value that must come out."""

    name: str
    expression: str = ""
    expected: Any = UNREADABLE
    bindings: dict[str, Any] = field(default_factory=dict)


def cases(folder: Path, subject: str) -> Iterator[Case]:
    """Give the cases of one feature file."""
    case = Case("")
    for line in (folder / f"{subject}.feature").read_text().splitlines():
        words = line.strip()
        if words.startswith("Scenario:"):
            if case.expression:
                yield case
            case = Case(f"{subject}/{words.removeprefix('Scenario:').strip()}")
        elif match := re.fullmatch(r"When CEL expression (.*) is evaluated", words):
            case.expression = ast.literal_eval(match[1])
        elif match := re.fullmatch(r"Then value is (.*)", words):
            case.expected = _value(match[1])
        elif words.startswith("Then eval_error is"):
            case.expected = ERROR
        elif match := re.fullmatch(
            r"(?:and|Given) bindings parameter ['\"](\w+)['\"] is (.*)", words
        ):
            case.bindings[match[1]] = _value(match[2])
    if case.expression:
        yield case


def _value(text: str) -> Any:
    try:
        return _node(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, KeyError, TypeError):
        return UNREADABLE


def _node(node: ast.expr) -> Any:
    if isinstance(node, ast.List):
        return [_node(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_node(key): _node(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        given = [_node(each) for each in [*node.args, *(word.value for word in node.keywords)]]
        return _TYPES[node.func.attr](*given)
    return ast.literal_eval(node)


def _duration(value: Any, nanos: int = 0) -> timedelta:
    if isinstance(value, str):
        return read_duration(value)
    return timedelta(seconds=value, microseconds=nanos // 1000)


def _timestamp(value: Any) -> datetime:
    text = str(value)
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


_TYPES = {
    "BoolType": bool,
    "IntType": int,
    "DoubleType": float,
    "StringType": str,
    "BytesType": bytes,
    "ListType": lambda value=(): list(value),
    "MapType": lambda value=(): dict(value),
    "TimestampType": _timestamp,
    "DurationType": _duration,
}


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archives = sorted(CACHE.glob("cel_python-*.tar.gz"))
    if not archives:
        pytest.skip(f"CEL's conformance cases are not there; get them with: {COMMAND}")
    target = tmp_path_factory.mktemp("cel")
    with tarfile.open(archives[-1]) as archive:
        archive.extractall(target, filter="data")
    return next(target.glob("*/features"))


def outcome(case: Case) -> Any:
    """Give the value or ERROR; None when the case is outside of the subset."""
    try:
        expression = compile_expression(case.expression, names=case.bindings)
    except BadExpression:
        return UNREADABLE
    try:
        return expression.evaluate(case.bindings)
    except ExpressionError as error:
        return UNREADABLE if STRING_KEYS in str(error) else ERROR


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_subset_agrees_with_the_conformance_cases(features: Path, subject: str) -> None:
    inside = 0
    for case in cases(features, subject):
        if case.expected is UNREADABLE or UNREADABLE in case.bindings.values():
            continue
        found = outcome(case)
        if found is UNREADABLE:
            continue
        inside += 1
        agrees = type(found) is type(case.expected) and found == case.expected
        assert agrees is (case.name not in DIFFERENT), f"{case}: {found!r}"
    assert inside >= SUBJECTS[subject]
