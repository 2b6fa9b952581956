"""Finds, before anything runs, what in an expression cannot be right by the types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from waystage.expressions.ast import (
    Binary,
    Call,
    Has,
    Index,
    ListOf,
    Literal,
    Macro,
    MapOf,
    Name,
    Node,
    Select,
    Ternary,
    Unary,
)
from waystage.expressions.errors import Failed
from waystage.expressions.functions import regular_expression
from waystage.expressions.names import did_you_mean
from waystage.expressions.signatures import ARITHMETIC, RESULTS
from waystage.expressions.times import read_duration, read_timestamp
from waystage.expressions.types import (
    BOOL,
    BYTES,
    DYN,
    NULL,
    STRING,
    Type,
    TypeProblem,
    joined,
    list_of,
    object_of,
    same_kind,
    type_of_value,
)

_CONSTANT: dict[str, Callable[[str], Any]] = {
    "timestamp": read_timestamp,
    "duration": read_duration,
}


class Checker:
    """Walks one tree, gives the type of each node and gathers the problems."""

    def __init__(self, names: Mapping[str, Type]) -> None:
        self.names = names
        self.problems: list[TypeProblem] = []

    def type(self, node: Node) -> Type:
        """Give the type of a node; `dyn` where it is wrong, so that one fault is told once."""
        return _TYPES[type(node)](self, node)

    def wrong(self, node: Node, message: str, suggestion: str = "") -> Type:
        self.problems.append(TypeProblem(message, node.column, suggestion))
        return DYN

    def wants_bool(self, node: Node, where: str) -> Type:
        found = self.type(node)
        if found.kind not in ("bool", "dyn"):
            self.wrong(node, f"{where} needs a bool, not {found}")
        return BOOL

    def literal(self, node: Literal) -> Type:
        return BYTES if isinstance(node.value, bytes) else type_of_value(node.value)

    def name(self, node: Name) -> Type:
        if node.name in self.names:
            return self.names[node.name]
        hint = did_you_mean(node.name, self.names)
        return self.wrong(node, f"there is no name {node.name!r} here", hint)

    def select(self, node: Select | Has) -> Type:
        base = self.type(node.base)
        found = base.field(node.field)
        if found is not None:
            return found
        if base.kind != "object":
            return self.wrong(node, f"{base} has no fields, so no {node.field!r}")
        hint = did_you_mean(node.field, dict(base.fields))
        return self.wrong(node, f"there is no field {node.field!r}", hint)

    def has(self, node: Has) -> Type:
        self.select(node)
        return BOOL

    def index(self, node: Index) -> Type:
        base, key = self.type(node.base), self.type(node.index)
        if base.kind == "dyn":
            return DYN
        wanted = {"list": "int", "map": "string", "object": "string"}.get(base.kind)
        if wanted is None:
            return self.wrong(node, f"{base} has no elements")
        if key.kind not in (wanted, "dyn"):
            return self.wrong(node.index, f"the index of a {base.kind} is {wanted}, not {key}")
        if base.kind == "object" and isinstance(node.index, Literal):
            return self.select(Select(node.base, str(node.index.value), node.index.column))
        return base.element or DYN

    def unary(self, node: Unary) -> Type:
        if node.operator == "!":
            return self.wants_bool(node.operand, "!")
        found = self.type(node.operand)
        if found.kind not in ("int", "double", "dyn"):
            return self.wrong(node, f"- needs a number, not {found}")
        return found

    def binary(self, node: Binary) -> Type:
        if node.operator in ("&&", "||"):
            self.wants_bool(node.left, node.operator)
            return self.wants_bool(node.right, node.operator)
        left, right = self.type(node.left), self.type(node.right)
        if node.operator in ("==", "!="):
            return self.equality(node, left, right)
        if node.operator == "in":
            return self.membership(node, left, right)
        if node.operator in ("<", "<=", ">", ">="):
            return self.ordering(node, left, right)
        return self.arithmetic(node, left, right)

    def equality(self, node: Binary, left: Type, right: Type) -> Type:
        if NULL not in (left, right) and not same_kind(left, right):
            self.wrong(node, f"cannot compare {left} with {right}")
        return BOOL

    def membership(self, node: Binary, left: Type, right: Type) -> Type:
        if right.kind in ("map", "object") and left.kind not in ("string", "dyn"):
            self.wrong(node, f"the keys of a map are strings, not {left}")
        elif right.kind == "list" and not same_kind(left, right.element or DYN):
            self.wrong(node, f"cannot compare {left} with the elements of {right}")
        elif right.kind not in ("list", "map", "object", "dyn"):
            self.wrong(node, f"in needs a list or a map on its right, not {right}")
        return BOOL

    def ordering(self, node: Binary, left: Type, right: Type) -> Type:
        unordered = next((t for t in (left, right) if t.kind in _UNORDERED), None)
        if unordered or not same_kind(left, right):
            self.wrong(node, f"cannot compare {left} {node.operator} {right}")
        return BOOL

    def arithmetic(self, node: Binary, left: Type, right: Type) -> Type:
        if "dyn" in (left.kind, right.kind):
            return DYN
        found = ARITHMETIC.get((left.kind, node.operator, right.kind))
        if found is not None:
            return joined([left, right]) if found.kind == "list" else found
        mixed = {left.kind, right.kind} == {"int", "double"}
        hint = "convert one with double() or int(), or write 1.0 for 1" if mixed else ""
        return self.wrong(node, f"there is no {left} {node.operator} {right}", hint)

    def ternary(self, node: Ternary) -> Type:
        self.wants_bool(node.condition, "?")
        return joined([self.type(node.yes), self.type(node.no)])

    def list_of(self, node: ListOf) -> Type:
        return list_of(joined([self.type(item) for item in node.items]))

    def map_of(self, node: MapOf) -> Type:
        fields: dict[str, Type] = {}
        for key, value in node.entries:
            found = self.type(key)
            if found.kind not in ("string", "dyn"):
                self.wrong(key, f"the keys of a map are strings, not {found}")
            fields[str(getattr(key, "value", ""))] = self.type(value)
        known = all(isinstance(key, Literal) for key, _ in node.entries)
        return object_of(fields) if known else Type("map", joined(list(fields.values())))

    def call(self, node: Call) -> Type:
        given = [self.type(argument) for argument in node.arguments]
        for kinds, result in RESULTS[node.function]:
            if len(kinds) == len(given) and all(
                found.kind == "dyn" or found.kind in kind.split("|")
                for kind, found in zip(kinds, given, strict=True)
            ):
                self.constant(node)
                return result
        shown = ", ".join(map(str, given))
        wanted = " or ".join(", ".join(kinds) for kinds, _ in RESULTS[node.function])
        return self.wrong(node, f"{node.function}() does not take ({shown}); it takes {wanted}")

    def constant(self, node: Call) -> None:
        """Read what is written in the expression already now, so that it cannot fail later."""
        last = node.arguments[-1]
        read = regular_expression if node.function == "matches" else _CONSTANT.get(node.function)
        if read is None or not isinstance(last, Literal) or not isinstance(last.value, str):
            return
        try:
            read(last.value)
        except Failed as error:
            self.wrong(last, str(error))

    def macro(self, node: Macro) -> Type:
        over = self.type(node.over)
        if over.kind not in ("list", "map", "object", "dyn"):
            self.wrong(node, f"{node.kind}() needs a list or a map, not {over}")
        element = STRING if over.kind in ("map", "object") else over.element or DYN
        inner = Checker({**self.names, node.variable: element})
        inner.problems = self.problems
        if node.kind != "map" or len(node.bodies) == 2:
            inner.wants_bool(node.bodies[0], f"{node.kind}()")
        if node.kind == "map":
            return list_of(inner.type(node.bodies[-1]))
        return list_of(element) if node.kind == "filter" else BOOL


_UNORDERED = frozenset({"null", "list", "map", "object"})
_TYPES: dict[type, Callable[[Checker, Any], Type]] = {
    Literal: Checker.literal,
    Name: Checker.name,
    Select: Checker.select,
    Has: Checker.has,
    Index: Checker.index,
    Unary: Checker.unary,
    Binary: Checker.binary,
    Ternary: Checker.ternary,
    ListOf: Checker.list_of,
    MapOf: Checker.map_of,
    Call: Checker.call,
    Macro: Checker.macro,
}
