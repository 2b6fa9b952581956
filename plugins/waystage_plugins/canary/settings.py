"""What a canary is judged by: metrics, where they are asked for, and over which interval."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from waystage.plugin import Secret, Value
from waystage_plugins.repositories.rest import LOCAL
from waystage_plugins.storage.address import Address

Side: TypeAlias = Literal["canary", "baseline"]
SIDES: tuple[Side, Side] = ("canary", "baseline")
Query = Annotated[str, Field(min_length=1, max_length=4000)]
Length = Annotated[timedelta, Field(gt=timedelta())]
RANGE = re.compile(r"\[(?P<range>(?:\d+(?:ms|[smhdwy]))+)(?::[^\]]*)?\]")
PART = re.compile(r"(\d+)(ms|[smhdwy])")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
LONGEST = 10_000  # points of a series; Prometheus gives no more than 11,000


class Prometheus(Value):
    """A server that speaks Prometheus' HTTP API.

    `started` asks when each side was started, in seconds since 1970; without it the inventory
    is asked. The token goes as a bearer token, by TLS or to this machine.
    """

    url: str = Field(pattern=r"^https?://[^\s?#]+$", max_length=2000)
    token: Secret | None = None
    allow_private: bool = False
    started: Query | None = None

    @field_validator("started")
    @classmethod
    def _of_a_side(cls, value: str | None) -> str | None:
        return _sided(value) if value else value

    @model_validator(mode="after")
    def _guarded(self) -> Prometheus:
        parts = urlsplit(self.url)
        if self.token and parts.scheme == "http" and parts.hostname not in LOCAL:
            raise ValueError("a token is not sent to another machine without TLS; use https://")
        return self


class Metric(Value):
    """One number that both sides have, and which change of it is bad.

    `allowed` is the largest Cliff's delta in the bad direction that does no harm, `tolerate` the
    largest shift of all points in shares of the baseline's median. Harm is what exceeds both, and
    what exceeds `allowed` by points that are farther off than twice `tolerate`.
    """

    query: Query | None = None
    rows: Address | None = None
    direction: Literal["increase", "decrease", "either"]
    critical: bool = False
    allowed: float = Field(default=0.33, ge=0, lt=1)
    tolerate: float = Field(default=0.0, ge=0, le=10)
    weight: float = Field(default=1.0, gt=0, le=1000)
    group: str = Field(default="metrics", min_length=1, max_length=100)

    @model_validator(mode="after")
    def _one_source(self) -> Metric:
        if (self.query is None) == (self.rows is None):
            raise ValueError("says exactly one of query, rows")
        if self.query is not None:
            _sided(self.query)
        return self


def check_ranges(query: str, step: timedelta) -> None:
    """Refuse ranges that overlap from point to point: such points are not one by one."""
    for found in RANGE.finditer(query):
        length = sum(int(count) * SECONDS[unit] for count, unit in PART.findall(found["range"]))
        if length > step.total_seconds():
            raise ValueError(
                f"{query}: [{found['range']}] is longer than the step of {step}, so that points "
                "overlap and count more than once; write [$step]"
            )


def filled(query: str, side: str, step: timedelta) -> str:
    """Put the side's name, as a PromQL string holds it, and the step into a query."""
    plain = side.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return query.replace("$side", plain).replace("$step", f"{int(step.total_seconds() * 1000)}ms")


def _sided(query: str) -> str:
    if "$side" not in query:
        raise ValueError(f"{query}: has no $side, so it asks the same of canary and baseline")
    return query
