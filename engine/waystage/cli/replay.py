"""`waystage replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from waystage.cli.place import find_project
from waystage.cli.show import emit_json, json_option, table, when
from waystage.errors import EXIT_FINE, NotFound

if TYPE_CHECKING:
    from waystage.planning.rejudge import Judged
    from waystage.planning.rerun import Rerun


@click.command("replay")
@click.argument("run", required=False)
@click.option("--with", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The changed lifecycle; else the project's.")  # fmt: skip
@click.option("--monitor", default=None, help="Judge this monitor's measurements anew.")
@click.option("--lifecycle", default=None, help="The lifecycle that has the monitor.")
@click.option("--service", default=None, help="Only measurements of this service.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
              help="breach.below=0.2, cooldown=P30D, params.ks_floor=0.2, …")  # fmt: skip
@json_option
@click.pass_context
def replay_verb(
    ctx: click.Context, run: str | None, file: Path | None, monitor: str | None,
    lifecycle: str | None, service: str | None, settings: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Play what was recorded through a changed lifecycle or monitor; nothing is written."""
    if (run is None) == (monitor is None):
        raise click.UsageError("say a RUN, or --monitor with --lifecycle")
    if run is not None:
        _show_rerun(run, _rerun(ctx, run, file), as_json)
        return EXIT_FINE
    if lifecycle is None:
        raise click.UsageError("say --lifecycle: monitors belong to one")
    _show_judged(_rejudged(ctx, lifecycle, str(monitor), service, settings), as_json)
    return EXIT_FINE


def _rerun(ctx: click.Context, run: str, file: Path | None) -> Rerun:
    from waystage.daemon.plans import candidate
    from waystage.daemon.replaying import rerun_of
    from waystage.spec.load import load_project

    files = load_project(find_project(ctx.obj["project"]))
    return rerun_of(files, run, candidate(files, file) if file else None)


def _rejudged(
    ctx: click.Context, lifecycle: str, monitor: str, service: str | None, settings: tuple[str, ...]
) -> list[Judged]:
    from waystage.daemon.replaying import rejudged_of
    from waystage.spec.load import load_project

    files = load_project(find_project(ctx.obj["project"]))
    if lifecycle not in files.lifecycles:
        known = ", ".join(files.lifecycles)
        raise NotFound(f"there is no lifecycle {lifecycle!r}; there is {known}")
    return rejudged_of(files, lifecycle, monitor, service, settings)


def _show_rerun(run: str, found: Rerun, as_json: bool) -> None:
    first = found.first
    if as_json:
        rows = [{"seq": r.seq, "at": r.at, "event": r.event, "was": r.was, "now": r.now,
                 "used": r.used, "differs": r.differs} for r in found.rows]  # fmt: skip
        emit_json({"run": run, "first": first.seq if first else None, "rows": rows,
                   "unused": found.unused, "waits": found.waits})  # fmt: skip
        return
    if first is None:
        click.echo(f"{run} would have gone the same way: {len(found.rows)} events.")
        return
    shown, last = [], None
    for row in found.rows:
        if (row.was, row.now) != last or row is first:
            sign = "≠" if row.differs else ""
            use = "" if row.used else " (no use for it)"
            shown.append((row.seq, when(row.at.isoformat()), row.event + use, ", ".join(row.was),
                          sign, ", ".join(row.now)))  # fmt: skip
        last = (row.was, row.now)
    click.echo(f"{run} would have gone another way from event {first.seq} on: "
               f"{', '.join(first.now)} instead of {', '.join(first.was)}")  # fmt: skip
    table("Ways", ("#", "at", "event", "went to", "", "would be in"), shown)
    if found.unused:
        click.echo(f"{found.unused} recorded events had no use there.")
    for text in found.waits:
        click.echo(f"it would wait for {text}")


def _show_judged(found: list[Judged], as_json: bool) -> None:
    fired = sum(each.verdict == "breach" for each in found)
    before = sum(each.measured.verdict == "breach" for each in found)
    if as_json:
        emit_json({"measurements": len(found), "breaches": fired, "breaches_recorded": before,
                   "rows": [_row(each) for each in found]})  # fmt: skip
        return
    if not found:
        click.echo("There are no measurements of it.")
        return
    rows = [
        (each.measured.run, each.measured.snapshot, each.measured.window[1][:10],
         "–" if each.value is None else f"{each.value:.3f}", each.measured.verdict,
         "≠" if each.verdict != each.measured.verdict else "", each.verdict, each.reason)
        for each in found
    ]  # fmt: skip
    columns = ("run", "snapshot", "window to", "value", "verdict", "", "would be", "why")
    table("Measurements judged anew", columns, rows)
    _plot(found)
    click.echo(f"This would have breached {_times(fired)}; it did {_times(before)}.")


def _plot(found: list[Judged]) -> None:
    from waystage.cli.plot import plot

    points = [(each.value, each.limit_was, each.limit) for each in found]
    for line in plot(points):
        click.echo(line)


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _row(each: Judged) -> dict[str, Any]:
    return {
        "run": each.measured.run, "snapshot": each.measured.snapshot,
        "window": each.measured.window, "value": each.value, "verdict": each.measured.verdict,
        "would_be": each.verdict, "why": each.reason, "limit": each.limit,
        "limit_was": each.limit_was,
    }  # fmt: skip
