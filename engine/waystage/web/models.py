"""What requests say."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


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


class Turn(Body):
    """How far the clock is turned forward."""

    by: str


class Whose(Body):
    """A person, or a service whose programs write the scoring log; one of the two."""

    person: str = Field(default="", max_length=100)
    service: str = Field(default="", max_length=63)

    @model_validator(mode="after")
    def _one(self) -> Whose:
        if self.person and self.service:
            raise ValueError("say a person or a service, one of the two")
        return self


class NewToken(Whose):
    """Whose token, and for how long."""

    days: int = Field(default=90, ge=1, le=3660)


class RevokeTokens(Whose):
    """Whose tokens end."""
