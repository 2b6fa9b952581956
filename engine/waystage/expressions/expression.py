"""An expression: read once, checked against types, evaluated often."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from waystage.errors import ExpressionError
from waystage.expressions.ast import Macro, Node, walk
from waystage.expressions.checker import Checker
from waystage.expressions.compile import Run, build
from waystage.expressions.errors import Failed
from waystage.expressions.macros import frame
from waystage.expressions.names import NAMES, check_names, references
from waystage.expressions.parse import parse
from waystage.expressions.types import Scope, Type, TypeProblem


@dataclass(frozen=True, eq=False)
class Expression:
    """A compiled expression; `ast` is its tree for those who reason about it."""

    text: str
    ast: Node
    _run: Run = field(repr=False)

    def evaluate(self, env: Mapping[str, Any]) -> Any:
        """Give the value; raises `ExpressionError` when there is none."""
        try:
            return self._run(env)
        except Failed as error:
            raise ExpressionError(f"{self.text}: {error}") from error
        except RecursionError:
            raise ExpressionError(f"{self.text}: the data is too deeply nested") from None

    def holds(self, env: Mapping[str, Any]) -> bool:
        """Evaluate a condition; anything but a bool is an `ExpressionError`."""
        value = self.evaluate(env)
        if value is True or value is False:
            return bool(value)
        raise ExpressionError(f"{self.text}: a condition gives a bool, not {value!r:.40}")

    @cached_property
    def references(self) -> frozenset[tuple[str, ...]]:
        """The longest dotted paths that are read, `("steps", "training", "artifact")`."""
        return references(self.ast)

    def check(self, scope: Scope) -> list[TypeProblem]:
        """Give what cannot be right when the names have these types."""
        checker = Checker(scope.names)
        checker.type(self.ast)
        return checker.problems

    def type(self, scope: Scope) -> Type:
        """Give the type of the value; `dyn` where it is not known."""
        return Checker(scope.names).type(self.ast)


@lru_cache(maxsize=4096)
def _compiled(text: str, names: frozenset[str]) -> Expression:
    tree = parse(text)
    check_names(text, tree, names)
    run = build(tree, {})
    if not any(isinstance(node, Macro) for node in walk(tree)):
        return Expression(text, tree, run)
    return Expression(text, tree, lambda env: run(frame(env)))


def compile_expression(text: str, names: Collection[str] = NAMES) -> Expression:
    """Read and compile an expression; raises `BadExpression` with the column."""
    return _compiled(text, frozenset(names))
