"""`waystage clock`: only for a daemon that lives by a turned clock."""

from __future__ import annotations

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option, when


@click.command("clock")
@click.option("--turn", "by", default="", metavar="DURATION", help="Turn it forward: P7D.")
@json_option
@click.pass_context
def clock_verb(ctx: click.Context, by: str, as_json: bool) -> None:
    """Show the daemon's clock, or turn it forward."""
    client = Client(ctx)
    found = client.post("clock", {"by": by}) if by else client.get("clock")
    emit_json(found) if as_json else click.echo(f"{when(found['now'])} UTC")
