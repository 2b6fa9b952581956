"""Whether a counted step may begin, by what the service had done before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from waystage.plugin.allowance import Allowance
from waystage.spec.values import format_duration


@dataclass(frozen=True, slots=True)
class Used:
    """One thing that a service had done; `ended` is None while it is under way."""

    key: str
    began: datetime
    ended: datetime | None

    @property
    def run(self) -> str:
        """The run whose step it was: its key begins with it."""
        return self.key.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a step may not begin, and from when it may; None when no end is known."""

    why: str
    again: datetime | None = None


def denied(
    allowance: Allowance, service: str, used: Sequence[Used], key: str, now: datetime
) -> Denied | None:
    """Say why the step of that key may not begin; None when it may.

    What has begun may be finished: a step that is ordered once more is held to nothing but that
    no other one is under way.
    """
    others, what = [each for each in used if each.key != key], f"{allowance.name} of {service}"
    for each in others:
        if each.ended is None:
            return Denied(f"{each.run} has had a {what} under way since {_shown(each.began)}")
    if len(others) < len(used):
        return None
    found = [*_cooling(allowance, what, others, now), *_spent(allowance, what, others, now)]
    if not found:
        return None
    last = max(found, key=lambda each: each[1])
    return Denied(f"{last[0]}: again from {_shown(last[1])}", last[1])


def _cooling(
    allowance: Allowance, what: str, used: Sequence[Used], now: datetime
) -> Iterator[tuple[str, datetime]]:
    ends = [each.ended for each in used if each.ended]
    if ends and now < (again := max(ends) + allowance.cooldown):
        cooldown = format_duration(allowance.cooldown)
        yield f"the last {what} ended at {_shown(max(ends))}, and the cooldown is {cooldown}", again


def _spent(
    allowance: Allowance, what: str, used: Sequence[Used], now: datetime
) -> Iterator[tuple[str, datetime]]:
    """Give what of the budget is used up, with when enough of it is older than its period."""
    recent = sorted(
        (each for each in used if each.began > now - allowance.per), key=lambda each: each.began
    )
    within = f"within {format_duration(allowance.per)}"
    if allowance.most is not None and len(recent) >= allowance.most:
        again = recent[len(recent) - allowance.most].began + allowance.per
        yield f"{_times(len(recent))} {what} began {within}, which is the budget", again
    if allowance.time is None:
        return
    spans = [(each.ended or now) - each.began for each in recent]
    if (left := sum(spans, timedelta())) >= allowance.time:
        text = f"{_times(len(recent))} {what} took {format_duration(left)} {within}"
        for each, span in zip(recent, spans, strict=True):
            left -= span
            if left < allowance.time:
                limit = format_duration(allowance.time)
                yield f"{text}, and the budget is {limit}", each.began + allowance.per
                return


def _times(count: int) -> str:
    return "one" if count == 1 else str(count)


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
