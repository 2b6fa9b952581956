"""Which comparison of a declared number this is, and how sure it has to be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

Spending: TypeAlias = Literal["obrien_fleming", "pocock"]


class Look(BaseModel):
    """A comparison that was made: its window, the digest of its data, how much they tell.

    `information` is events · non-events / both: what the variance of a difference falls with.
    """

    number: int = Field(ge=1)
    start: datetime
    end: datetime
    data: str
    information: float = Field(gt=0)


def place_of(before: Sequence[Look], data: str) -> int:
    """Give the number of a look at these data: data that were looked at keep their number."""
    return next((look.number for look in before if look.data == data), len(before) + 1)


def with_look(before: Sequence[Look], look: Look) -> list[Look]:
    """Give the looks with this one among them, once."""
    others = [each for each in before if each.number != look.number]
    return sorted([*others, look], key=lambda each: each.number)


def level_of(looked: Sequence[Look], looks: int, confidence: float, how: Spending) -> float:
    """Give the level of the last look's two-sided interval, so that all looks together err
    below no more often than one of them would at `confidence`.
    """
    from statistics import NormalDist

    from waystage_plugins.monitors.statistics.spending import bound, spent

    alpha = (1 - confidence) / 2
    z = bound(
        [look.information for look in looked],
        [spent(alpha, number / looks, how) for number in range(1, len(looked) + 1)],
    )
    return 2 * NormalDist().cdf(z) - 1
