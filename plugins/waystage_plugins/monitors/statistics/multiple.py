"""Many tests at once: p-values adjusted so that fifty columns do not cry wolf fifty times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

Correction: TypeAlias = Literal["holm", "fdr", "none"]


def adjusted(p_values: Sequence[float], how: Correction) -> list[float]:
    """Give the p-values adjusted for being many; in the order that they came in."""
    if how == "holm":
        return holm(p_values)
    return fdr(p_values) if how == "fdr" else list(p_values)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust for the chance of one false alarm among all (Holm, 1979)."""
    count, worst, found = len(p_values), 0.0, [0.0] * len(p_values)
    for rank, place in enumerate(_order(p_values)):
        worst = max(worst, min((count - rank) * p_values[place], 1.0))
        found[place] = worst
    return found


def fdr(p_values: Sequence[float]) -> list[float]:
    """Adjust for the share of false alarms among the alarms (Benjamini and Hochberg, 1995)."""
    count, best, found = len(p_values), 1.0, [0.0] * len(p_values)
    for rank, place in reversed(list(enumerate(_order(p_values), start=1))):
        best = min(best, p_values[place] * count / rank)
        found[place] = best
    return found


def _order(p_values: Sequence[float]) -> list[int]:
    return sorted(range(len(p_values)), key=p_values.__getitem__)
