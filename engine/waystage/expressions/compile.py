"""A tree becomes Python closures: evaluating walks no tree and looks nothing up by kind."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeAlias

from waystage.expressions import values
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
from waystage.expressions.functions import FUNCTIONS
from waystage.expressions.macros import TooCostly, build_macro, costly

Run: TypeAlias = Callable[[Any], Any]
"""Takes the environment, gives the value or raises `Failed`."""

Slots: TypeAlias = Mapping[str, str]
"""The variables of the macros around a node, and the keys that the environment has them under."""

_PLAIN = frozenset({int, str, bool, bytes})


def build(node: Node, slots: Slots) -> Run:
    """Compile a node; `slots` is empty outside of macros."""
    return _BUILDERS[type(node)](node, slots)


def _literal(node: Literal, slots: Slots) -> Run:
    value = node.value
    return lambda env: value


def _name(node: Name, slots: Slots) -> Run:
    name, key = node.name, slots.get(node.name, node.name)

    def run(env: Any) -> Any:
        try:
            return env[key]
        except KeyError:
            raise Failed(f"{name} is not known here") from None

    return run


def _select(node: Select, slots: Slots) -> Run:
    field, base = node.field, node.base
    if isinstance(base, Name):
        return _field_of_name(slots.get(base.name, base.name), base.name, field)
    if isinstance(base, Select) and isinstance(base.base, Name):
        root = base.base.name
        return _field_of_field(slots.get(root, root), root, base.field, field)
    inner, where = build(base, slots), _describe(base)

    def run(env: Any) -> Any:
        value = inner(env)
        try:
            return value[field]
        except (KeyError, TypeError):
            raise _missing(value, field, where) from None

    return run


def _field_of_name(key: str, name: str, field: str) -> Run:
    def run(env: Any) -> Any:
        try:
            return env[key][field]
        except (KeyError, TypeError):
            raise _missing(_known(env, key, name), field, name) from None

    return run


def _field_of_field(key: str, name: str, first: str, second: str) -> Run:
    def run(env: Any) -> Any:
        try:
            return env[key][first][second]
        except (KeyError, TypeError):
            base = _field_of_name(key, name, first)(env)
            raise _missing(base, second, f"{name}.{first}") from None

    return run


def _known(env: Any, key: str, name: str) -> Any:
    if key not in env:
        raise Failed(f"{name} is not known here")
    return env[key]


def _missing(value: Any, field: str, where: str) -> Failed:
    if value is None:
        return Failed(f"{where} is null, so it has no {field!r}")
    if not isinstance(value, Mapping):
        return Failed(f"{where} is {values.kind_of(value)} and has no fields, so no {field!r}")
    return Failed(f"there is no {field!r} in {where}{values.among(value)}")


def _describe(node: Node) -> str:
    match node:
        case Name(name=name):
            return name
        case Select(base=base, field=field):
            return f"{_describe(base)}.{field}"
        case Index(base=base):
            return f"an element of {_describe(base)}"
        case _:
            return "the value before it"


def _has(node: Has, slots: Slots) -> Run:
    inner, field, where = build(node.base, slots), node.field, _describe(node.base)

    def run(env: Any) -> Any:
        value = inner(env)
        if not isinstance(value, Mapping):
            raise _missing(value, field, where)
        return field in value

    return run


def _index(node: Index, slots: Slots) -> Run:
    base, key = build(node.base, slots), build(node.index, slots)
    return lambda env: values.index(base(env), key(env))


def _unary(node: Unary, slots: Slots) -> Run:
    operand = build(node.operand, slots)
    if node.operator == "-":
        return lambda env: values.negate(operand(env))
    return lambda env: not values.truth(operand(env), "!")


def _binary(node: Binary, slots: Slots) -> Run:
    if node.operator in ("&&", "||"):
        return _logic(node.operator, build(node.left, slots), build(node.right, slots))
    if node.operator in ("==", "!="):
        return _equality(node, slots)
    left, right = build(node.left, slots), build(node.right, slots)
    if node.operator in _ORDERS:
        return _ordering(node.operator, left, right)
    work = _WORK[node.operator]
    if slots:
        return costly(work, (left, right))
    return lambda env: work(left(env), right(env))


def _logic(symbol: str, left: Run, right: Run) -> Run:
    decisive = symbol == "||"

    def run(env: Any) -> bool:
        try:
            if values.truth(left(env), symbol) is decisive:
                return decisive
        except TooCostly:
            raise
        except Failed:
            # the other side may decide alone; if it does not, this error stands
            if values.truth(right(env), symbol) is decisive:
                return decisive
            raise
        return values.truth(right(env), symbol)

    return run


def _equality(node: Binary, slots: Slots) -> Run:
    left, right = build(node.left, slots), build(node.right, slots)
    same = node.operator == "=="
    for side, other in ((node.left, right), (node.right, left)):
        if side == Literal(None, side.column):
            return lambda env, other=other: (other(env) is None) is same  # type: ignore[misc]  # bound now
    if slots:
        costed = costly(values.equal, (left, right))
        return lambda env: costed(env) is same

    def run(env: Any) -> bool:
        x, y = left(env), right(env)
        if type(x) is type(y) and type(x) in _PLAIN:
            return (x == y) is same
        return values.equal(x, y) is same

    return run


def _ordering(symbol: str, left: Run, right: Run) -> Run:
    compare = _ORDERS[symbol]

    def run(env: Any) -> bool:
        x, y = left(env), right(env)
        kind = type(x)
        if kind is type(y) and (kind is int or (kind is float and isfinite(x) and isfinite(y))):
            return bool(compare(x, y))
        return values.order(symbol, x, y)

    return run


def _ternary(node: Ternary, slots: Slots) -> Run:
    condition, yes, no = (build(n, slots) for n in (node.condition, node.yes, node.no))
    return lambda env: yes(env) if values.truth(condition(env), "?") else no(env)


def _list_of(node: ListOf, slots: Slots) -> Run:
    items = tuple(build(item, slots) for item in node.items)
    return lambda env: [item(env) for item in items]


def _map_of(node: MapOf, slots: Slots) -> Run:
    entries = tuple((build(key, slots), build(value, slots)) for key, value in node.entries)

    def run(env: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in entries:
            name = key(env)
            if not isinstance(name, str):
                raise Failed(f"the keys of a map are strings, not {values.kind_of(name)}")
            if name in made:
                raise Failed(f"the map has the key {name!r} twice")
            made[name] = value(env)
        return made

    return run


def _call(node: Call, slots: Slots) -> Run:
    work = FUNCTIONS[node.function].work
    arguments = tuple(build(argument, slots) for argument in node.arguments)
    if slots:
        return costly(work, arguments)
    if len(arguments) == 1:
        (only,) = arguments
        return lambda env: work(only(env))
    return lambda env: work(*(argument(env) for argument in arguments))


def _macro(node: Macro, slots: Slots) -> Run:
    slot = f"{node.variable}@{node.column}"  # no name of the language holds an @
    inner = {**slots, node.variable: slot}
    bodies = tuple(build(body, inner) for body in node.bodies)
    return build_macro(node.kind, build(node.over, slots), slot, bodies)


_ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORK: dict[str, Callable[[Any, Any], Any]] = {
    "+": values.add,
    "-": values.subtract,
    "*": values.multiply,
    "/": values.divide,
    "%": values.modulo,
    "in": values.contains,
}
_BUILDERS: dict[type, Callable[..., Run]] = {
    Literal: _literal,
    Name: _name,
    Select: _select,
    Has: _has,
    Index: _index,
    Unary: _unary,
    Binary: _binary,
    Ternary: _ternary,
    ListOf: _list_of,
    MapOf: _map_of,
    Call: _call,
    Macro: _macro,
}
