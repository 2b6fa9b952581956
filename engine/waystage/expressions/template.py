"""Any JSON value with `{{ expressions }}` in its texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, TypeAlias

from waystage.errors import ExpressionError
from waystage.expressions.errors import BadExpression
from waystage.expressions.expression import Expression, compile_expression
from waystage.expressions.names import NAMES
from waystage.expressions.times import write_duration, write_timestamp

Path: TypeAlias = tuple[str | int, ...]
Found: TypeAlias = list[tuple[Path, Expression]]
Render: TypeAlias = Callable[[Mapping[str, Any]], Any]
MAX_DEPTH = 64


@dataclass(frozen=True, eq=False)
class Template:
    """A compiled template: its expressions, each with its place in the value.

    `constant` says that there is none: then `render` gives the very value that was compiled.
    """

    value: Any
    expressions: tuple[tuple[Path, Expression], ...]
    _render: Render | None = field(repr=False)

    @property
    def constant(self) -> bool:
        return self._render is None

    def render(self, env: Mapping[str, Any]) -> Any:
        """Give the JSON value; raises `ExpressionError` when an expression has no value."""
        return self.value if self._render is None else self._render(env)


def compile_template(value: Any, names: Collection[str] = NAMES) -> Template:
    """Compile the texts in a JSON value; raises `BadExpression`."""
    found: Found = []
    render = _compile(value, (), found, names)
    return Template(value, tuple(found), render)


def _compile(value: Any, path: Path, found: Found, names: Collection[str]) -> Render | None:
    if len(path) > MAX_DEPTH:
        raise BadExpression("", 1, "a value is too deeply nested")
    if isinstance(value, str):
        return _compile_text(value, path, found, names) if "{{" in value else None
    if isinstance(value, Mapping):
        parts = {key: _compile(each, (*path, key), found, names) for key, each in value.items()}
        return _mapping(value, parts) if any(parts.values()) else None
    if isinstance(value, list | tuple):
        items = [_compile(each, (*path, place), found, names) for place, each in enumerate(value)]
        return _sequence(value, items) if any(items) else None
    return None


def _mapping(value: Mapping[str, Any], parts: Mapping[str, Render | None]) -> Render:
    pairs = tuple((key, parts[key], each) for key, each in value.items())
    return lambda env: {key: render(env) if render else each for key, render, each in pairs}


def _sequence(value: Any, items: list[Render | None]) -> Render:
    pairs = tuple(zip(items, value, strict=True))
    return lambda env: [render(env) if render else each for render, each in pairs]


def _compile_text(text: str, path: Path, found: Found, names: Collection[str]) -> Render:
    parts = [
        part if isinstance(part, str) else _expression(text, *part, names) for part in split(text)
    ]
    expressions = [part for part in parts if isinstance(part, Expression)]
    found.extend((path, expression) for expression in expressions)
    if len(parts) == 1 and expressions:
        (only,) = expressions
        return lambda env: _native(only, only.evaluate(env))
    return lambda env: "".join(
        part if isinstance(part, str) else _written(part, part.evaluate(env)) for part in parts
    )


def _expression(text: str, source: str, start: int, names: Collection[str]) -> Expression:
    """Compile one part, with columns that count within the whole text when it is wrong."""
    try:
        return compile_expression(source.strip(), names)
    except BadExpression as error:
        lead = start + len(source) - len(source.lstrip())
        column = error.column + lead
        raise BadExpression(text, column, error.message, error.suggestion) from None


def split(text: str) -> list[str | tuple[str, int]]:
    """Cut a text into plain parts and expressions, each expression with its place from 0.

    Braces and quotes inside of an expression do not end it.
    """
    parts: list[str | tuple[str, int]] = []
    end = 0
    while (start := text.find("{{", end)) >= 0:
        if start > end:
            parts.append(text[end:start])
        stop = _closing(text, start + 2)
        parts.append((text[start + 2 : stop], start + 2))
        end = stop + 2
    if end < len(text):
        parts.append(text[end:])
    return parts


def _closing(text: str, place: int) -> int:
    start, depth, quote = place, 0, ""
    while place < len(text):
        letter = text[place]
        if quote:
            if letter == "\\":
                place += 1
            elif letter == quote:
                quote = ""
        elif letter in "\"'":
            quote = letter
        elif letter == "{":
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
        elif text.startswith("}}", place):
            return place
        place += 1
    raise BadExpression(text, start - 1, "{{ is not closed", "write }} after the expression")


def _native(expression: Expression, value: Any) -> Any:
    if isinstance(value, datetime):
        return write_timestamp(value)
    if isinstance(value, timedelta):
        return write_duration(value)
    if isinstance(value, bytes) or (isinstance(value, float) and not isfinite(value)):
        raise ExpressionError(f"{expression.text}: {value!r:.40} cannot be written as JSON")
    if isinstance(value, list | tuple):
        return [_native(expression, each) for each in value]
    if isinstance(value, dict):
        return {key: _native(expression, each) for key, each in value.items()}
    return value


def _written(expression: Expression, value: Any) -> str:
    """Write a value into a text as a person would: 0.3, true, 2026-12-20T00:00:00Z."""
    plain = _native(expression, value)
    if isinstance(plain, str):
        return plain
    if plain is None:
        raise ExpressionError(f"{expression.text}: null cannot stand in a text")
    if isinstance(plain, float):
        return f"{plain:.12g}"
    return json.dumps(plain, ensure_ascii=False)
