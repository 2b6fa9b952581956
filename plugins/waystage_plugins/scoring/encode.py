"""Rows and labels as SQLite keeps them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf, isfinite
from numbers import Real
from typing import TypeAlias

from waystage.errors import Hopeless
from waystage.plugin import Label, Outcome, ScoredRow

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
COMPACT = json.JSONEncoder(separators=(",", ":")).encode

# request_id, at, service, stage, snapshot, role, score, latency_ms, inputs
Encoded: TypeAlias = tuple[str, int, str, str, str, str, float | None, float | None, str]


def microseconds(at: datetime, of: str) -> int:
    """Give the instant as whole microseconds since 1970; raises `Hopeless` without a zone."""
    if at.tzinfo is None:
        raise Hopeless(f"the time of {of} has no zone: {at.isoformat()}")
    return (at - EPOCH) // MICROSECOND


def instant(at: int) -> datetime:
    """Give back the instant, in UTC."""
    return EPOCH + timedelta(microseconds=at)


def encode_row(row: ScoredRow) -> Encoded:
    """Give the columns of `scored` in their order."""
    score = row.score
    if score is not None and type(score) is not float:  # said apart: this is done for every row
        score = _number(score, f"the score of request {row.request_id!r}")
    return (
        row.request_id,
        microseconds(row.at, f"request {row.request_id!r}"),
        row.service,
        row.stage,
        row.snapshot,
        row.role,
        score,  # SQLite keeps a NaN as NULL: both are no score
        row.latency_ms,
        COMPACT(row.inputs),
    )


def _number(value: object, what: str) -> float:
    """Give a number as a float, infinite if none can hold it; texts and booleans are none."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise Hopeless(f"{what} is {value!r:.60}, no number")
    try:
        return float(value)
    except OverflowError:
        return inf


def encode_label(label: Label) -> tuple[object, ...]:
    """Give the columns of `label` in their order; raises `Hopeless` if it is not 0 or 1."""
    if label.event not in (0, 1):
        raise Hopeless(f"the label of request {label.request_id!r} is {label.event!r}, not 0 or 1")
    at = microseconds(label.at, f"the label of request {label.request_id!r}")
    return label.request_id, int(label.event), at


def encode_outcome(outcome: Outcome) -> tuple[object, ...]:
    """Give the columns of `outcome` in their order; raises `Hopeless` if it is not finite."""
    what = f"the true value of request {outcome.request_id!r}"
    value = outcome.value
    number = _number(value, what)
    if not isfinite(number):
        raise Hopeless(f"{what} is {value!r:.60}, no finite number")
    return outcome.request_id, number, microseconds(outcome.at, what)
