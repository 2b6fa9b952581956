"""The public conformance cases of CEL, as cel-python ships them, and how our subset does."""

from __future__ import annotations

import ast
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from waystage.errors import ExpressionError
from waystage.expressions import BadExpression, compile_expression
from waystage.expressions.times import read_duration

CACHE = Path(__file__).parents[2] / ".cache"
COMMAND = "make cases"
SUBJECTS = {  # how many cases of each are inside of the subset, at least
    "basic": 33, "comparisons": 200, "conversions": 55, "fp_math": 25, "integer_math": 40,
    "lists": 28, "logic": 28, "macros": 38, "fields": 19, "string": 50, "timestamps": 60,
    "parse": 10, "plumbing": 5, "dynamic": 15, "error_propagation": 24,
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
    container: bool = False  # names are looked up in one


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
        elif match := re.fullmatch(r"(?:Then|[Aa]nd) value is (.*)", words):
            case.expected = _value(match[1])
        elif words.startswith("and container is"):
            case.container = True
        elif words.startswith("Then eval_error is") and words != "Then eval_error is None":
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


_TYPES: dict[str, Any] = {
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


def archive() -> Path | None:
    """Give the archive with the cases, None if it has not been fetched."""
    return max(CACHE.glob("cel_python-*.tar.gz"), default=None)


def extracted(found: Path, target: Path) -> Path:
    """Put the archive's files below the target, and give the folder of the cases."""
    with tarfile.open(found) as opened:
        opened.extractall(target, filter="data")
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


def agrees(case: Case, found: Any) -> bool:
    """Whether the value is the case's, in kind too."""
    return type(found) is type(case.expected) and bool(found == case.expected)


def readable(case: Case) -> bool:
    """Whether the case's values are such that our expressions know them."""
    known = UNREADABLE not in (case.expected, *case.bindings.values())
    return known and not case.container
