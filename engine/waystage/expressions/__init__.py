"""Expressions: a subset of CEL, parsed by cel-python, checked and compiled here.

Safer than CEL where guards need it: comparing null, NaN, infinities or different kinds is an
error instead of false; only `x == null` asks for null. Maps have string keys; there are no
unsigned numbers, messages or `type()`.
"""

from waystage.expressions.errors import BadExpression
from waystage.expressions.expression import Expression, compile_expression
from waystage.expressions.names import NAMES
from waystage.expressions.template import Template, compile_template
from waystage.expressions.types import Scope, Type, TypeProblem, conform, type_from_json_schema

__all__ = [
    "NAMES", "BadExpression", "Expression", "Scope", "Template", "Type", "TypeProblem",
    "compile_expression", "compile_template", "conform", "type_from_json_schema",
]  # fmt: skip
