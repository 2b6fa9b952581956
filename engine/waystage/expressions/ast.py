"""What an expression says: a small tree of frozen nodes.

`column` counts characters of the expression's text from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: bool, int, float, str, bytes or None."""

    value: bool | int | float | str | bytes | None
    column: int


@dataclass(frozen=True, slots=True)
class Name:
    """A name that the run gives, or the variable of a macro."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Select:
    """A field: `base.field`."""

    base: Node
    field: str
    column: int


@dataclass(frozen=True, slots=True)
class Has:
    """Whether a field is there: `has(base.field)`."""

    base: Node
    field: str
    column: int


@dataclass(frozen=True, slots=True)
class Index:
    """An element: `base[index]`."""

    base: Node
    index: Node
    column: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`!x` or `-x`."""

    operator: str
    operand: Node
    column: int


@dataclass(frozen=True, slots=True)
class Binary:
    """`x + y`, `x < y`, `x in y`, …; `&&` and `||` too."""

    operator: str
    left: Node
    right: Node
    column: int


@dataclass(frozen=True, slots=True)
class Ternary:
    """`condition ? yes : no`."""

    condition: Node
    yes: Node
    no: Node
    column: int


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[x, y]`."""

    items: tuple[Node, ...]
    column: int


@dataclass(frozen=True, slots=True)
class MapOf:
    """`{"a": x, "b": y}`."""

    entries: tuple[tuple[Node, Node], ...]
    column: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function; a method has its object as the first argument."""

    function: str
    method: bool
    arguments: tuple[Node, ...]
    column: int


@dataclass(frozen=True, slots=True)
class Macro:
    """A comprehension: `over.kind(variable, body…)`."""

    kind: str
    over: Node
    variable: str
    bodies: tuple[Node, ...]
    column: int


Node: TypeAlias = (
    Literal | Name | Select | Has | Index | Unary | Binary | Ternary | ListOf | MapOf | Call | Macro
)


def children(node: Node) -> tuple[Node, ...]:
    """Give the nodes directly below, in the order of the text."""
    match node:
        case Select(base=base) | Has(base=base):
            return (base,)
        case Index(base=base, index=index):
            return (base, index)
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
        case Ternary(condition=condition, yes=yes, no=no):
            return (condition, yes, no)
        case ListOf(items=items):
            return items
        case MapOf(entries=entries):
            return tuple(part for entry in entries for part in entry)
        case Call(arguments=arguments):
            return arguments
        case Macro(over=over, bodies=bodies):
            return (over, *bodies)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Give the node and all below it, in the order of the text."""
    yield node
    for child in children(node):
        yield from walk(child)


def dotted(node: Node) -> tuple[str, ...] | None:
    """Give the path of `a.b["c"]` as its parts, or None for anything else."""
    match node:
        case Name(name=name):
            return (name,)
        case Select(base=base, field=field):
            return _longer(base, field)
        case Index(base=base, index=Literal(value=str() as key)):
            return _longer(base, key)
        case _:
            return None


def _longer(base: Node, part: str) -> tuple[str, ...] | None:
    path = dotted(base)
    return None if path is None else (*path, part)
