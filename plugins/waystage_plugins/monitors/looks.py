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
    `run` is whose it was; `looks`, `confidence` and `spending` are what was declared for it.
    """

    number: int = Field(ge=1)
    start: datetime
    end: datetime
    data: str
    information: float = Field(gt=0)
    run: str = ""
    looks: int | None = None
    confidence: float | None = None
    spending: Spending | None = None


def numbered(kept: Sequence[Look], before: Sequence[Look]) -> list[Look]:
    """Give all looks in their order: what a run knows and nobody kept, then what was kept."""
    data = {look.data for look in kept}
    found = [*(look for look in before if look.data not in data), *kept]
    return [look.model_copy(update={"number": n}) for n, look in enumerate(found, start=1)]


def place_of(before: Sequence[Look], data: str) -> int:
    """Give the number of a look at these data: data that were looked at keep their number."""
    return next((look.number for look in before if look.data == data), len(before) + 1)


def level_of(looked: Sequence[Look], looks: int, confidence: float, how: Spending) -> float:
    """Give the level of the last look's two-sided interval, so that all looks together err
    below no more often than one of them would at `confidence`.

    What earlier looks were declared with stands for them: what they used up is gone. A look
    whose window begins elsewhere than that of the one before it does not grow out of it.
    """
    from statistics import NormalDist

    from waystage_plugins.monitors.statistics.spending import bound, spent

    used, error = [], 0.0
    for number, look in enumerate(looked, start=1):
        alpha = (1 - (look.confidence or confidence)) / 2
        error = max(error, spent(alpha, number / (look.looks or looks), look.spending or how))
        used.append(error)
    starts = [None, *(look.start for look in looked)]
    grown = [look.start == start for look, start in zip(looked, starts, strict=False)]
    z = bound([look.information for look in looked], used, grown)
    return 2 * NormalDist().cdf(z) - 1
