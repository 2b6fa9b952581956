"""The describer `describe.ranking`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from waystage.plugin import (
    Axis,
    Context,
    Describer,
    Figure,
    Mark,
    Section,
    Series,
    Table,
    Watched,
    Window,
)
from waystage_plugins.describers.labelled import (
    Facts,
    Labelled,
    labelled,
    missing,
    of_numbers_alone,
)

PARTS = (("roc", "ROC curve"), ("ks", "Separation (KS)"), ("lift", "Gain and lift"))
TOPS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FEWEST_AT_TOP = 50  # as `performance.lift` has it


class RankingDescriber(Describer):
    """Show how a score parts events from non-events: ROC, KS, gain and lift.

        - use: describe.ranking

    The curves have a corner for each distinct score, at most 500 of them. AUC, KS and lift
    are those of the monitors, with the same intervals. A service that is watched by true values
    alone has none of them.
    """

    use: ClassVar[str] = "describe.ranking"
    place: ClassVar[int] = 10

    def describe(
        self, ctx: Context, window: Window, watched: Sequence[Watched]
    ) -> Sequence[Section]:
        """Draw the curves from the labelled requests of the window."""
        if of_numbers_alone(watched):
            return []
        found = labelled(ctx, window)
        if isinstance(found, str):
            return missing(PARTS, found)
        return [_roc(found), _ks(found), _lift(found)]


def _roc(found: Labelled) -> Section:
    from waystage_plugins.monitors.statistics import auc, curves

    area = auc.auc(found.counts)
    low, high = auc.interval(area, found.counts)
    curve = curves.roc(found.counts)
    about = (
        f"Of one event and one non-event, the event has the higher score in {area.value:.1%} of "
        f"all pairs (AUC {area.value:.3f}, 95% interval {low:.3f} to {high:.3f}). "
        f"0.5 is chance, 1 is perfect.{found.rough}"
    )
    if area.value < 0.5:
        about += " It is below 0.5: the model ranks backwards."
    model = Series(
        name=f"model, AUC {area.value:.3f}", x=tuple(curve.x.tolist()), y=tuple(curve.y.tolist())
    )
    chance = Series(name="chance", tone="reference", x=(0, 1), y=(0, 1))
    figure = Figure(
        title="ROC curve",
        about=about,
        square=True,
        x=_share("non-events above the cut-off"),
        y=_share("events above the cut-off"),
        series=(chance, model),
    )
    facts: Facts = {"auc": area.value, "low": low, "high": high, "gini": 2 * area.value - 1,
             "method": "delong", **found.sizes}  # fmt: skip
    return Section(id="roc", title=PARTS[0][1], about=about, facts=facts, figures=(figure,),
                   tables=(_cut_offs(found),), digest=found.digest)  # fmt: skip


def _cut_offs(found: Labelled) -> Table:
    """Give what deciding at some cut-offs means, from strict to lenient."""
    import numpy as np

    counts, rows = found.counts, []
    size = counts.n_events + counts.n_nonevents
    above = size - np.concatenate([[0], np.cumsum(counts.events + counts.nonevents)])
    for share in (0.05, 0.1, 0.2, 0.3, 0.5):
        first = int(np.argmin(np.abs(above - share * size)))
        if first == len(found.score):
            continue
        events, nonevents = int(counts.events[first:].sum()), int(counts.nonevents[first:].sum())
        row = (round(float(found.score[first]), 6), (events + nonevents) / size,
               events / counts.n_events, nonevents / counts.n_nonevents)  # fmt: skip
        if row not in rows:
            rows.append(row)
    names = ("score from", "share of requests", "events found", "non-events hit")
    return Table(title="What a cut-off means", columns=names, rows=tuple(rows))


def _ks(found: Labelled) -> Section:
    from waystage_plugins.monitors.statistics import bootstrap, curves, ks

    value = ks.ks(found.counts)
    low, high = bootstrap.interval(found.counts)
    at = curves.gap_at(found.counts)
    events, nonevents = curves.cumulative(found.score, found.counts)
    cut = float(found.score[at])
    of_events = value.events_below / found.counts.n_events
    of_nonevents = value.nonevents_below / found.counts.n_nonevents
    about = (
        f"At a score of {cut:.4g}, {of_nonevents:.1%} of the non-events and {of_events:.1%} of the "
        f"events are at or below it: KS is {value.value:.3f} (95% interval {low:.3f} to "
        f"{high:.3f}).{found.rough}"
    )
    if value.inverted:
        about += " Read backwards, the score would part them better: it is inverted."
    spread = (float(found.score[0]), float(found.score[-1]))
    figure = Figure(
        title="Cumulative shares by score",
        about=about,
        x=Axis(title="score", low=spread[0], high=spread[1] if spread[1] > spread[0] else None),
        y=_share("share at or below the score"),
        series=(
            Series(name="non-events", form="steps", tone="other", x=tuple(nonevents.x.tolist()),
                   y=tuple(nonevents.y.tolist())),
            Series(name="events", form="steps", x=tuple(events.x.tolist()),
                   y=tuple(events.y.tolist())),
        ),
        marks=(Mark(start=(cut, of_events), end=(cut, of_nonevents), text=f"KS {value.value:.3f}",
                    tone="breach"),),
    )  # fmt: skip
    facts: Facts = {"ks": value.value, "low": low, "high": high, "cut_off": cut,
             "inverted": value.inverted, "method": "bootstrap", **found.sizes}  # fmt: skip
    return Section(id="ks", title=PARTS[1][1], about=about, facts=facts, figures=(figure,),
                   tables=(_by_decile(found),), digest=found.digest)  # fmt: skip


def _by_decile(found: Labelled) -> Table:
    """Give the counts of tenths of the requests, the highest scores first."""
    from waystage_plugins.monitors.statistics import calibration

    bins = calibration.binned(found.score, found.counts, 10)
    rows = []
    for number in reversed(range(len(bins.rows))):
        events, of = int(bins.events[number]), int(bins.rows[number])
        rows.append((len(bins.rows) - number, float(bins.predicted[number]), of, events,
                     of - events, events / of))  # fmt: skip
    names = ("tenth", "mean score", "requests", "events", "non-events", "event rate")
    return Table(title="Requests by score, highest first", columns=names, rows=tuple(rows))


def _lift(found: Labelled) -> Section:
    rows = tuple(_tops(found))
    shown = [row for row in rows if row[0] >= 0.1]
    at_tenth = shown[0]
    about = (
        f"The tenth of the requests with the highest scores holds {at_tenth[1]:.1%} of all "
        f"events, {at_tenth[2]:.2f} times as many as a tenth by chance.{found.rough}"
    )
    names = ("top share", "events found", "lift", "low", "high")
    return Section(
        id="lift",
        title=PARTS[2][1],
        about=about,
        facts={"lift_at_10": at_tenth[2], "captured_at_10": at_tenth[1], **found.sizes},
        figures=(_gain_figure(found), _lift_figure(shown)),
        tables=(Table(title="Gain and lift", columns=names, rows=rows),),
        digest=found.digest,
    )


def _gain_figure(found: Labelled) -> Figure:
    from waystage_plugins.monitors.statistics import curves

    curve = curves.gains(found.counts)
    rate = found.counts.n_events / (found.counts.n_events + found.counts.n_nonevents)
    return Figure(
        title="Cumulative gain",
        about=(
            "Which share of all events is found when the requests with the highest scores are "
            f"looked at first. The best there can be finds all of them in {rate:.1%}."
        ),
        square=True,
        x=_share("share of requests, highest score first"),
        y=_share("events found"),
        series=(
            Series(name="chance", tone="reference", x=(0, 1), y=(0, 1)),
            Series(name="best possible", tone="other", x=(0, rate, 1), y=(0, 1, 1)),
            Series(name="model", x=tuple(curve.x.tolist()), y=tuple(curve.y.tolist())),
        ),
    )


def _lift_figure(rows: Sequence[tuple[float, float, float, float | None, float | None]]) -> Figure:
    known = [row for row in rows if row[3] is not None and row[4] is not None]
    low, high = tuple(row[3] or 0.0 for row in known), tuple(row[4] or 0.0 for row in known)
    return Figure(
        title="Lift",
        about="How many times more events the top share holds than as many requests by chance; "
        "the thin lines are 95% intervals, the dashed line is chance.",
        x=Axis(title="top share of the requests", labels=tuple(f"{row[0]:.0%}" for row in rows)),
        y=Axis(title="lift", low=0),
        series=(
            Series(name="model", form="bars", x=tuple(range(len(rows))),
                   y=tuple(row[2] for row in rows),
                   low=low if len(known) == len(rows) else (),
                   high=high if len(known) == len(rows) else ()),
            Series(name="chance", tone="reference", x=(-0.5, len(rows) - 0.5), y=(1, 1)),
        ),
    )  # fmt: skip


def _tops(found: Labelled) -> Iterator[tuple[float, float, float, float | None, float | None]]:
    """Give (top share, events found, lift, low, high); no interval where the top is too small."""
    from waystage_plugins.monitors.statistics import lift

    size = found.counts.n_events + found.counts.n_nonevents
    for at in TOPS:
        value = lift.lift(found.counts, at)
        low = high = None
        if at * size >= FEWEST_AT_TOP:
            low, high = lift.interval(value, found.counts, at)
        yield at, value.captured, value.value, low, high


def _share(title: str) -> Axis:
    return Axis(title=title, low=0, high=1, unit="share")
