"""How long the texts are that a regular expression matches, and whether there are any.

The answer is an upper bound of what can match: an expression that is said to match nothing
does match nothing; one that looks back, ahead or at its own groups is taken as it would be
without that.
"""

from __future__ import annotations

import re

# the parser of `re` itself: another one would read some patterns differently
from re import _parser
from typing import Any, TypeAlias

Span: TypeAlias = tuple[int, int]  # shortest and longest text, in characters
ENDLESS = 1 << 30
NOTHING_BEFORE = ("AT_BEGINNING", "AT_BEGINNING_STRING")
NOTHING_AFTER = ("AT_END", "AT_END_STRING")


def lengths(pattern: str) -> Span | None:
    """Give the lengths of the texts in which the pattern is found; None: there are none.

    The pattern is searched for, as JSON Schema says: only anchors bound the longest text.
    """
    parsed = _parser.parse(pattern, re.NOFLAG)
    if parsed.state.flags & re.MULTILINE:
        return 0, ENDLESS
    return _anchored(list(parsed))


def _anchored(items: list[Any]) -> Span | None:
    inner = _sequence(items)
    if inner is None:
        return None
    begins = bool(items) and _is_anchor(items[0], NOTHING_BEFORE)
    ends = bool(items) and _is_anchor(items[-1], NOTHING_AFTER)
    return inner[0], inner[1] if begins and ends else ENDLESS


def _is_anchor(item: Any, names: tuple[str, ...]) -> bool:
    return str(item[0]) == "AT" and str(item[1]) in names


def _sequence(items: Any) -> Span | None:
    """Add up what follows each other; None where something must come before the beginning."""
    low = high = 0
    ended = False
    for item in items:
        span = _item(item)
        if span is None:
            return None
        if _is_anchor(item, NOTHING_BEFORE) and low:
            return None
        if ended and str(item[0]) == "LITERAL" and item[1] != ord("\n"):
            return None
        ended = ended or _is_anchor(item, NOTHING_AFTER)
        low, high = low + span[0], min(ENDLESS, high + span[1])
    return low, high


def _item(item: Any) -> Span | None:
    kind, said = str(item[0]), item[1]
    if kind in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
        return None if kind == "IN" and _is_empty(said) else (1, 1)
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return _repeated(*said)
    if kind == "SUBPATTERN":
        return (0, ENDLESS) if said[1] & re.MULTILINE else _sequence(said[3])
    if kind == "ATOMIC_GROUP":
        return _sequence(said)
    if kind == "BRANCH":
        spans = [span for each in said[1] if (span := _sequence(each)) is not None]
        return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None
    if kind in ("AT", "ASSERT", "ASSERT_NOT"):
        return 0, 0
    return 0, ENDLESS  # a group again, or what a later Python adds


def _repeated(least: Any, most: Any, inner: Any) -> Span | None:
    span = _sequence(inner)
    if span is None:
        return (0, 0) if int(least) == 0 else None
    low, high = int(least) * span[0], int(most) * span[1]
    return min(low, ENDLESS), min(high, ENDLESS)


def _is_empty(members: list[Any]) -> bool:
    """Whether a class has no member: `[^\\s\\S]`, `[^\\d\\D]`, `[^\\w\\W]`."""
    names = {str(said) for kind, said in members if str(kind) == "CATEGORY"}
    pairs = [{f"CATEGORY_{kind}", f"CATEGORY_NOT_{kind}"} for kind in ("SPACE", "DIGIT", "WORD")]
    negated = any(str(kind) == "NEGATE" for kind, _ in members)
    return negated and any(pair <= names for pair in pairs)
