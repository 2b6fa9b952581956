"""XML becomes elements with their places, and nothing else.

The size is looked at first; then every element is counted while it is read. Document types are
refused, and with them entities and everything that is fetched or multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from waystage.errors import Invalid, Problem

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_ELEMENTS = 50_000
MAX_ATTRIBUTES = 200


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something stands in the file; lines and columns count from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Xml:
    """An element: its namespace, its name, what it says, and where."""

    space: str
    tag: str
    attributes: Mapping[tuple[str, str], str]
    spot: Spot
    children: list[Xml] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text directly inside, without blanks around it."""
        return "".join(self.pieces).strip()

    def get(self, name: str, space: str = "") -> str:
        """Give an attribute, or an empty text."""
        return self.attributes.get((space, name), "").strip()

    def walk(self) -> Iterator[Xml]:
        """Give the element and all below it, in the order of the file."""
        stack = [self]
        while stack:
            each = stack.pop()
            yield each
            stack.extend(reversed(each.children))


class _Stop(Exception):
    """The file is not read any further."""


class _Reader:
    """Builds the tree from the parser's events, within limits."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Xml | None = None
        self.problem: Problem | None = None
        self._open: list[Xml] = []
        self._count = 0
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def read(self, content: bytes) -> None:
        """Read everything; afterwards there is a root or a problem."""
        try:
            self._parser.Parse(content, True)
        except _Stop:
            return
        except expat.ExpatError as error:
            self._report(
                "E-BPMN-XML",
                f"is not XML: {expat.ErrorString(error.code)}",
                spot=Spot(error.lineno, error.offset + 1),
            )
        except (LookupError, ValueError) as error:  # an encoding that is not known, or a lie
            self._report("E-BPMN-XML", f"cannot be read as text: {error}", "save it as UTF-8")

    @property
    def _here(self) -> Spot:
        return Spot(self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1)

    def _report(self, code: str, message: str, hint: str = "", spot: Spot | None = None) -> None:
        at = spot or self._here
        self.problem = Problem(code, message, self.file, at.line, at.column, suggestion=hint)

    def _refuse(self, code: str, message: str, hint: str = "") -> None:
        self._report(code, message, hint)
        raise _Stop

    def _doctype(self, *_: object) -> None:
        message = "has a document type, in which entities could hide"
        self._refuse("E-BPMN-DTD", message, "remove <!DOCTYPE …>")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= MAX_DEPTH:
            self._refuse("E-BPMN-SIZE", f"is nested deeper than {MAX_DEPTH} levels")
        if self._count > MAX_ELEMENTS:
            self._refuse("E-BPMN-SIZE", f"has more than {MAX_ELEMENTS} elements")
        if len(attributes) > MAX_ATTRIBUTES:
            self._refuse("E-BPMN-SIZE", f"has more than {MAX_ATTRIBUTES} attributes")
        space, tag = _split(name)
        element = Xml(space, tag, {_split(k): v for k, v in attributes.items()}, self._here)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].pieces.append(text)


def read_xml(content: bytes, file: str) -> Xml:
    """Read a file's content; raises `Invalid` with the place of what is wrong."""
    if len(content) > MAX_BYTES:
        message = f"is larger than {MAX_BYTES // 1024 // 1024} MiB"
        hint = "export one process alone, without its picture"
        raise Invalid([Problem("E-BPMN-SIZE", message, file, suggestion=hint)])
    reader = _Reader(file)
    reader.read(content)
    if reader.problem is not None:
        raise Invalid([reader.problem])
    if reader.root is None:
        raise Invalid([Problem("E-BPMN-XML", "has no element", file, 1, 1)])
    return reader.root


def _split(name: str) -> tuple[str, str]:
    space, _, tag = name.rpartition(" ")
    return space, tag
