"""The small types of the language: durations, instants, names."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

_DURATION = re.compile(
    r"^P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?$"
)


def parse_duration(text: Any) -> timedelta:
    """Read an ISO 8601 duration of weeks, days, hours, minutes and seconds.

    Years and months are refused: how long they are depends on when they start.
    """
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a duration; write it as in PT30S, PT10M, P7D")
    match = _DURATION.match(text)
    if match is None or text.endswith(("P", "T")):
        if re.match(r"^P\d+[YM]", text):
            raise ValueError(f"{text!r} has years or months, whose length varies; write days")
        raise ValueError(f"{text!r} is not a duration; write it as in PT30S, PT10M, P7D")
    try:
        return timedelta(**{unit: float(n) for unit, n in match.groupdict().items() if n})
    except OverflowError as error:
        raise ValueError(f"{text!r} is longer than a calendar holds") from error


def format_duration(span: timedelta) -> str:
    """Write a duration as ISO 8601, in the largest units that divide it."""
    days, rest = divmod(span.total_seconds(), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    clock = "".join(
        f"{number:g}{unit}"
        for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S"))
        if number
    )
    text = "P" + (f"{days:g}D" if days else "") + (f"T{clock}" if clock else "")
    return text if text != "P" else "PT0S"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        near = get_close_matches(name, available_timezones(), n=1, cutoff=0.8)
        hint = f"; did you mean {near[0]}?" if near else " such as Europe/Berlin"
        raise ValueError(f"{name!r} is not an IANA time zone{hint}") from error
    return name


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
Zone = Annotated[str, AfterValidator(_zone)]
StateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
TargetName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,254}$")]
EventName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=100)]
KebabName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
StageName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_-]{0,30}$")]
PluginName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=100)]
ServiceGlob = Annotated[str, Field(pattern=r"^[a-z0-9*?][a-z0-9*?-]{0,62}$")]
StepId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
OneOrMore = BeforeValidator(_as_tuple)
Instant = datetime


class Spec(BaseModel):
    """The base of everything that is written in YAML: frozen, closed, finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )
