"""Builds plain data and places from the events of the YAML parser, within limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from waystage.errors import Problem
from waystage.spec.scalars import BadNumber, plain

YamlPath: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]

MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_PROBLEMS = 100

# control characters, bidirectional overrides and isolates, line separators, lone surrogates,
# byte order marks: none of them is seen by the person who reviews the file
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff9-\uffff]"
)
_ESCAPED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Stop(Exception):
    """The file is not read any further."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    value: Any
    path: YamlPath
    key: str | None = None
    expects_key: bool = True


@dataclass(slots=True)
class TreeBuilder:
    """Reads one text; afterwards `problems` has all that is wrong with it."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    positions: dict[YamlPath, Place] = field(default_factory=dict)
    values: dict[YamlPath, Place] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)
    _nodes: int = 0
    _documents: int = 0
    _root: Any = None

    def build(self, text: str) -> Any:
        """Give the data of the one document in the text."""
        if self._hidden(text):
            return None
        try:
            for event in self._events(text):
                self._take(event)
        except _Stop:
            return None
        if not isinstance(self._root, dict) and not self.problems:
            found = "is empty" if self._root is None else "is no mapping of keys to values"
            self.report(
                "E-YAML-ROOT", (1, 1), found, "begin with `lifecycle: NAME`, or another kind"
            )
        return self._root

    def report(self, code: str, place: Place, message: str, suggestion: str = "") -> None:
        """Keep a problem; after very many the rest is not looked at."""
        self.problems.append(Problem(code, message, self.file, *place, suggestion=suggestion))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _Stop

    def _hidden(self, text: str) -> bool:
        for match in _HIDDEN.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            column = match.start() - text.rfind("\n", 0, match.start())
            name = f"U+{ord(match[0]):04X}"
            message = f"has the invisible character {name}"
            self.problems.append(
                Problem(
                    "E-YAML-CHARACTER", message, self.file, line, column, suggestion="remove it"
                )
            )
            if len(self.problems) >= MAX_PROBLEMS:
                break
        return bool(self.problems)

    def _events(self, text: str) -> Iterator[Any]:
        parser = _Parser(text)
        try:
            while parser.check_event():
                yield parser.get_event()
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            self.report("E-YAML-SYNTAX", (1, 1), f"cannot be read as YAML: {error}")
            raise _Stop from None
        finally:
            parser.dispose()

    def _syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = [str(part) for part in (error.problem, error.context) if part]
        hint = "indent with spaces" if "'\\t'" in "".join(said) else ""
        self.report("E-YAML-SYNTAX", place, f"is not YAML: {', '.join(said)}", hint)
        raise _Stop

    def _take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent:
            self._start(event, {})
        elif kind is yaml.SequenceStartEvent:
            self._start(event, [])
        elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            self._open.pop()
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentStartEvent:
            self._document(event)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self.report("E-YAML-DOCUMENTS", _place(event), "has a second document", "use two files")
            raise _Stop

    def _alias(self, event: Any) -> None:
        place = _place(event)
        self.report("E-YAML-ALIAS", place, f"has the alias *{event.anchor}", "write it out")
        if self._open and self._expects_key(self._open[-1]):
            raise _Stop
        self._put(None, place)

    @staticmethod
    def _expects_key(above: _Open) -> bool:
        return isinstance(above.value, dict) and above.expects_key

    def _start(self, event: Any, value: Any) -> None:
        place = _place(event)
        self._common(event, place)
        if len(self._open) >= MAX_DEPTH:
            self.report("E-YAML-DEPTH", place, f"is nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        if self._open and self._expects_key(self._open[-1]):
            self.report("E-YAML-KEY", place, "has a key that is not a text")
            raise _Stop
        self._open.append(_Open(value, self._put(value, place)))

    def _scalar(self, event: Any) -> None:
        place = _place(event)
        self._common(event, place)
        if self._open and self._expects_key(self._open[-1]):
            self._key(self._open[-1], event, place)
            return
        try:
            value = plain(event.value) if event.implicit[0] else self._quoted(event, place)
        except BadNumber as error:
            self.report("E-YAML-NUMBER", place, str(error))
            value = 0
        self._put(value, place)

    def _common(self, event: Any, place: Place) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self.report("E-YAML-SIZE", place, f"has more than {MAX_NODES} parts")
            raise _Stop
        if event.anchor is not None:
            self.report("E-YAML-ALIAS", place, f"has the anchor &{event.anchor}", "remove it")
        if event.tag is not None:
            self.report("E-YAML-TAG", place, f"has the tag {event.tag}", "remove it")

    def _quoted(self, event: Any, place: Place) -> str:
        found = _ESCAPED.search(event.value)
        if found:
            name = f"U+{ord(found[0]):04X}"
            self.report("E-YAML-CHARACTER", place, f"has the invisible character {name}")
        return str(event.value)

    def _key(self, above: _Open, event: Any, place: Place) -> None:
        above.expects_key = False
        key = above.key = self._quoted(event, place)
        path = (*above.path, key)
        if event.implicit[0] and not _is_text(key):
            self.report(
                "E-YAML-KEY",
                place,
                f"has the key {key or 'null'!r}, which is not a text",
                f'write "{key}"',
            )
        elif key == "<<" and event.implicit[0]:
            self.report("E-YAML-ALIAS", place, "has a merge key <<", "write it out")
        elif key in above.value:
            line, column = self.positions.get(path, place)
            hint = f"the first is at {line}:{column}"
            self.report("E-YAML-DUPLICATE", place, f"has the key {key!r} twice", hint)
        else:
            self.positions[path] = place

    def _put(self, value: Any, place: Place) -> YamlPath:
        if not self._open:
            self._root = value
            self.positions[()] = self.values[()] = place
            return ()
        above = self._open[-1]
        if isinstance(above.value, dict):
            path = (*above.path, above.key or "")
            above.value.setdefault(above.key or "", value)
            above.expects_key = True
        else:
            path = (*above.path, len(above.value))
            above.value.append(value)
            self.positions[path] = place
        self.values.setdefault(path, place)
        return path


def _is_text(word: str) -> bool:
    try:
        return isinstance(plain(word), str)
    except BadNumber:
        return False


def _place(event: Any) -> Place:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1)
