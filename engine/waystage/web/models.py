"""What requests say."""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _finite(value: Any) -> Any:
    """Refuse NaN and infinities at any depth: no JSON reader could take them back."""
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is no finite number")
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        _finite(part)
    return value


Object = Annotated[dict[str, Any], AfterValidator(_finite)]


class Body(BaseModel):
    """A closed JSON object."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class StartRun(Body):
    """Which lifecycle on which snapshot for which service."""

    lifecycle: str
    service: str
    model: str
    version: str
    key: str = Field(default="", max_length=200)


class Answer(Body):
    """A person's answer to a task."""

    outcome: str
    form: Object = {}
    comment: str = Field(default="", max_length=10_000)
    shown: str = ""


class Delegate(Body):
    """Who is to answer a task."""

    person: str = Field(max_length=100)


class SendSignal(Body):
    """A signal to a run, or to all open runs of a service; the same key counts once."""

    name: str = Field(max_length=100)
    run: str = ""
    service: str = ""
    payload: Object = {}
    key: str = Field(default="", max_length=200)


class Repair(Body):
    """What is done about an incident, and why."""

    reason: str = ""
    to: str = ""
    values: Object = {}


class LabelRow(Body):
    """What became of a request."""

    request_id: str = Field(max_length=200)
    event: int = Field(ge=0, le=1)
    at: datetime


class Labels(Body):
    """Some labels."""

    labels: list[LabelRow] = Field(max_length=5000)


class Turn(Body):
    """How far the clock is turned forward."""

    by: str


class NewToken(Body):
    """Whose token, and for how long."""

    person: str = Field(max_length=100)
    days: int = Field(default=90, ge=1, le=3660)


class RevokeTokens(Body):
    """Whose tokens end."""

    person: str = Field(max_length=100)
