"""What monitors of regressions have in common: predictions with their true values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Context, Measurement, Minimum, Window
from waystage_plugins.monitors.labelled import coverage, insufficient, slice_of

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.regression import Errors

ENOUGH = 200  # pairs that are needed where the minimum says no number of rows
LOOK_EVERY = 10_000  # rows between two looks at whether the answer is still wanted


def predicted(
    ctx: Context, window: Window, minimum: Minimum
) -> Measurement | tuple[Errors, dict[str, int]]:
    """Give the errors of the window with their counts, or the answer that they do not suffice."""
    from waystage_plugins.monitors.statistics.regression import errors

    counts = dict.fromkeys(("rows", "labelled", "excluded", "usable"), 0)
    source = pairs(ctx, ctx.scoring_log.valued(slice_of(ctx, window)), counts)
    first = next(source, None)
    found = errors(_again(first, source)) if first else None
    if found is not None and not found.finite:
        raise Hopeless(
            "the predictions or the true values are so large that their squares are no numbers; "
            "quality.log finds such scores"
        )
    why = _lack(counts, minimum)
    if found is None or why:
        return insufficient(ctx, window, counts, why)
    return found, counts


def _again(
    first: tuple[float, float], rest: Iterator[tuple[float, float]]
) -> Iterator[tuple[float, float]]:
    yield first
    yield from rest


def pairs(
    ctx: Context, rows: Iterable[tuple[float | None, float | None]], counts: dict[str, int]
) -> Iterator[tuple[float, float]]:
    """Give the pairs that have both, and add what was read to `counts`.

    Raises `Retryable` when nobody wants the answer any more.
    """
    for score, value in rows:
        counts["rows"] += 1
        counts["labelled"] += value is not None
        counts["excluded"] += score is None
        if counts["rows"] % LOOK_EVERY == 0 and ctx.cancelled:
            raise Retryable("the measurement was cancelled")
        if score is not None and value is not None:
            counts["usable"] += 1
            yield score, value


def _lack(counts: dict[str, int], minimum: Minimum) -> str:
    """Say why the data do not suffice; empty when they do."""
    if counts["rows"] == 0:
        return "there is no scored request"
    share, needed = coverage(counts), max(minimum.rows or ENOUGH, 2)
    if share < minimum.label_coverage:
        return (
            f"{counts['usable']} of {counts['rows']} requests ({share:.1%}) have a score and a "
            f"true value; {minimum.label_coverage:.1%} are needed"
        )
    if counts["usable"] < needed:
        return f"{counts['usable']} requests with a true value are fewer than the {needed} needed"
    return ""
