"""`waystage reload, health`."""

from __future__ import annotations

from typing import Any

import click

from waystage.cli.client import NO_DAEMON, Client
from waystage.cli.show import emit_json, json_option, when
from waystage.errors import EXIT_FINE, EXIT_REFUSED, Problem, Unavailable


@click.command("reload")
@json_option
@click.pass_context
def reload_verb(ctx: click.Context, as_json: bool) -> None:
    """Have the daemon take up changed files now; refused, with nothing changed, if they fail."""
    found = Client(ctx).post("files/reload", {})
    emit_json(found) if as_json else click.echo(f"Taken up: {found['said']}.")


@click.command("health")
@json_option
@click.pass_context
def health_verb(ctx: click.Context, as_json: bool) -> int:
    """Say whether the daemon is well and has taken up the project's files."""
    client = Client(ctx)
    if not client.running:  # what the database says is no sign of life
        raise Unavailable(NO_DAEMON)
    found: dict[str, Any] = client.get("health")
    files: dict[str, Any] = client.get("files")
    good = found["ok"] and files["ok"]
    if as_json:
        emit_json(found | {"files": files})
        return EXIT_FINE if good else EXIT_REFUSED
    click.echo(f"{found['project']}: {'well' if found['ok'] else 'the writer has stopped'} "
               f"(Waystage {found['version']}, {found['busy']} under way)")  # fmt: skip
    if not files["ok"]:
        click.echo(f"changed files are not taken up since {when(files['since'])}: new runs go by "
                   "those before")  # fmt: skip
        for each in files["problems"]:
            click.echo(f"  {Problem(**each)} [{each['code']}]")
    if files["at_start"]:
        click.echo(f"taken up at the next start: {', '.join(files['at_start'])}")
    return EXIT_FINE if good else EXIT_REFUSED
