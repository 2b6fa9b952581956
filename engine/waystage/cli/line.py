"""`waystage stop-the-line, open-the-line, override`."""

from __future__ import annotations

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option


@click.command("stop-the-line")
@click.argument("stage")
@click.option("--reason", required=True, help="Why; it is shown to whoever waits.")
@click.option("--strict", is_flag=True, help="Rollbacks wait too.")
@json_option
@click.pass_context
def stop_the_line_verb(
    ctx: click.Context, stage: str, reason: str, strict: bool, as_json: bool
) -> None:
    """Let nothing change a stage until the line is opened; what has begun is finished."""
    found = Client(ctx).post(f"stages/{stage}/stop", {"reason": reason, "strict": strict})
    emit_json(found) if as_json else click.echo(f"The line of {stage} is stopped: {reason}")


@click.command("open-the-line")
@click.argument("stage")
@json_option
@click.pass_context
def open_the_line_verb(ctx: click.Context, stage: str, as_json: bool) -> None:
    """Open a stage whose line was stopped; what waits for it goes on."""
    found = Client(ctx).post(f"stages/{stage}/open", {})
    waited = found["asked"]
    text = f"The line of {stage} is open; {waited} state{'s' * (waited != 1)} asked again."
    emit_json(found) if as_json else click.echo(text)


@click.command("override")
@click.argument("run")
@click.option("--reason", required=True, help="Why; it is kept in the run's history.")
@json_option
@click.pass_context
def override_verb(ctx: click.Context, run: str, reason: str, as_json: bool) -> None:
    """Let a run change its stage though the stage is closed."""
    found = Client(ctx).post(f"runs/{run}/override", {"reason": reason})
    emit_json(found) if as_json else click.echo(f"{run} goes on in {', '.join(found['states'])}.")
