"""How often a service may have something done: a value that a step tells the engine."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from waystage.plugin.values import Value

LONGEST = timedelta(days=36_525)  # a hundred years: longer spans leave the calendar


class Allowance(Value):
    """What the engine holds a counted step to, per service: never two of one `name` at once.

    Beyond that at most `most` may begin, and be at work for `time` in all, within the `per`
    before now, and none sooner than `cooldown` after the last one ended. None means no limit.
    All are counted together whose `name` is the same, whichever runs and lifecycles they are
    of; each is held to its own numbers. What was refused is not counted.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    most: int | None = Field(default=None, ge=1)
    time: timedelta | None = Field(default=None, gt=timedelta())
    per: timedelta = Field(default=timedelta(), ge=timedelta(), le=LONGEST)
    cooldown: timedelta = Field(default=timedelta(), ge=timedelta(), le=LONGEST)
