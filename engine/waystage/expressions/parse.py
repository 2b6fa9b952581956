"""Text becomes a tree: lark's parse tree is turned into our nodes, within limits."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
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
from waystage.expressions.errors import BadExpression
from waystage.expressions.grammar import parser
from waystage.expressions.literals import read_bytes, read_double, read_int, read_string

MAX_BYTES = 4096
MAX_DEPTH = 64
MAX_NODES = 1000

MACROS = {"all": (2,), "exists": (2,), "exists_one": (2,), "map": (2, 3), "filter": (2,)}
RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let",
    "loop", "package", "namespace", "return", "var", "void", "while",
})  # fmt: skip
_OPERATORS = {
    "conditionalor": "||", "conditionaland": "&&",
    "relation_lt": "<", "relation_le": "<=", "relation_gt": ">", "relation_ge": ">=",
    "relation_eq": "==", "relation_ne": "!=", "relation_in": "in",
    "addition_add": "+", "addition_sub": "-",
    "multiplication_mul": "*", "multiplication_div": "/", "multiplication_mod": "%",
    "unary_not": "!", "unary_neg": "-",
}  # fmt: skip
_WORDS = {"and": "&&", "or": "||", "not": "!", "is": "=="}


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """Read an expression; raises `BadExpression` with the column."""
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise BadExpression(text, 1, f"is longer than {MAX_BYTES // 1024} KiB")
    if not text.strip():
        raise BadExpression(text, 1, "is empty")
    return _Reader(text).read(_tree(text))


def _tree(text: str) -> Any:
    from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedToken

    try:
        return parser().parse(text)
    except UnexpectedCharacters as error:
        place = error.pos_in_stream or 0
        raise _unexpected(text, text[place], place) from None
    except UnexpectedToken as error:
        if error.token.type == "$END":
            raise BadExpression(text, len(text) + 1, "ends too early") from None
        raise _unexpected(text, str(error.token), error.pos_in_stream or 0) from None
    except LarkError as error:
        raise BadExpression(text, 1, str(error).splitlines()[0]) from None


def _unexpected(text: str, found: str, position: int) -> BadExpression:
    hint = ""
    if found == "=":
        hint = "compare with =="
    elif found in _WORDS:
        hint = f"write {_WORDS[found]}"
    elif found in "\"'":
        hint = "is the text's closing quote there?"
    return BadExpression(text, position + 1, f"{found!r} is not expected here", hint)


class _Reader:
    """Turns one parse tree into nodes and counts them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.count = 0
        self.depth = 0

    def read(self, tree: Any) -> Node:
        while (
            len(tree.children) == 1 and tree.data in _THROUGH and hasattr(tree.children[0], "data")
        ):
            tree = tree.children[0]
        self.count += 1
        self.depth += 1
        if self.depth > MAX_DEPTH or self.count > MAX_NODES:
            raise self.bad(
                tree, "is too deeply nested" if self.depth > MAX_DEPTH else "is too long"
            )
        node = _READERS[tree.data](self, tree)
        self.depth -= 1
        return node

    def column(self, tree: Any) -> int:
        return (getattr(tree.meta, "start_pos", None) or 0) + 1  # true and false carry no place

    def bad(self, tree: Any, message: str, suggestion: str = "") -> BadExpression:
        return BadExpression(self.text, self.column(tree), message, suggestion)

    def arguments(self, tree: Any) -> tuple[Node, ...]:
        return tuple(self.read(child) for child in tree.children)

    def literal(self, tree: Any) -> Node:
        token = tree.children[0]
        if token.type == "UINT_LIT":
            raise self.bad(
                tree, "unsigned numbers are not part of this language", "leave the u away"
            )
        try:
            return Literal(_LITERALS[token.type](str(token)), self.column(tree))
        except ValueError as error:
            raise self.bad(tree, f"{str(token)[:40]} {error}") from None

    def name(self, tree: Any) -> Node:
        name = str(tree.children[0])
        if name in RESERVED:
            raise self.bad(tree, f"{name!r} is a reserved word")
        return Name(name, self.column(tree))

    def select(self, tree: Any) -> Node:
        base, field = tree.children
        return Select(self.read(base), str(field), field.start_pos + 1)

    def index(self, tree: Any) -> Node:
        base, index = tree.children
        return Index(self.read(base), self.read(index), self.column(tree))

    def ternary(self, tree: Any) -> Node:
        condition, yes, no = self.arguments(tree)
        return Ternary(condition, yes, no, self.column(tree))

    def binary(self, tree: Any) -> Node:
        left, right = tree.children
        operator = _OPERATORS.get(tree.data) or _OPERATORS[left.data]
        if left.data in _OPERATORS and left.data not in _THROUGH:
            (left,) = left.children
        return Binary(operator, self.read(left), self.read(right), self.column(tree))

    def unary(self, tree: Any) -> Node:
        operator, operand = tree.children
        return Unary(_OPERATORS[operator.data], self.read(operand), self.column(tree))

    def list_of(self, tree: Any) -> Node:
        items = self.arguments(tree.children[0]) if tree.children else ()
        return ListOf(items, self.column(tree))

    def map_of(self, tree: Any) -> Node:
        parts = self.arguments(tree.children[0]) if tree.children else ()
        return MapOf(tuple(zip(parts[::2], parts[1::2], strict=True)), self.column(tree))

    def call(self, tree: Any) -> Node:
        name = str(tree.children[0])
        arguments = tree.children[1].children if len(tree.children) > 1 else []
        if name == "has":
            return self.has(tree, arguments)
        given = tuple(self.read(argument) for argument in arguments)
        return Call(name, False, given, self.column(tree))

    def has(self, tree: Any, arguments: list[Any]) -> Node:
        inner = self.read(arguments[0]) if len(arguments) == 1 else None
        if not isinstance(inner, Select):
            raise self.bad(tree, "has() asks for one field, as in has(snapshot.tags.candidate)")
        return Has(inner.base, inner.field, inner.column)

    def method(self, tree: Any) -> Node:
        base, name = tree.children[0], tree.children[1]
        arguments = tree.children[2].children if len(tree.children) > 2 else []
        over, column = self.read(base), name.start_pos + 1
        given = tuple(self.read(argument) for argument in arguments)
        if str(name) in MACROS and len(given) in MACROS[str(name)]:
            variable = given[0]
            if not isinstance(variable, Name):
                raise self.bad(tree, f"{name}() needs a name first, as in {name}(x, x > 0)")
            return Macro(str(name), over, variable.name, given[1:], column)
        return Call(str(name), True, (over, *given), column)

    def refuse(self, tree: Any) -> Node:
        raise self.bad(tree, "is not part of this language")


_LITERALS: dict[str, Callable[[str], Any]] = {
    "INT_LIT": read_int,
    "FLOAT_LIT": read_double,
    "STRING_LIT": read_string,
    "MLSTRING_LIT": read_string,
    "BYTES_LIT": read_bytes,
    "BOOL_LIT": "true".__eq__,
    "NULL_LIT": lambda _: None,
}
_THROUGH = frozenset({
    "expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication",
    "unary", "member", "primary", "paren_expr",
})  # fmt: skip
_READERS: dict[str, Callable[[_Reader, Any], Node]] = {
    "expr": _Reader.ternary,
    "conditionalor": _Reader.binary,
    "conditionaland": _Reader.binary,
    "relation": _Reader.binary,
    "addition": _Reader.binary,
    "multiplication": _Reader.binary,
    "unary": _Reader.unary,
    "literal": _Reader.literal,
    "ident": _Reader.name,
    "member_dot": _Reader.select,
    "member_index": _Reader.index,
    "member_dot_arg": _Reader.method,
    "ident_arg": _Reader.call,
    "list_lit": _Reader.list_of,
    "map_lit": _Reader.map_of,
    "member_object": _Reader.refuse,
    "dot_ident": _Reader.refuse,
    "dot_ident_arg": _Reader.refuse,
}
