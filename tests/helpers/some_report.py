"""A report that is made up, with names as bad as names can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from waystage.plugin import Axis, Figure, Lineage, Mark, Section, Series, Snapshot, Table, Window
from waystage.report.model import Decision, Measured, Report, Version, Watching
from waystage.report.words import summary

EVIL = "<script>alert('1')</script>\"&\u202e|`x`"
START = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
LIMITS = {"warn": {"below": 0.3}, "breach": {"below": 0.15}}


def measured(number: int, value: float | None, verdict: str, **more: Any) -> Measured:
    """Give a monitor's measurement of one month."""
    start = START + number * MONTH
    body = {"value": value, "low": None if value is None else value - 0.05,
            "high": None if value is None else value + 0.05, "method": "bootstrap",
            "counts": {"rows": 900, "events": 300}, "reason": more.pop("reason", "")}  # fmt: skip
    return Measured(
        monitor="ks", use="performance.ks", snapshot=more.pop("snapshot", "credit/1"),
        run="credit-risk-1", window=Window(start=start, end=start + MONTH),
        at=start + 2 * MONTH, verdict=verdict, limits=LIMITS, body=body, **more,
    )  # fmt: skip


def figure(title: str = "A figure") -> Figure:
    """Give a figure with every form of series."""
    return Figure(
        title=title,
        about=f"what {title} shows",
        x=Axis(title="across", low=0, high=1, unit="share"),
        y=Axis(title="up"),
        series=(
            Series(name="chance", tone="reference", x=(0, 1), y=(0, 1)),
            Series(name="curve", x=(0, 0.25, 1), y=(0, 0.75, 1)),
            Series(name="stairs", form="steps", tone="other", x=(0, 0.5, 1), y=(0, 0.5, 1)),
            Series(name="points", form="points", tone="warn", x=(0.5,), y=(0.5,), low=(0.4,),
                   high=(0.6,), label=(title,)),
        ),
        marks=(Mark(start=(0.5, 0.2), end=(0.5, 0.8), text=title, tone="breach"),),
    )  # fmt: skip


def bars(title: str = "Bars", count: int = 3) -> Figure:
    """Give lying bars, two series of them."""
    places = tuple(float(place) for place in range(count))
    lengths = tuple((place + 1) / 10 for place in places)
    return Figure(
        title=title, about=f"bars of {title}", x=Axis(title="share", low=0, unit="share"),
        y=Axis(labels=tuple(f"{title} {place:g}" for place in places)),
        series=(Series(name="then", form="bars", tone="other", x=lengths, y=places),
                Series(name="now", form="bars", x=lengths[::-1], y=places)),
    )  # fmt: skip


def report(name: str = "credit", **more: Any) -> Report:
    """Give a report; `name` is written wherever somebody may choose a name."""
    found = tuple(more.pop("measurements", (
        measured(0, 0.42, "ok"), measured(1, 0.25, "warn", reason="beyond the warn threshold"),
        measured(2, 0.1, "breach"), measured(2, 0.12, "breach", by_hand="otto"),
        measured(3, None, "insufficient", reason="too few"),
    )))  # fmt: skip
    watching = Watching(name="ks", use="performance.ks", better="higher", limits=LIMITS,
                        minimum={"events": 200, "nonevents": 200})  # fmt: skip
    monitors = more.pop("monitors", (watching,))
    sections = more.pop("sections", (
        Section(id="roc", title=f"Curve {name}", about=name, figures=(figure(name),),
                tables=(Table(title=name, columns=("a", name), rows=((1, name), (2.5, None))),)),
        Section(id="inputs", title="Inputs", figures=(bars(name), bars("other", 12))),
        Section(id="ks", title="KS", missing=f"nothing for {name}"),
    ))  # fmt: skip
    version = Version(snapshot="credit/1", digest="sha256:" + "1" * 64, run="credit-risk-1",
                      role="champion", runtime="prod", since=START)  # fmt: skip
    decision = Decision(at=START, by=name, what="approve", run="credit-risk-1",
                        snapshot="credit/1", seq=4, hash="ab" * 32, vote=True, title=name,
                        comment=name, roles=("validator",))  # fmt: skip
    snapshot = Snapshot(name="credit", version="1", digest="sha256:" + "1" * 64, author=name,
                        tags={"card.intended_use": name}, metrics={"ks": 0.4},
                        lineage=Lineage(data="sha256:" + "2" * 64))  # fmt: skip
    return Report(
        made_at=START + 4 * MONTH, made_by="0.1.0", project="p", service="credit-risk",
        title=name, owner=name, stage="PROD", window=found[-1].window if found else
        Window(start=START, end=START + MONTH), run="credit-risk-1", status="open",
        lifecycle="scorecard", definition="sha256:" + "3" * 64, data="sha256:" + "4" * 64,
        version=version, snapshot=snapshot, versions=(version,), monitors=monitors,
        measurements=found, decisions=more.pop("decisions", (decision,)), sections=sections,
        summary=summary(monitors, found, "credit/1", "PROD", sections), **more,
    )  # fmt: skip
