"""What follows when a server says no for now, and how long it asks to be left alone."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from waystage.errors import Hopeless, Retryable, WaystageError

if TYPE_CHECKING:
    import httpx

LATER = frozenset({408, 425, 429})


def asked_rest(header: str | None) -> timedelta | None:
    """Read a `Retry-After` (RFC 9110, 10.2.3); a date instead of seconds is not read."""
    seconds = re.fullmatch("[0-9]{1,6}", header or "")
    return timedelta(seconds=int(seconds[0])) if seconds else None


def refused(answer: httpx.Response, told: str) -> WaystageError:
    """Make the error that a status stands for which says no more than whether it may pass."""
    if answer.status_code < 500 and answer.status_code not in LATER:
        return Hopeless(told)
    return Retryable(told, after=asked_rest(answer.headers.get("Retry-After")))
