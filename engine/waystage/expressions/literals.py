"""Literals of CEL: numbers, strings with escapes, bytes."""

from __future__ import annotations

import re
from math import isfinite

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_SIMPLE = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "?": "?", '"': '"', "'": "'", "`": "`",
}  # fmt: skip
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|([0-3][0-7]{2})|[xX]([0-9a-fA-F]{2})"
    r"|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))",
    re.DOTALL,
)


def read_int(token: str) -> int:
    """Read a decimal or hexadecimal integer; raises ValueError beyond 64 bits."""
    value = int(token, 16) if "0x" in token else int(token)
    if not INT_MIN <= value <= INT_MAX:
        raise ValueError("is beyond a 64-bit integer")
    return value


def read_double(token: str) -> float:
    """Read a double; raises ValueError when it is too large to be finite."""
    value = float(token)
    if not isfinite(value):
        raise ValueError("is too large for a number")
    return value


def read_string(token: str) -> str:
    """Read a quoted string; raises ValueError on an unknown escape."""
    raw, body = _body(token)
    return body if raw else _ESCAPE.sub(_character, body)


def read_bytes(token: str) -> bytes:
    """Read a `b"…"` literal: octal and hexadecimal escapes are bytes, the rest is UTF-8."""
    raw, body = _body(token[1:])
    if raw:
        return body.encode()
    out, end = bytearray(), 0
    for match in _ESCAPE.finditer(body):
        out += body[end : match.start()].encode()
        octal, hexadecimal = match[2], match[3]
        number = int(octal, 8) if octal else int(hexadecimal, 16) if hexadecimal else None
        out += _character(match).encode() if number is None else bytes([number])
        end = match.end()
    return bytes(out + body[end:].encode())


def _body(token: str) -> tuple[bool, str]:
    raw = token[0] in "rR"
    quoted = token[1:] if raw else token
    width = 3 if len(quoted) >= 6 and quoted[:3] in ('"""', "'''") else 1
    body = quoted[width:-width]
    if not raw and (len(body) - len(body.rstrip("\\"))) % 2:
        raise ValueError("ends in a backslash; write two for one")
    return raw, body


def _character(match: re.Match[str]) -> str:
    simple, octal, hexadecimal, short, long, unknown = match.groups()
    if simple:
        return _SIMPLE[simple]
    if unknown is not None:
        raise ValueError(f"has the unknown escape \\{unknown}; write two backslashes for one")
    code = int(octal, 8) if octal else int(hexadecimal or short or long, 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError(f"has an escape that is no character: {match[0]}")
    return chr(code)
