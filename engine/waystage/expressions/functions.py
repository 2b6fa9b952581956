"""The functions of the language: how many arguments each takes and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from waystage.expressions import times
from waystage.expressions.errors import Failed
from waystage.expressions.literals import INT_MAX, INT_MIN
from waystage.expressions.values import kind_of
from waystage.patterns import compiled


@dataclass(frozen=True, slots=True)
class Function:
    """One function: how it is called and its work."""

    name: str
    work: Callable[..., Any]
    arity: tuple[int, ...]
    method: bool
    free: bool = False


def _size(value: Any) -> int:
    if isinstance(value, str | bytes | list | tuple | Mapping):
        return len(value)
    raise Failed(f"size() needs a string, bytes, list or map, not {kind_of(value)}")


def _text(name: str, *values: Any) -> None:
    for value in values:
        if not isinstance(value, str):
            raise Failed(f"{name}() needs strings, not {kind_of(value)}")


def _contains(text: Any, part: Any) -> bool:
    _text("contains", text, part)
    return part in text


def _starts(text: Any, part: Any) -> bool:
    _text("startsWith", text, part)
    return bool(text.startswith(part))


def _ends(text: Any, part: Any) -> bool:
    _text("endsWith", text, part)
    return bool(text.endswith(part))


def _matches(text: Any, pattern: Any) -> bool:
    _text("matches", text, pattern)
    return regular_expression(pattern).search(text) is not None


def regular_expression(pattern: str) -> Any:
    """Compile a pattern; raises `Failed`."""
    try:
        return compiled(pattern)
    except ValueError as error:
        raise Failed(f"the pattern {pattern!r} is wrong: {error}") from None


def _int(value: Any) -> int:
    match kind_of(value):
        case "int":
            return int(value)
        case "double" if isfinite(value) and INT_MIN < int(value) <= INT_MAX:
            return int(value)
        case "string":
            return _int_of(value)
        case "timestamp":
            return int(value.timestamp() // 1)
    raise Failed(f"int() cannot convert {_shown(value)}")


def _int_of(text: str) -> int:
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 20:
        number = int(text)
        if INT_MIN <= number <= INT_MAX:
            return number
    raise Failed(f"int() cannot convert {_shown(text)}")


def _double(value: Any) -> float:
    if kind_of(value) in ("int", "double", "string"):
        try:
            number = float(value if not isinstance(value, str) or "_" not in value else "")
        except (ValueError, OverflowError):
            number = float("nan")
        if isfinite(number):
            return number
    raise Failed(f"double() cannot convert {_shown(value)}")


def _string(value: Any) -> str:
    match kind_of(value):
        case "bool":
            return "true" if value else "false"
        case "int":
            return str(int(value))
        case "string":
            return str(value)
        case "double" if isfinite(value):
            return write_double(value)
        case "timestamp":
            return times.write_timestamp(value)
        case "duration":
            return times.write_seconds(value)
        case "bytes":
            return _utf8(value)
    raise Failed(f"string() cannot convert {_shown(value)}")


def write_double(value: float) -> str:
    """Write the shortest text that reads back as the same double; whole ones without `.0`."""
    return repr(float(value)).removesuffix(".0")


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Failed("string() cannot convert bytes that are not UTF-8") from None


_BOOLS = {
    **dict.fromkeys(("true", "True", "TRUE", "t", "1"), True),
    **dict.fromkeys(("false", "False", "FALSE", "f", "0"), False),
}


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _BOOLS:
        return _BOOLS[value]
    raise Failed(f"bool() cannot convert {_shown(value)}")


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    raise Failed(f"bytes() cannot convert {_shown(value)}")


def _timestamp(value: Any) -> datetime:
    match kind_of(value):
        case "timestamp":
            return value  # type: ignore[no-any-return]  # kind_of has looked at its type
        case "string":
            return times.read_timestamp(value)
        case "int":
            try:
                return datetime.fromtimestamp(value, UTC)
            except (OverflowError, ValueError, OSError):
                raise Failed(f"{value} seconds are beyond the calendar") from None
    raise Failed(f"timestamp() cannot convert {_shown(value)}")


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return times.read_duration(value)
    raise Failed(f"duration() cannot convert {_shown(value)}")


def _part(name: str) -> Callable[..., int]:
    def work(value: Any, zone: Any = "UTC") -> int:
        if not isinstance(zone, str):
            raise Failed(f"{name}() needs the name of a zone, not {kind_of(zone)}")
        spans = ("getHours", "getMinutes", "getSeconds", "getMilliseconds")
        if not isinstance(value, datetime) and not (isinstance(value, timedelta) and name in spans):
            raise Failed(f"{name}() does not belong to {kind_of(value)}")
        return times.part(name, value, zone)

    return work


def _dyn(value: Any) -> Any:
    return value


def _shown(value: Any) -> str:
    kind = kind_of(value)
    plain = kind in ("bool", "int", "double", "string")
    return f"the {kind} {str(value)[:40]!r}" if plain else kind


FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        Function("size", _size, (1,), method=True, free=True),
        Function("contains", _contains, (2,), method=True),
        Function("startsWith", _starts, (2,), method=True),
        Function("endsWith", _ends, (2,), method=True),
        Function("matches", _matches, (2,), method=True, free=True),
        Function("int", _int, (1,), method=False, free=True),
        Function("double", _double, (1,), method=False, free=True),
        Function("string", _string, (1,), method=False, free=True),
        Function("bool", _bool, (1,), method=False, free=True),
        Function("bytes", _bytes, (1,), method=False, free=True),
        Function("timestamp", _timestamp, (1,), method=False, free=True),
        Function("duration", _duration, (1,), method=False, free=True),
        Function("dyn", _dyn, (1,), method=False, free=True),
        *(Function(name, _part(name), (1, 2), method=True) for name in times.TIMESTAMP_PARTS),
    )
}
