"""Reading and writing the text format of protocol buffers, as far as model servers use it.

Source: protobuf.dev, "Text Format Language Specification". Without a schema: a message is the
list of its fields in order, and whoever reads it says what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = "Scalar | Message"
Message: TypeAlias = list[tuple[str, Value]]

DEEPEST = 50
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b",
           "f": "\f", "v": "\v", "?": "?"}  # fmt: skip
CLOSING = {"{": "}", "<": ">"}
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>-?(?:0[xX][0-9A-Fa-f]+|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)[fF]?)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<mark>[{}<>\[\]:,;])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)


class NotText(ValueError):
    """The text is no message; it says which line is wrong and why."""


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def write(message: Message, indent: str = "") -> str:
    """Write a message, one field a line."""
    lines = []
    for name, value in message:
        if isinstance(value, list):
            lines.append(f"{indent}{name} {{\n{write(value, indent + '  ')}{indent}}}\n")
        else:
            lines.append(f"{indent}{name}: {_written(value)}\n")
    return "".join(lines)


def read(text: str) -> Message:
    """Read a message; raises `NotText`."""
    tokens = _Tokens(list(_split(text)))
    return _message(tokens, "", 0)


def several(message: Message, name: str) -> list[Value]:
    """Give all values of a field."""
    return [value for each, value in message if each == name]


def messages(message: Message, name: str) -> list[Message]:
    """Give all messages of a field; raises `NotText` when one is a scalar."""
    found = several(message, name)
    if not all(isinstance(each, list) for each in found):
        raise NotText(f"{name} is a message: write {name} {{ … }}")
    return [each for each in found if isinstance(each, list)]


def only(message: Message, known: Sequence[str], where: str) -> None:
    """Raise `NotText` naming a field that is not among the known ones."""
    for name, _ in message:
        if name not in known:
            raise NotText(f"{where} has a field {name!r}; known are {', '.join(known)}")


class _Tokens:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._at = tokens, 0

    def peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def next(self, what: str) -> _Token:
        found = self.peek()
        if found is None:
            raise NotText(f"it ends where {what} is expected")
        self._at += 1
        return found

    def take(self, text: str) -> bool:
        found = self.peek()
        if found is None or found.kind != "mark" or found.text != text:
            return False
        self._at += 1
        return True


def _split(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotText(f"line {line}: {text[at : at + 20]!r} is not understood")
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match.group(), line)
        line += match.group().count("\n")
        at = match.end()


def _message(tokens: _Tokens, end: str, depth: int) -> Message:
    if depth > DEEPEST:
        raise NotText(f"messages are nested more than {DEEPEST} deep")
    found: Message = []
    while True:
        if end and tokens.take(end):
            return found
        if not end and tokens.peek() is None:
            return found
        name = tokens.next(f"{end!r}" if end else "a field")
        if name.kind != "name":
            raise NotText(f"line {name.line}: {name.text!r} is no name of a field")
        found += [(name.text, value) for value in _values(tokens, name, depth)]
        if not tokens.take(","):
            tokens.take(";")


def _values(tokens: _Tokens, name: _Token, depth: int) -> Iterator[Value]:
    colon = tokens.take(":")
    if not tokens.take("["):
        yield _value(tokens, name, depth, colon=colon)
        return
    if tokens.take("]"):
        return
    while True:
        yield _value(tokens, name, depth, colon=True)
        if tokens.take("]"):
            return
        if not tokens.take(","):
            raise NotText(f"line {name.line}: the list of {name.text} is not closed by ]")


def _value(tokens: _Tokens, name: _Token, depth: int, *, colon: bool) -> Value:
    token = tokens.next(f"a value of {name.text}")
    if token.kind == "mark" and token.text in CLOSING:
        return _message(tokens, CLOSING[token.text], depth + 1)
    if not colon or token.kind == "mark":
        raise NotText(f"line {token.line}: {name.text} has no value")
    if token.kind == "number":
        return _number(token)
    if token.kind == "name":
        return {"true": True, "false": False}.get(token.text, token.text)
    text = _unescaped(token.text[1:-1])
    while (more := tokens.peek()) is not None and more.kind == "text":
        text += _unescaped(tokens.next("text").text[1:-1])
    return text


def _number(token: _Token) -> int | float:
    text = token.text
    try:
        return int(text, 16 if "x" in text.lower() else 10)
    except ValueError:
        return float(text.rstrip("fF"))


def _written(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    kept = "".join(_escaped(each) for each in value)
    return f'"{kept}"'


def _escaped(each: str) -> str:
    if each in '"\\':
        return f"\\{each}"
    if each.isprintable():
        return each
    return "".join(f"\\{byte:03o}" for byte in each.encode())


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> bytes:
        hexadecimal, octal, letter = match.groups()
        if hexadecimal or octal:
            return bytes([int(hexadecimal, 16) if hexadecimal else int(octal, 8) & 0xFF])
        if letter not in ESCAPES:
            raise NotText(f"\\{letter} in a text is not understood")
        return ESCAPES[letter].encode()

    at, parts = 0, []
    for match in _ESCAPE.finditer(text):
        parts += [text[at : match.start()].encode(), plain(match)]
        at = match.end()
    try:
        return b"".join([*parts, text[at:].encode()]).decode()
    except UnicodeDecodeError:
        raise NotText("a text is not UTF-8") from None
