"""A scenario as written: a test of one lifecycle on the virtual clock."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from waystage.plugin.snapshot import Snapshot
from waystage.spec.values import (
    Duration,
    EventName,
    Instant,
    KebabName,
    OneOrMore,
    Spec,
    StateName,
    TargetName,
)


class PlannedAnswer(Spec):
    """What a step answers: exactly one of an output, a refusal, a technical error, a wait."""

    done: dict[str, Any] | None = None
    refused: str | None = None
    failed: str | None = None
    waiting: Duration | None = None

    @model_validator(mode="after")
    def _one(self) -> PlannedAnswer:
        given = [
            k for k in ("done", "refused", "failed", "waiting") if getattr(self, k) is not None
        ]
        if len(given) != 1:
            raise ValueError("says exactly one of done, refused, failed, waiting")
        return self


def _several(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


Answers = Annotated[tuple[PlannedAnswer, ...], BeforeValidator(_several), Field(min_length=1)]


class Decision(Spec):
    """How a person decides the task of a state, so long after it was opened."""

    at: TargetName
    by: str = Field(min_length=1)
    outcome: EventName
    form: dict[str, Any] = {}
    comment: str = ""
    after: Duration = timedelta()


class SentSignal(Spec):
    """A signal that comes while the run is in a state, so long after it was entered."""

    at: TargetName
    name: EventName
    payload: dict[str, Any] = {}
    after: Duration = timedelta()


class Expectation(Spec):
    """What must have happened at the end; `passes` in this order, others may lie between."""

    passes: Annotated[tuple[TargetName, ...], OneOrMore] = ()
    avoids: Annotated[tuple[TargetName, ...], OneOrMore] = ()
    ends_in: TargetName | None = None
    outcome: EventName | None = None
    incident: TargetName | None = None
    within: Duration | None = None


def _pinned(value: Any) -> Any:
    """Give a planned snapshot the digest that nobody needs to write."""
    if not isinstance(value, dict) or "digest" in value:
        return value
    words = f"{value.get('name')}/{value.get('version')}"
    return {**value, "digest": f"sha256:{hashlib.sha256(words.encode()).hexdigest()}"}


class Scenario(Spec):
    """A scenario: who decides, what plugins and monitors answer, and what must come of it."""

    scenario: str = Field(min_length=1, max_length=500)
    lifecycle: KebabName
    service: KebabName
    snapshot: Annotated[Snapshot, BeforeValidator(_pinned)]
    params: dict[StateName, Any] = {}
    starter: str = "starter"
    begins: Instant = datetime(2026, 1, 5, 9, tzinfo=UTC)
    plugins: dict[TargetName, Answers] = {}
    people: tuple[Decision, ...] = ()
    signals: tuple[SentSignal, ...] = ()
    monitors: dict[
        StateName, tuple[Literal["ok", "warn", "breach", "insufficient", "error"], ...]
    ] = {}
    expect: Expectation

    @field_validator("begins")
    @classmethod
    def _zoned(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("needs a zone, as in 2026-01-05T09:00Z")
        return value.astimezone(UTC)
