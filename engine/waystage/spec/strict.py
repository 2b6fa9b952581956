"""Finds values that pydantic has silently made into another kind: `"3"` into 3, true into 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from waystage.errors import Problem
from waystage.spec.source import Source
from waystage.spec.tree import YamlPath
from waystage.spec.values import Spec
from waystage.spec.wording import shown


def coerced(spec: Spec, source: Source) -> list[Problem]:
    """Give a problem for each scalar that was not written as what it is used as."""
    return list(_compare(source.data, spec.model_dump(by_alias=True), (), source))


def _compare(said: Any, kept: Any, path: YamlPath, source: Source) -> Iterator[Problem]:
    if isinstance(said, dict) and isinstance(kept, dict):
        for key in said.keys() & kept.keys():
            yield from _compare(said[key], kept[key], (*path, key), source)
    elif isinstance(said, list) and isinstance(kept, list | tuple) and len(said) == len(kept):
        for place, pair in enumerate(zip(said, kept, strict=True)):
            yield from _compare(*pair, (*path, place), source)
    elif isinstance(said, bool | str) and _kind(said) != _kind(kept) and _kind(kept):
        message = f"needs {_kind(kept)}, not {shown(said)}"
        yield source.problem("E-SPEC-VALUE", path, message, _cure(said, kept))


def _cure(said: bool | str, kept: Any) -> str:
    if isinstance(kept, bool):
        return f"write {str(kept).lower()}"
    return "write it without quotes" if isinstance(said, str) else ""


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int | float) else ""
