"""JSON and times as the tables keep them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from waystage.errors import Spoiled

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
OUTPUT_LIMIT = 256 * 1024


def dump(value: Any) -> bytes:
    """Write compact JSON."""
    return orjson.dumps(value)


def spoiled(what: str, error: Exception, run: int = 0) -> Spoiled:
    """Give the error for what is kept and cannot be read, of a run if its number is known."""
    whose = f"run number {run}: its {what}" if run else what
    text = f"{whose} is not as Waystage wrote it ({error})"
    return Spoiled(f"{text}; `waystage audit verify` tells what was changed", run)


def load(text: bytes | memoryview | None) -> Any:
    """Read JSON; nothing reads as None."""
    return None if text is None else orjson.loads(text)


def load_row(text: bytes | memoryview | None, what: str = "a row", run: int = 0) -> Any:
    """Read JSON that a table keeps; raises `Spoiled` where it is none any more."""
    try:
        return load(text)
    except ValueError as error:
        raise spoiled(what, error, run) from error


def micros(instant: datetime) -> int:
    """Give microseconds since 1970 in UTC."""
    return (instant - EPOCH) // MICROSECOND


def instant(micro: int) -> datetime:
    """Give the instant in UTC."""
    return EPOCH + timedelta(microseconds=micro)


def chained(before: bytes, seq: int, at: int, actor: str, body: bytes) -> bytes:
    """Give a history row's hash: sha256 over the one before and all that the row says."""
    told = (before, b"%d %d %d " % (seq, at, len(actor)), actor.encode(), body)
    return hashlib.sha256(b"".join(told)).digest()
