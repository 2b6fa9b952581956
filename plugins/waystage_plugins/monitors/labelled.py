"""What monitors of predictive performance have in common: their data, and whether it is enough."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from waystage.errors import Hopeless
from waystage.plugin import Context, Grouped, Measurement, Minimum, Slice, Window

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.counts import Counts


def slice_of(ctx: Context, window: Window) -> Slice:
    """Give the rows that the run's snapshot scored as champion in the run's stage."""
    if ctx.stage is None:
        raise Hopeless(
            f"state {ctx.state_name} belongs to no stage, so there is nothing to measure; "
            "give it stage:"
        )
    return Slice(ctx.service, ctx.stage, window.start, window.end, ctx.snapshot.id)


def counts_of(found: Grouped) -> dict[str, int]:
    """Count what a measurement stands on; `usable` rows have both a label and a score."""
    events, nonevents = int(found.n_event.sum()), int(found.n_nonevent.sum())
    return {
        "rows": found.rows,
        "labelled": found.labelled,
        "excluded": found.excluded,
        "usable": events + nonevents,
        "events": events,
        "nonevents": nonevents,
    }


def coverage(counts: dict[str, int]) -> float:
    """Give the share of rows with both a label and a score."""
    return counts["usable"] / counts["rows"] if counts["rows"] else 0.0


def common_notes(found: Grouped) -> dict[str, str | float | bool]:
    """Tell the coverage, and the score if all requests have the same one."""
    notes: dict[str, str | float | bool] = {"coverage": coverage(counts_of(found))}
    if len(found.score) == 1:
        notes["constant_score"] = float(found.score[0])
    return notes


def lack(counts: dict[str, int], minimum: Minimum) -> str:
    """Say why the data do not suffice; empty when they do."""
    rows, share = counts["rows"], coverage(counts)
    if rows == 0:
        return "there is no scored request"
    if rows < minimum.rows:
        return f"{rows} scored requests are fewer than the {minimum.rows} needed"
    if share < minimum.label_coverage:
        return (
            f"{counts['usable']} of {rows} requests ({share:.1%}) have a label and a score; "
            f"{minimum.label_coverage:.1%} are needed"
        )
    for name, needed in (("events", minimum.events), ("nonevents", minimum.nonevents)):
        # without any of one kind there is nothing to rank, whatever the minimum says
        if counts[name] < max(needed, 1):
            word = name.replace("non", "non-")
            return f"{counts[name]} {word} are fewer than the {max(needed, 1)} needed"
    return ""


def insufficient(ctx: Context, window: Window, counts: dict[str, int], why: str) -> Measurement:
    """Answer that there is no value to be had, and why."""
    where = f"{ctx.snapshot.id} in {ctx.stage}, {day(window.start)} to {day(window.end)}"
    notes: dict[str, str | float | bool] = {}
    if "usable" in counts:  # who needs no labels counts none
        notes["coverage"] = coverage(counts)
    return Measurement(counts=counts, notes=notes, insufficient=f"{where}: {why}")


def usable(ctx: Context, window: Window, minimum: Minimum) -> Measurement | Grouped:
    """Give the grouped scores of the window, or the answer that they do not suffice."""
    found = ctx.scoring_log.grouped(slice_of(ctx, window))
    counts = counts_of(found)
    why = lack(counts, minimum)
    return insufficient(ctx, window, counts, why) if why else found


def by_score(found: Grouped) -> Counts:
    """Give the counts in score order, as statistics take them."""
    from waystage_plugins.monitors.statistics.counts import grouped

    return grouped(found.score, found.n_event, found.n_nonevent)


def need_probabilities(use: str, found: Grouped) -> None:
    """Raise `Hopeless` when scores lie outside 0..1: they are no probabilities then."""
    wrong = (found.score < 0) | (found.score > 1)
    rows = int((found.n_event + found.n_nonevent)[wrong].sum())
    if rows:
        raise Hopeless(
            f"{rows} scores lie outside 0..1 ({found.score.min():.4g} to {found.score.max():.4g}), "
            f"so they are no probabilities, which {use} needs; have the model give probabilities"
        )


def day(at: datetime) -> str:
    """Write an instant as short as it is exact to the minute."""
    return at.strftime("%Y-%m-%d" if (at.hour, at.minute) == (0, 0) else "%Y-%m-%dT%H:%MZ")
