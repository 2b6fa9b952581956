"""Showing a plan: what differs, what the new text guarantees, what each open run does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from waystage.cli.show import clean, table

if TYPE_CHECKING:
    from waystage.planning.bounds import Bounds, Reach
    from waystage.planning.fit import Fit
    from waystage.planning.plan import Plan

SHOWN = 50  # runs in a table; --json gives all
WORDS = {"same": "on this text already", "auto": "to be moved as they are",
         "mapped": "to be moved by the mapping", "map": "in need of a mapping",
         "blocked": "not to be moved now"}  # fmt: skip


def show_plan(plan: Plan, *, two_files: bool = False) -> None:
    """Print one lifecycle's plan, against the database or, of two files, against the older one."""
    if not plan.versions:
        click.echo(f"{plan.lifecycle}: new, no run has followed it yet")
    for version in plan.versions:
        was, now = version.definition.hash[:12], plan.new.hash[:12]
        if was == now:
            alike = "the same in both files" if two_files else "as in the database"
            click.echo(f"{plan.lifecycle}: {now}, {alike}")
            continue
        title = f"{plan.lifecycle}: {was} → {now}"
        runs = f" ({len(version.fits)} open runs)" if version.fits else ""
        click.echo(click.style(title, bold=True) + runs)
        for change in version.changes:
            click.echo(f"  {clean(change)}")
    if plan.changed or not plan.versions:
        show_bounds(plan.bounds, plan.before)
    show_runs(plan.fits)


def show_runs(fits: Iterable[Fit]) -> None:
    """Print how many runs do what, and those that do not simply stay."""
    found = list(fits)
    for word, text in WORDS.items():
        count = sum(_word(fit) == word for fit in found)
        if count:
            click.echo(f"  {word:<8} {count} {text}")
    rows = [
        (fit.run, _word(fit), ", ".join(fit.places), "; ".join((*fit.reasons, *fit.notes)))
        for fit in found
        if fit.verdict != "same"
    ]
    if rows:
        table("Open runs", ("run", "", "state", "why"), rows[:SHOWN])
    if len(rows) > SHOWN:
        click.echo(f"and {len(rows) - SHOWN} more; --json gives all")


def _word(fit: Fit) -> str:
    return "mapped" if fit.verdict == "map" and fit.migration else fit.verdict


def show_bounds(bounds: Bounds, before: Bounds | None) -> None:
    """Print what the text guarantees, and where that changed."""
    was = {reach.stage: reach for reach in before.reaches} if before else {}
    rows = [(r.stage, _soonest(r, was.get(r.stage)), _approvals(r, was.get(r.stage)))
            for r in bounds.reaches]  # fmt: skip
    if rows:
        table("Bounds", ("stage", "not before", "approvals at least"), rows)
    told = {back.state: back for back in before.back} if before else {}
    for back in bounds.back:
        text = span(back.most) if back.most is not None else f"no bound: {back.why}"
        earlier = told.get(back.state)
        if earlier is not None and earlier.most != back.most:
            text += f" (was {span(earlier.most)})"
        click.echo(f"  rollback after a breach in {back.state}: at most {text}"
                   if back.most is not None else
                   f"  rollback after a breach in {back.state}: {text}")  # fmt: skip


def _soonest(reach: Reach, was: Reach | None) -> str:
    text = "at once" if not reach.soonest else span(reach.soonest)
    if was is not None and was.soonest != reach.soonest:
        text += f" (was {span(was.soonest)})"
    return text


def _approvals(reach: Reach, was: Reach | None) -> str:
    text = f"{reach.approvals}" + (f": {', '.join(reach.tasks)}" if reach.tasks else "")
    if was is not None and was.approvals != reach.approvals:
        text += f" (was {was.approvals})"
    return text


def span(value: timedelta | None) -> str:
    """Write a duration as people read it."""
    if value is None:
        return "no bound"
    days, rest = divmod(int(value.total_seconds()), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"
