"""`waystage pause, resume`."""

from __future__ import annotations

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option


@click.command("pause")
@click.argument("run", required=False)
@click.option("--lifecycle", default=None, help="All its runs, and those that are opened later.")
@click.option("--reason", required=True, help="Why; it is kept in each run's history.")
@json_option
@click.pass_context
def pause_verb(
    ctx: click.Context, run: str | None, lifecycle: str | None, reason: str, as_json: bool
) -> None:
    """Let a run, or all runs of a lifecycle, take no step; what is being called is finished."""
    found = Client(ctx).post(f"{_what(run, lifecycle)}/pause", {"reason": reason})
    text = f"{run} is paused." if run else f"{lifecycle} is paused, {_runs(found['runs'])}."
    emit_json(found) if as_json else click.echo(text)


@click.command("resume")
@click.argument("run", required=False)
@click.option("--lifecycle", default=None, help="All runs that were paused with it.")
@click.option("--reason", default="", help="Why; it is kept in each run's history.")
@json_option
@click.pass_context
def resume_verb(
    ctx: click.Context, run: str | None, lifecycle: str | None, reason: str, as_json: bool
) -> None:
    """Let a paused run or lifecycle go on; what came meanwhile is done first, in order."""
    found = Client(ctx).post(f"{_what(run, lifecycle)}/resume", {"reason": reason})
    text = (f"{run} goes on; {found['kept']} events had come meanwhile." if run
            else f"{lifecycle} goes on, {_runs(found['runs'])}.")  # fmt: skip
    emit_json(found) if as_json else click.echo(text)


def _what(run: str | None, lifecycle: str | None) -> str:
    if (run is None) == (lifecycle is None):
        raise click.UsageError("say either a run, or --lifecycle NAME")
    return f"runs/{run}" if run else f"lifecycles/{lifecycle}"


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"
