"""What expressions and templates say to any text: a value, or one line that tells the place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from waystage.errors import ExpressionError
from waystage.expressions import BadExpression, Scope, compile_expression, compile_template

SCOPE = Scope({})
VALUES: dict[str, Any] = {
    "params": {"a": 1, "b": 2.5, "c": "text", "d": [1, 2, 3], "e": {"f": None}},
    "data": {"x": float("inf"), "y": True},
    "snapshot": {"name": "credit", "version": "3", "tags": {"candidate": "champion"}},
    "service": "credit-risk", "stage": "PROD", "steps": {}, "tasks": {}, "monitors": {},
    "event": {"name": "done"}, "run": {"id": "credit-risk-1"},
    "now": datetime(2026, 2, 28, tzinfo=UTC),
}  # fmt: skip
SEEDS = """
params.a < params.b && !(params.c == "text")
params.d.all(x, x > 0) || params.d.exists_one(x, x == 2)
has(params.e.f) ? params.e.f : null
size(params.d.filter(x, x % 2 == 0)) in [0, 1, 2]
timestamp("2026-01-01T00:00:00Z") + duration("P1D") > now
double("1e308") * 10.0
"\\u00e9\\x41" + 'b' + b'\\377'
{{ snapshot.name }} {{ snapshot.version }} is live
{"a": [1, {"b": -9223372036854775808}]}.a[1].b
((((((((((((((((1))))))))))))))))
b'\\ \\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\6
"""


def one_input(data: bytes) -> None:
    """Compile, type-check and evaluate the text as an expression and as a template."""
    text = data.decode("utf-8", "surrogateescape" if data[:1] == b"\xff" else "replace")
    try:
        expression = compile_expression(text)
    except BadExpression as error:
        _hold(error)
    else:
        expression.check(SCOPE)
        _evaluate(lambda: expression.evaluate(VALUES))
        _evaluate(lambda: expression.holds(VALUES))
    try:
        template = compile_template({"text": [text]})
    except BadExpression as error:
        _hold(error)
    else:
        _evaluate(lambda: template.render(VALUES))


def seeds() -> Iterator[bytes]:
    """Give expressions of every kind."""
    for line in SEEDS.strip().splitlines():
        yield line.encode()


def _evaluate(ask: Any) -> None:
    try:
        ask()
    except ExpressionError as error:
        _hold(error)


def _hold(error: ExpressionError) -> None:
    assert str(error).strip(), "an error says what is wrong"
