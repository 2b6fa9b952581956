"""Names and functions of an expression are held against those that there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from waystage.expressions.ast import Call, Has, Macro, Name, Node, children, dotted
from waystage.expressions.errors import BadExpression
from waystage.expressions.functions import FUNCTIONS, Function
from waystage.expressions.parse import MACROS

NAMES = frozenset({
    "params", "data", "snapshot", "service", "stage", "steps", "tasks", "monitors", "event",
    "run", "now",
})  # fmt: skip


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give `did you mean …?` or, when nothing is near, the few that there are."""
    names = sorted(known)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    if names and len(names) <= 12:
        return f"there: {', '.join(names)}"
    return ""


def check_names(text: str, node: Node, names: Collection[str]) -> None:
    """Raise `BadExpression` at the first name or function that does not exist."""
    match node:
        case Name(name=name, column=column) if name not in names:
            hint = did_you_mean(name, names)
            raise BadExpression(text, column, f"there is no name {name!r}", hint)
        case Call():
            _check_call(text, node)
        case Macro(over=over, variable=variable, bodies=bodies):
            check_names(text, over, names)
            for body in bodies:
                check_names(text, body, {*names, variable})
            return
    for child in children(node):
        check_names(text, child, names)


def _check_call(text: str, call: Call) -> None:
    function = FUNCTIONS.get(call.function)
    if function is None:
        known = [*FUNCTIONS, *MACROS, "has"]
        message, hint = (
            f"there is no function {call.function}()",
            did_you_mean(call.function, known),
        )
        if call.function in MACROS:
            message, hint = f"{call.function}() is called as list.{call.function}(x, …)", ""
        raise BadExpression(text, call.column, message, hint)
    if not (function.method if call.method else function.free):
        raise BadExpression(text, call.column, _other_way(call, function))
    if len(call.arguments) not in function.arity:
        raise BadExpression(text, call.column, _count(call, function))


def _other_way(call: Call, function: Function) -> str:
    name = function.name
    return f"{name}() is called as " + (f"{name}(value)" if call.method else f"value.{name}(…)")


def _count(call: Call, function: Function) -> str:
    hidden = 1 if call.method else 0
    wanted = " or ".join(str(count - hidden) for count in function.arity)
    plural = "" if wanted == "1" else "s"
    return f"{call.function}() takes {wanted} argument{plural}, not {len(call.arguments) - hidden}"


def references(node: Node, hidden: frozenset[str] = frozenset()) -> frozenset[tuple[str, ...]]:
    """Give the longest dotted paths that the expression reads."""
    path = (*(dotted(node.base) or ()), node.field) if isinstance(node, Has) else dotted(node)
    if path and (not isinstance(node, Has) or len(path) > 1):
        return frozenset() if path[0] in hidden else frozenset([path])
    if isinstance(node, Macro):
        inner = hidden | {node.variable}
        return references(node.over, hidden).union(*(references(b, inner) for b in node.bodies))
    return frozenset().union(*(references(child, hidden) for child in children(node)))
