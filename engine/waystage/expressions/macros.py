"""Comprehensions, and the budget that keeps them from running away.

Without a macro an expression does a bounded number of operations, so only what stands inside
of macros is counted: one unit per element visited, and one per element or character that an
operation there may touch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from waystage.expressions import values
from waystage.expressions.errors import Failed

BUDGET = 200_000
_SPENT = "@spent"


class TooCostly(Failed):
    """It does more work than an expression may."""

    code = "E-EXPRESSION-COST"


def frame(env: Mapping[str, Any]) -> dict[str, Any]:
    """Give an environment that macros may put their variables and their costs into."""
    return {**env, _SPENT: 0}


def charge(env: dict[str, Any], units: int) -> None:
    """Count work; beyond the budget is an error that nothing absorbs."""
    env[_SPENT] += units
    if env[_SPENT] > BUDGET:
        raise TooCostly


def costly(
    work: Callable[..., Any], arguments: tuple[Callable[[Any], Any], ...]
) -> Callable[[Any], Any]:
    """Wrap an operation inside a macro so that the size of what it is given is charged."""

    def run(env: Any) -> Any:
        given = [argument(env) for argument in arguments]
        charge(env, sum(map(_weight, given)))
        return work(*given)

    return run


def _weight(value: Any) -> int:
    if isinstance(value, str | bytes):
        return 1 + len(value) // 64
    if isinstance(value, Mapping):
        return 1 + sum(map(_weight, value.values()))
    if isinstance(value, list | tuple):
        return 1 + sum(map(_weight, value))
    return 1


def build_macro(
    kind: str, over: Callable[[Any], Any], slot: str, bodies: tuple[Callable[[Any], Any], ...]
) -> Callable[[Any], Any]:
    """Compile a comprehension over the elements of a list or the keys of a map."""
    work = _MACROS[kind]

    def run(env: Any) -> Any:
        elements = over(env)
        if not isinstance(elements, list | tuple | Mapping):
            raise Failed(f"{kind}() needs a list or a map, not {values.kind_of(elements)}")
        return work(_each(env, slot, elements), env, bodies)

    return run


def _each(env: dict[str, Any], slot: str, elements: Any) -> Iterator[Any]:
    for element in elements:
        charge(env, 1)
        env[slot] = element
        yield element


def _all(each: Iterator[Any], env: Any, bodies: tuple[Callable[[Any], Any], ...]) -> bool:
    return not _any(each, env, bodies, "all()", False)


def _exists(each: Iterator[Any], env: Any, bodies: tuple[Callable[[Any], Any], ...]) -> bool:
    return _any(each, env, bodies, "exists()", True)


def _any(
    each: Iterator[Any],
    env: Any,
    bodies: tuple[Callable[[Any], Any], ...],
    where: str,
    wanted: bool,
) -> bool:
    failure: Failed | None = None
    for _ in each:
        try:
            if values.truth(bodies[0](env), where) is wanted:
                return True
        except TooCostly:
            raise
        except Failed as error:
            # as with && and ||, a later element may decide alone
            failure = failure or error
    if failure:
        raise failure
    return False


def _exists_one(each: Iterator[Any], env: Any, bodies: tuple[Callable[[Any], Any], ...]) -> bool:
    return sum(values.truth(bodies[0](env), "exists_one()") for _ in each) == 1


def _map(each: Iterator[Any], env: Any, bodies: tuple[Callable[[Any], Any], ...]) -> list[Any]:
    if len(bodies) == 1:
        return [bodies[0](env) for _ in each]
    wanted, body = bodies
    return [body(env) for _ in each if values.truth(wanted(env), "map()")]


def _filter(each: Iterator[Any], env: Any, bodies: tuple[Callable[[Any], Any], ...]) -> list[Any]:
    return [element for element in each if values.truth(bodies[0](env), "filter()")]


_MACROS: dict[str, Callable[..., Any]] = {
    "all": _all,
    "exists": _exists,
    "exists_one": _exists_one,
    "map": _map,
    "filter": _filter,
}
