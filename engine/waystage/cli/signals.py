"""`waystage signal`."""

from __future__ import annotations

import json

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option


@click.command("signal")
@click.argument("name")
@click.option("--run", default="", help="The run that gets it.")
@click.option("--service", default="", help="All open runs of a service get it.")
@click.option("--payload", default="{}", help="A JSON object.")
@click.option("--key", default="", help="The same key counts once, for 30 days.")
@json_option
@click.pass_context
def signal_verb(
    ctx: click.Context, name: str, run: str, service: str, payload: str, key: str, as_json: bool
) -> None:
    """Send a signal to a run, or to all runs of a service."""
    if bool(run) == bool(service):
        raise click.UsageError("say one of --run, --service")
    try:
        content = json.loads(payload)
    except json.JSONDecodeError as error:
        raise click.UsageError(f"--payload is no JSON: {error}") from error
    body = {"name": name, "run": run, "service": service, "payload": content, "key": key}
    found = Client(ctx).post("signals", body)
    again = " (it was sent before)" if found.get("repeated") else ""
    emit_json(found) if as_json else click.echo(f"{name} → {', '.join(found['runs'])}{again}")
