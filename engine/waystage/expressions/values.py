"""What the operators do with values, by the CEL specification where it and safety agree.

Safer than CEL on purpose, since guards must fail closed: comparing values of different kinds,
null with something else, NaN or an infinity is an error, and arithmetic never makes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from waystage.expressions.errors import Failed
from waystage.expressions.literals import INT_MAX, INT_MIN
from waystage.expressions.times import within

MAX_TEXT = 1 << 20

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "double"),
    (str, "string"),
    (bytes, "bytes"),
    (type(None), "null"),
    (datetime, "timestamp"),
    (timedelta, "duration"),
    (Mapping, "map"),
    ((list, tuple), "list"),
)


def kind_of(value: Any) -> str:
    """Name the kind of a value as CEL does."""
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return type(value).__name__


def shared_kind(x: Any, y: Any) -> str:
    """Give the kind that two values can be compared as, or an empty text."""
    left, right = kind_of(x), kind_of(y)
    if left in ("int", "double") and right in ("int", "double"):
        finite(x)
        finite(y)
        return "number"
    return left if left == right else ""


def finite(value: Any) -> Any:
    """Give the number back; NaN and infinities are errors."""
    if isinstance(value, float) and not isfinite(value):
        raise Failed(f"{value} is no number to compute with")
    return value


def equal(x: Any, y: Any) -> bool:
    """Answer `x == y`; values of different kinds do not compare."""
    kind = shared_kind(x, y)
    if not kind:
        raise Failed(f"cannot compare {kind_of(x)} with {kind_of(y)}")
    if kind == "timestamp" and (x.tzinfo is None) != (y.tzinfo is None):
        raise Failed("cannot compare a time that has a zone with one that has none")
    return deep_equal(x, y)


def deep_equal(x: Any, y: Any) -> bool:
    """Compare with everything inside; below the top, different kinds are just unequal."""
    kind = shared_kind(x, y)
    if kind == "list":
        return len(x) == len(y) and all(map(deep_equal, x, y))
    if kind == "map":
        return x.keys() == y.keys() and all(deep_equal(value, y[key]) for key, value in x.items())
    return bool(kind) and bool(x == y)


def order(operator: str, x: Any, y: Any) -> bool:
    """Answer `x < y` and the like for any two values, the slow and careful way."""
    kind = shared_kind(x, y)
    if kind in ("", "null", "map", "list") or kind not in _ORDERED:
        raise Failed(f"cannot compare {kind_of(x)} {operator} {kind_of(y)}")
    try:
        return bool(_ORDERS[operator](x, y))
    except TypeError:
        raise Failed("cannot compare a time that has a zone with one that has none") from None


_ORDERED = frozenset({"number", "bool", "string", "bytes", "timestamp", "duration"})
_ORDERS = {
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
}


def contains(item: Any, where: Any) -> bool:
    """Answer `item in where`: an element of a list, a key of a map."""
    if isinstance(where, Mapping):
        if not isinstance(item, str):
            raise Failed(f"the keys of a map are strings, not {kind_of(item)}")
        return item in where
    if not isinstance(where, list | tuple):
        raise Failed(f"in needs a list or a map on its right, not {kind_of(where)}")
    strange = ""
    for each in where:
        if each is None or shared_kind(item, each):
            if deep_equal(item, each):
                return True
        else:
            strange = kind_of(each)
    if strange or (item is None and None not in where and len(where)):
        raise Failed(f"cannot compare {kind_of(item)} with {strange or 'the elements of the list'}")
    return False


def index(base: Any, key: Any) -> Any:
    """Answer `base[key]`."""
    if isinstance(base, Mapping):
        if not isinstance(key, str):
            raise Failed(f"the keys of a map are strings, not {kind_of(key)}")
        if key not in base:
            raise Failed(f"there is no {key!r}{among(base)}")
        return base[key]
    if not isinstance(base, list | tuple):
        raise Failed(f"{kind_of(base)} has no elements")
    if isinstance(key, bool) or not isinstance(key, int):
        raise Failed(f"the place in a list is an int, not {kind_of(key)}")
    if not 0 <= key < len(base):
        raise Failed(f"there is no element {key} in a list of {len(base)}")
    return base[key]


def among(where: Mapping[Any, Any]) -> str:
    """Say which names are there, in parentheses."""
    names = sorted(map(str, where))
    if not names:
        return " (it is empty)"
    more = ", …" if len(names) > 6 else ""
    return f" (there: {', '.join(names[:6])}{more})"


def add(x: Any, y: Any) -> Any:
    """Answer `x + y`."""
    match kind_of(x), kind_of(y):
        case ("int", "int"):
            return whole(x + y)
        case ("double", "double"):
            return finite(x + y)
        case ("string", "string") | ("bytes", "bytes"):
            return _short(x + y)
        case ("list", "list"):
            return _short([*x, *y])
        case ("timestamp", "duration") | ("duration", "timestamp") | ("duration", "duration"):
            return _calendar(lambda: x + y)
    raise _cannot("+", x, y)


def subtract(x: Any, y: Any) -> Any:
    """Answer `x - y`."""
    match kind_of(x), kind_of(y):
        case ("int", "int"):
            return whole(x - y)
        case ("double", "double"):
            return finite(x - y)
        case ("timestamp", "duration" | "timestamp") | ("duration", "duration"):
            return _calendar(lambda: x - y)
    raise _cannot("-", x, y)


def multiply(x: Any, y: Any) -> Any:
    """Answer `x * y`."""
    match kind_of(x), kind_of(y):
        case ("int", "int"):
            return whole(x * y)
        case ("double", "double"):
            return finite(x * y)
    raise _cannot("*", x, y)


def divide(x: Any, y: Any) -> Any:
    """Answer `x / y`; integers are cut off toward zero."""
    match kind_of(x), kind_of(y):
        case ("int", "int") | ("double", "double") if y == 0:
            raise Failed("division by zero")
        case ("int", "int"):
            return whole(_quotient(x, y))
        case ("double", "double"):
            return finite(x / y)
    raise _cannot("/", x, y)


def modulo(x: Any, y: Any) -> Any:
    """Answer `x % y` of integers; the sign is that of `x`."""
    if (kind_of(x), kind_of(y)) != ("int", "int"):
        raise _cannot("%", x, y)
    if y == 0:
        raise Failed("division by zero")
    return x - y * _quotient(x, y)


def negate(x: Any) -> Any:
    """Answer `-x`."""
    match kind_of(x):
        case "int":
            return whole(-x)
        case "double":
            return finite(-x)
    raise Failed(f"- needs a number, not {kind_of(x)}")


def whole(value: int) -> int:
    """Give the integer back; beyond 64 bits is an error."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise Failed("the result is beyond a 64-bit integer")


def truth(value: Any, where: str) -> bool:
    """Give a bool back; anything else is an error."""
    if value is True or value is False:
        return bool(value)
    raise Failed(f"{where} needs a bool, not {kind_of(value)}")


def _quotient(x: int, y: int) -> int:
    quotient = abs(x) // abs(y)
    return quotient if (x < 0) == (y < 0) else -quotient


def _short(value: Any) -> Any:
    if len(value) > MAX_TEXT:
        raise Failed("the result is longer than a million elements")
    return value


def _calendar(compute: Any) -> Any:
    try:
        found = compute()
        return within(found) if isinstance(found, timedelta) else found
    except OverflowError:
        raise Failed("the result is beyond the calendar") from None
    except TypeError:
        raise Failed("cannot mix a time that has a zone with one that has none") from None


def _cannot(operator: str, x: Any, y: Any) -> Failed:
    left, right = kind_of(x), kind_of(y)
    hint = ""
    if {left, right} == {"int", "double"}:
        hint = "; convert one with double() or int()"
    return Failed(f"there is no {left} {operator} {right}{hint}")
