"""What a plain word in YAML means, by the core schema of YAML 1.2."""

from __future__ import annotations

import re
from math import isfinite
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_HEX = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "false": False,
}
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class BadNumber(ValueError):
    """A number is not finite or too large."""


def plain(text: str) -> Scalar:
    """Give the value of an unquoted scalar; raises `BadNumber`."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _NOT_FINITE.fullmatch(text):
        raise BadNumber(f"{text} is not a finite number")
    if _INT.fullmatch(text) or _HEX.fullmatch(text):
        return _whole(text)
    return _double(text) if _FLOAT.fullmatch(text) else text


def _whole(text: str) -> int:
    # twenty digits are beyond 64 bits, and reading very many is slow
    number = int(text, 0 if text[:2] in ("0x", "0o") else 10) if len(text) < 40 else INT_MAX + 1
    if not INT_MIN <= number <= INT_MAX:
        raise BadNumber(f"{text[:40]} is beyond a 64-bit integer")
    return number


def _double(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise BadNumber(f"{text[:40]} is too large for a number")
    return number
