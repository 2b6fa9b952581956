"""A YAML file becomes plain data with the place of every part, and nothing else.

The size is looked at first, then the characters, then the parser's events one by one: nothing
is composed or constructed by the YAML library, so neither tags nor aliases nor deep nests can
do harm. Scalars follow YAML 1.2: `on`, `yes` and `off` are strings, dates too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from waystage.errors import Invalid, Problem
from waystage.spec.tree import Place, TreeBuilder, YamlPath

MAX_BYTES = 256 * 1024

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True)
class Source:
    """One file as written: its data and where in the text each part of it stands.

    `positions` has the place of each key and list element, `values` the place of what is
    said for it; both count lines and columns from 1 and hold the root under `()`. Parts that
    were included stand elsewhere: `origins` has their file and their path in it.
    """

    file: str
    text: str = field(repr=False)
    data: dict[str, Any]
    positions: dict[YamlPath, Place] = field(repr=False)
    values: dict[YamlPath, Place] = field(repr=False, default_factory=dict)
    origins: Mapping[YamlPath, tuple[Source, YamlPath]] = field(repr=False, default_factory=dict)

    def at(self, path: YamlPath) -> tuple[Source, YamlPath]:
        """Give the file that says a part, and the part's path in it."""
        for length in range(len(path) if self.origins else 0, 0, -1):
            if path[:length] in self.origins:
                source, inner = self.origins[path[:length]]
                return source, (*inner, *path[length:])
        return self, path

    def says(self, path: YamlPath) -> bool:
        """Whether a part is written in the file, or in one that it includes."""
        source, inner = self.at(path)
        return inner in source.positions

    def locate(self, path: YamlPath) -> Place:
        """Give the line and column of a key or element, or of the nearest part above it."""
        source, inner = self.at(path)
        return _nearest(source.positions, inner)

    def locate_value(self, path: YamlPath) -> Place:
        """Give the line and column where the value begins, or the nearest part above it."""
        source, inner = self.at(path)
        return _nearest(source.values or source.positions, inner)

    def problem(
        self,
        code: str,
        path: YamlPath,
        message: str,
        suggestion: str = "",
        severity: Severity = "error",
    ) -> Problem:
        """Make a problem that knows its place in this file, or in the one that is included."""
        source, inner = self.at(path)
        line, column = _nearest(source.positions, inner)
        shown = written(inner)
        return Problem(code, message, source.file, line, column, shown, suggestion, severity)


def written(path: YamlPath) -> str:
    """Write a path as people read it: `states.approve.next.done[0].if`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_source(path: Path, shown: str | None = None) -> Source:
    """Read a file; raises `Invalid` with all that is wrong with it as YAML."""
    file = shown if shown is not None else str(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise Invalid([Problem("E-FILE", f"cannot be read: {reason}", file)]) from None
    if len(content) > MAX_BYTES:
        raise Invalid([_too_big(file)])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        message = "is not UTF-8 text"
        raise Invalid([Problem("E-YAML-ENCODING", message, file, line, column)]) from None
    return parse_source(text, file)


def parse_source(text: str, file: str = "<text>") -> Source:
    """Read YAML from a text; raises `Invalid` with all that is wrong with it."""
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise Invalid([_too_big(file)])
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    builder = TreeBuilder(file)
    data = builder.build(text)
    if builder.problems or not isinstance(data, dict):
        raise Invalid(builder.problems)
    return Source(file, text, data, _within(builder.positions, text), _within(builder.values, text))


def _within(places: dict[YamlPath, Place], text: str) -> dict[YamlPath, Place]:
    """Move what the parser puts behind the last line (an empty value) to the text's end."""
    last = text.count("\n") + 1
    end = (last, len(text) - text.rfind("\n"))
    return {path: place if place[0] <= last else end for path, place in places.items()}


def _too_big(file: str) -> Problem:
    message = f"is larger than {MAX_BYTES // 1024} KiB"
    return Problem("E-YAML-SIZE", message, file, suggestion="split it into several files")


def _nearest(places: dict[YamlPath, Place], path: YamlPath) -> Place:
    for length in range(len(path), -1, -1):
        if path[:length] in places:
            return places[path[:length]]
    return (1, 1)
