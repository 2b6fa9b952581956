"""Which guards hold where: every way in which the values that they compare can lie.

Each thing that guards compare becomes a variable with a few values that stand for all others:
the numbers it is compared with and one between each two of them, the texts and one other, true
and false for what cannot be looked into. The guards are then evaluated at every combination,
which decides whether one can hold at all, hides behind others, or leaves a hole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from operator import eq, ge, gt, le, lt, ne
from typing import Any, TypeAlias

from waystage.expressions.ast import Binary, ListOf, Literal, Node, Ternary, Unary, dotted

COMPARING: dict[str, Callable[[Any, Any], bool]] = {
    "<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne,
}  # fmt: skip
TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
ORDERING = ("<", "<=", ">", ">=")
MOST_CELLS = 20_000
MOST_TESTS = 2_000_000  # guards times cells: about a second
OTHER = object()  # a text that no guard names

Cell: TypeAlias = tuple[Any, ...]


@dataclass
class Variable:
    """One thing that is compared: its name for a person, and the values that stand for all."""

    name: str
    whole: bool = False
    points: set[Any] = field(default_factory=set)
    kind: str = "bool"

    @property
    def values(self) -> list[Any]:
        """Give the values, numbers in their order."""
        if self.kind == "number":
            return _whole(self.points) if self.whole else _between(sorted(self.points))
        if self.kind == "text":
            return [*sorted(self.points, key=repr), OTHER]
        return [-1, 0, 1] if self.kind == "order" else [False, True]


class Cells:
    """The guards of one list at every combination of values."""

    def __init__(self, guards: Sequence[Node], is_whole: Callable[[Node], bool]) -> None:
        self.variables: dict[str, Variable] = {}
        self._is_whole = is_whole
        tests = [self._test(guard) for guard in guards]
        names = list(self.variables)
        domains = [self.variables[name].values for name in names]
        size = math.prod(map(len, domains))
        self.decided = size <= MOST_CELLS and size * len(guards) <= MOST_TESTS
        self.names = names
        self.truth: dict[Cell, tuple[bool, ...]] = {}
        if self.decided:
            for cell in product(*domains):
                at = dict(zip(names, cell, strict=True))
                self.truth[cell] = tuple(test(at) for test in tests)

    def holding(self) -> list[int]:
        """Give where each guard holds: a number whose bits are the cells, for quick sets."""
        rows = self.truth.values()
        bits = [0] * len(next(iter(rows), ()))
        for place, row in enumerate(rows):
            for number, holds in enumerate(row):
                if holds:
                    bits[number] |= 1 << place
        return bits

    def points_left_out(self) -> Iterable[tuple[Variable, Any]]:
        """Give the single numbers at which no guard holds though one does on both sides."""
        for number, name in enumerate(self.names):
            variable = self.variables[name]
            if variable.kind in ("number", "order"):
                values = variable.values
                limits = variable.points if variable.kind == "number" else {0}
                for index, value in enumerate(values[1:-1], 1):
                    if value not in limits:
                        continue
                    around = (values[index - 1], values[index + 1])
                    if self._is_left_out(number, value, around):
                        yield variable, value

    def _is_left_out(self, number: int, value: Any, around: tuple[Any, Any]) -> bool:
        for cell, truth in self.truth.items():
            if cell[number] == value and not any(truth):
                beside = [(*cell[:number], each, *cell[number + 1 :]) for each in around]
                if all(any(self.truth[each]) for each in beside):
                    return True
        return False

    def _test(self, node: Node) -> Callable[[Mapping[str, Any]], bool]:
        match node:
            case Literal(value=bool() as value):
                return lambda _: value
            case Unary(operator="!", operand=operand):
                inner = self._test(operand)
                return lambda at: not inner(at)
            case Binary(operator="&&" | "||" as operator, left=left, right=right):
                one, two = self._test(left), self._test(right)
                if operator == "&&":
                    return lambda at: one(at) and two(at)
                return lambda at: one(at) or two(at)
            case Ternary(condition=condition, yes=yes, no=no):
                asked, then, otherwise = map(self._test, (condition, yes, no))
                return lambda at: then(at) if asked(at) else otherwise(at)
            case Binary(operator=operator, left=left, right=right) if operator in TURNED:
                return self._comparison(node, operator, left, right)
            case Binary(operator="in", left=left, right=ListOf(items=items)):
                return self._membership(node, left, items)
        return self._opaque(node)

    def _comparison(
        self, node: Node, operator: str, left: Node, right: Node
    ) -> Callable[[Mapping[str, Any]], bool]:
        there, limit = constant(left), constant(right)
        if there is not None and limit is None:
            return self._comparison(node, TURNED[operator], right, left)
        compare = COMPARING[operator]
        if limit is None:
            name, turned = self._order(left, right)
            return lambda at: compare(-at[name] if turned else at[name], 0)
        added = (
            None if operator in ORDERING and isinstance(limit, str) else self._add(left, [limit])
        )
        return self._opaque(node) if added is None else lambda at: compare(at[added], limit)

    def _membership(
        self, node: Node, left: Node, items: Sequence[Node]
    ) -> Callable[[Mapping[str, Any]], bool]:
        found = [constant(item) for item in items]
        name = self._add(left, found) if found and None not in found else None
        return self._opaque(node) if name is None else lambda at: at[name] in found

    def _opaque(self, node: Node) -> Callable[[Mapping[str, Any]], bool]:
        name = key(node)
        self.variables.setdefault(name, Variable(shown(node)))
        return lambda at: at[name] is True

    def _order(self, left: Node, right: Node) -> tuple[str, bool]:
        one, two = key(left), key(right)
        turned = two < one
        name = f"{min(one, two)} against {max(one, two)}"
        text = f"{shown(left)} and {shown(right)} are equal"
        self.variables.setdefault(name, Variable(text, kind="order"))
        return name, turned

    def _add(self, node: Node, constants: Sequence[Any]) -> str | None:
        kinds = {_kind(each) for each in constants}
        kind = kinds.pop() if len(kinds) == 1 else ""
        name = f"{kind} {key(node)}"
        if kind in ("number", "text"):
            found = self.variables.setdefault(name, Variable(shown(node), self._is_whole(node)))
            found.kind = kind
            found.points.update(constants)
            return name
        return None


def constant(node: Node) -> int | float | str | bool | None:
    """Give the value of a literal number, text or truth, or None."""
    match node:
        case Literal(value=bool() | int() | float() | str() as value):
            return value
        case Unary(operator="-", operand=Literal(value=int() | float() as value)):
            return None if isinstance(value, bool) else -value
    return None


def key(node: Node) -> str:
    """Give what is the same for the same text wherever it stands."""
    return re.sub(r",? ?column=\d+", "", repr(node))


def shown(node: Node) -> str:
    """Name an expression for a person."""
    path = dotted(node)
    if path is not None:
        return ".".join(path)
    value = constant(node)
    return "it" if value is None else str(value)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "text"


def _between(points: list[float]) -> list[float]:
    inside = [point for a, b in pairwise(points) for point in (a, (a + b) / 2)]
    return [points[0] - 1, *inside, points[-1], points[-1] + 1]


def _whole(points: Iterable[float]) -> list[int]:
    near = {math.floor(p) + step for p in points for step in (-1, 0, 1, 2)}
    return sorted(near)
