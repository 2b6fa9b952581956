"""What follows when a server says no for now, and how long it asks to be left alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from waystage.clock import wall_seconds
from waystage.errors import Hopeless, Retryable, WaystageError

if TYPE_CHECKING:
    import httpx

LATER = frozenset({408, 425, 429})


def may_pass(status: int) -> bool:
    """Whether a refusal with this status may be another one later."""
    return status >= 500 or status in LATER


def asked_rest(headers: Mapping[str, str]) -> timedelta | None:
    """Read a `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.

    A date is counted from the `Date` that the server itself tells, where it does: its clock may
    be another than this machine's.
    """
    told = headers.get("Retry-After") or ""
    if re.fullmatch("[0-9]{1,6}", told):
        return timedelta(seconds=int(told))
    now = _date(headers.get("Date") or "") or datetime.fromtimestamp(wall_seconds(), UTC)
    until = _date(told)
    return until - now if until is not None and until > now else None


def _date(told: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(told)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def refused(answer: httpx.Response, told: str) -> WaystageError:
    """Make the error that a status stands for which says no more than whether it may pass."""
    if not may_pass(answer.status_code):
        return Hopeless(told)
    return Retryable(told, after=asked_rest(answer.headers))
