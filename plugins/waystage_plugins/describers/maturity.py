"""The describer `describe.maturity`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar

from waystage.errors import Hopeless
from waystage.plugin import (
    Axis,
    Context,
    Describer,
    Figure,
    Section,
    Series,
    Slice,
    Table,
    Watched,
    Window,
)
from waystage_plugins.describers.labelled import of_numbers_alone
from waystage_plugins.monitors.labelled import day, slice_of

TITLE = "Requests and known outcomes"
MOST = 31  # parts of the window: each is one question to the scoring log
SPANS = (timedelta(hours=1), timedelta(hours=6), timedelta(days=1), timedelta(days=7),
         timedelta(days=28), timedelta(days=91), timedelta(days=364))  # fmt: skip


class MaturityDescriber(Describer):
    """Show how many requests came when, and of how many the outcome is known by now.

        - use: describe.maturity

    The window is parted into hours, days or weeks, at most 31 of them. Outcomes of the newest
    requests are mostly not known yet; what is not known is not counted as a non-event anywhere.
    """

    use: ClassVar[str] = "describe.maturity"
    place: ClassVar[int] = 90

    def describe(
        self, ctx: Context, window: Window, watched: Sequence[Watched]
    ) -> Sequence[Section]:
        """Count the requests of the window part by part."""
        which = slice_of(ctx, window)
        counted = _valued if of_numbers_alone(watched) else _counted
        parts = [(start, *counted(ctx, which, start, end)) for start, end in spans(window)]
        rows, known = sum(part[1] for part in parts), sum(part[2] for part in parts)
        if rows == 0:
            why = (
                f"No request was scored by {which.snapshot} in {which.stage}, "
                f"{day(which.start)} to {day(which.end)} (UTC)."
            )
            return [Section(id="maturity", title=TITLE, missing=why)]
        newest = _newest_label(ctx, which)
        about = f"{rows:,} requests were scored, of {known:,} ({known / rows:.1%}) the outcome is "
        about += "known."
        if newest is not None:
            about += f" The newest of these outcomes became known on {newest:%Y-%m-%d}."
        facts = {"rows": rows, "labelled": known, "coverage": known / rows,
                 "newest_label": newest.isoformat() if newest else None}  # fmt: skip
        return [Section(id="maturity", title=TITLE, about=about, facts=facts,
                        figures=(_figure(parts, about),), tables=(_table(parts),))]  # fmt: skip


def spans(window: Window) -> Iterator[tuple[datetime, datetime]]:
    """Part the window into spans of equal length, of which the last may be shorter."""
    whole = window.end - window.start
    step = next((span for span in SPANS if whole <= MOST * span), whole / MOST)
    start = window.start
    while start < window.end:
        end = min(start + step, window.end)
        yield start, end
        start = end


def _counted(ctx: Context, which: Slice, start: datetime, end: datetime) -> tuple[int, int]:
    return ctx.scoring_log.counts(replace(which, start=start, end=end))


def _valued(ctx: Context, which: Slice, start: datetime, end: datetime) -> tuple[int, int]:
    """Count requests and those with a true value, which is how a regression comes out."""
    rows = known = 0
    for _, value in ctx.scoring_log.valued(replace(which, start=start, end=end)):
        rows, known = rows + 1, known + (value is not None)
    return rows, known


def _newest_label(ctx: Context, which: Slice) -> datetime | None:
    try:
        return ctx.scoring_log.newest_label(which)
    except Hopeless:  # a log that does not tell
        return None


def _figure(parts: Sequence[tuple[datetime, int, int]], about: str) -> Figure:
    places = tuple(float(number) for number in range(len(parts)))
    return Figure(
        title=TITLE,
        about=about,
        x=Axis(title="from (UTC)", labels=tuple(day(start) for start, _, _ in parts)),
        y=Axis(title="requests", low=0),
        series=(
            Series(name="requests", form="bars", tone="other", x=places,
                   y=tuple(float(rows) for _, rows, _ in parts)),
            Series(name="outcome known", form="bars", x=places,
                   y=tuple(float(known) for _, _, known in parts)),
        ),
    )  # fmt: skip


def _table(parts: Sequence[tuple[datetime, int, int]]) -> Table:
    rows = tuple((day(start), count, known, known / count if count else None)
                 for start, count, known in parts)  # fmt: skip
    names = ("from (UTC)", "requests", "outcome known", "share known")
    return Table(title=TITLE, columns=names, rows=rows)
