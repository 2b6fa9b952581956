"""Timers and retries of BPMN, in the words of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from waystage.bpmn.model import Trigger
from waystage.bpmn.text import one_line
from waystage.spec.values import format_duration, parse_duration

# cron lines of Quartz count weekdays from 1 for Sunday; here names say it
WEEKDAYS = ("", "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MOST_TRIES = 1000


@dataclass(frozen=True, slots=True)
class Timing:
    """A timer as it is written in a lifecycle; `hand` says what could not be translated."""

    says: dict[str, Any]
    hand: str = ""
    note: str = ""
    times: int = 0


def timing_of(trigger: Trigger, *, once: bool) -> Timing:
    """Translate a timer; `once` is one that is left when it has fired for the first time."""
    text = trigger.text
    try:
        if trigger.timing == "date":
            return _date(text)
        if trigger.timing == "duration":
            return Timing({"after": format_duration(parse_duration(_span(text)))})
        if trigger.timing == "cycle":
            return _cycle(text, once=once)
        return _by_hand(text, "the timer says no time")
    except ValueError as error:
        return _by_hand(text, str(error))


def duration_of(text: str) -> str | None:
    """Give an ISO duration as we write it, or None if it is none."""
    try:
        return format_duration(parse_duration(_span(text)))
    except ValueError:
        return None


def retry_of(text: str) -> dict[str, Any] | None:
    """Translate a cycle of retries (`R3/PT10M`, or a list of waits); None if it is none.

    There and here the number counts all tries.
    """
    waits = [duration_of(part) for part in text.split(",")]
    if len(waits) < MOST_TRIES and all(waits):
        last = max(waits, key=lambda w: parse_duration(w or ""))
        return {"max": len(waits) + 1, "backoff": {"first": waits[0], "max": last}}
    found = re.fullmatch(r"R(\d{1,4})/([^/]+)", text.strip())
    wait = duration_of(found[2]) if found else None
    if found is None or wait is None or not 1 <= int(found[1]) <= MOST_TRIES:
        return None
    return {"max": int(found[1]), "backoff": {"first": wait, "factor": 1, "max": wait}}


def _span(text: str) -> str:
    """Write months of no time and the like as our durations know them."""
    return re.sub(r"(?<=[PYMWDT])0+[YM](?=.)", "", text.strip().upper())


def _by_hand(text: str, why: str) -> Timing:
    """Write what loads and what `validate` refuses, so that nothing waits for another time."""
    shown = re.sub(r"[{}]", "", one_line(text, 60))
    return Timing({"cron": f"by hand: {shown}".strip()}, why)


def _date(text: str) -> Timing:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return Timing({"at": f"{moment.isoformat()}Z"}, note="it says no zone; UTC was taken")
    return Timing({"at": moment.isoformat()})


def _cycle(text: str, *, once: bool) -> Timing:
    if not text.startswith(("R", "r")):
        return _cron(text)
    head, _, rest = text.partition("/")
    if not re.fullmatch(r"[Rr]\d{0,4}", head):
        raise ValueError(f"{one_line(text, 40)!r} is no cycle")
    span = parse_duration(_span(rest))
    if span <= timedelta():
        raise ValueError(f"{one_line(text, 40)!r} repeats without waiting")
    times = int(head[1:] or 0)
    if once:
        return Timing({"after": format_duration(span)}, times=times)
    if times:
        return Timing(
            {"every": format_duration(span)},
            note=f"it fires {times} times there, and as long as the state lasts here", times=times,
        )  # fmt: skip
    return Timing({"every": format_duration(span)})


def _cron(text: str) -> Timing:
    parts = text.split()
    if len(parts) == 7 and parts[6] in ("*", "?"):
        parts = parts[:6]
    if len(parts) == 6:
        if parts[0] != "0":
            raise ValueError("its cron line counts seconds")
        parts = parts[1:]
        parts[4] = _weekdays(parts[4])
    if len(parts) != 5 or re.search(r"[LW#]", " ".join(parts[2:]).replace("WED", "")):
        raise ValueError(f"{one_line(text, 60)!r} is no cron line of five fields")
    # `?` says that the other kind of day counts
    line = " ".join("*" if part == "?" else part.lower() for part in parts)
    return Timing({"cron": line[:100]}, note="it counts in UTC; say zone: if it should not")


def _weekdays(field: str) -> str:
    return re.sub(r"(?<![/\w])[1-7](?!\w)", lambda found: WEEKDAYS[int(found[0])], field).upper()
