"""Writes YAML as a person would: short parts in one line, comments where they help."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any, TypeAlias

from waystage.bpmn.text import clean, one_line
from waystage.spec.scalars import BadNumber, plain

YamlPath: TypeAlias = tuple[str | int, ...]
WIDTH = 92
_PLAIN = re.compile(r"[A-Za-z_](?:[^\n#:{}\[\],&*!|>'\"%@`]|:(?=\w))*")
_BLOCK_PLAIN = re.compile(r"[A-Za-z_](?:[^\n#:]|:(?! ))*")


@dataclass
class Comments:
    """What is written above and beside the keys of a tree."""

    above: dict[YamlPath, list[str]] = field(default_factory=dict)
    beside: dict[YamlPath, str] = field(default_factory=dict)

    def add(self, path: YamlPath, *lines: str) -> None:
        """Write lines above a key."""
        known = self.above.setdefault(path, [])
        known.extend(line for line in lines if line not in known)


def emit(tree: Mapping[str, Any], comments: Comments) -> str:
    """Write a tree of mappings, lists and scalars."""
    return "".join(f"{line}\n" for line in _Writer(comments).mapping(tree, (), ""))


class _Writer:
    """Walks the tree; a part goes into one line if it is short and nothing is said of it."""

    def __init__(self, comments: Comments) -> None:
        self._above, self._beside = comments.above, comments.beside
        said = (*comments.above, *comments.beside)
        self._said = {path[:n] for path in said for n in range(len(path))}

    def mapping(self, tree: Mapping[str, Any], path: YamlPath, indent: str) -> Iterator[str]:
        first = ("states", next(iter(tree), ""))
        for key, value in tree.items():
            at = (*path, key)
            if path in ((), ("states",)) and isinstance(value, Mapping) and at != first:
                yield ""
            yield from self._comment(at, indent)
            yield from self._part(f"{indent}{_key(key)}:", value, at, indent)

    def _part(self, head: str, value: Any, at: YamlPath, indent: str) -> Iterator[str]:
        beside = f"  # {one_line(self._beside[at])}" if at in self._beside else ""
        short = self._short(head, value, at)
        if short is not None:
            yield f"{head} {short}{beside}"
        elif isinstance(value, Mapping):
            yield f"{head}{beside}"
            yield from self.mapping(value, at, f"{indent}  ")
        elif isinstance(value, list):
            yield f"{head}{beside}"
            yield from self._list(value, at, f"{indent}  ")
        else:
            yield f"{head} {scalar(value, flow=False)}{beside}"

    def _short(self, head: str, value: Any, at: YamlPath) -> str | None:
        if not isinstance(value, Mapping | list):
            return None
        if not value:
            return "{}" if isinstance(value, Mapping) else "[]"
        if at in self._said or (isinstance(value, Mapping) and not _fits_one_line(at, value)):
            return None
        text = _flow(value)
        return text if len(head) + len(text) < WIDTH else None

    def _list(self, items: list[Any], path: YamlPath, indent: str) -> Iterator[str]:
        for number, item in enumerate(items):
            at = (*path, number)
            yield from self._comment(at, indent)
            beside = f"  # {one_line(self._beside[at])}" if at in self._beside else ""
            text = _flow(item)
            if not isinstance(item, Mapping) or not item or (
                at not in self._said and len(indent) + len(text) < WIDTH
            ):  # fmt: skip
                yield f"{indent}- {text}{beside}"
                continue
            lines = list(self.mapping(item, at, f"{indent}  "))
            first = next(n for n, line in enumerate(lines) if not line.lstrip().startswith("#"))
            yield from (f"{indent}{line.lstrip()}" for line in lines[:first])
            yield f"{indent}- {lines[first].lstrip()}{beside}"
            yield from lines[first + 1 :]

    def _comment(self, at: YamlPath, indent: str) -> Iterator[str]:
        for line in self._above.get(at, ()):
            wide = max(WIDTH - len(indent), 40)
            lines = [clean(line)[:200]] if line[:1] == " " else wrap(one_line(line, 400), wide)
            yield from (f"{indent}# {each}".rstrip() for each in lines)


def _fits_one_line(at: YamlPath, value: Mapping[str, Any]) -> bool:
    """Whether a mapping is a small one; states and what they hold are written out."""
    if at[-1] in ("states", "branches", "data", "form", "monitors", "params"):
        return False
    return not (len(at) > 1 and at[-2] in ("states", "branches")) or set(value) <= {
        "final", "outcome",
    }  # fmt: skip


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalar(value, flow=True)


def _key(key: str) -> str:
    return key if _PLAIN.fullmatch(key) and _is_text(key) and key.strip() == key else quoted(key)


def scalar(value: Any, *, flow: bool) -> str:
    """Write one value; a text without quotes where it stays the same text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value) if math.isfinite(value) else quoted(str(value))
    text = clean(str(value))
    pattern = _PLAIN if flow else _BLOCK_PLAIN
    safe = pattern.fullmatch(text) and _is_text(text) and text.strip() == text
    if safe and text.isprintable() and not text.endswith(":"):
        return text
    return quoted(text)


def quoted(text: str) -> str:
    """Write a text in quotes: simple ones where it holds double ones and nothing special."""
    if '"' in text and "\\" not in text and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=False)


def _is_text(text: str) -> bool:
    try:
        return isinstance(plain(text), str)
    except BadNumber:
        return False
