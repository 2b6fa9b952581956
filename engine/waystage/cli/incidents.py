"""`waystage incidents, retry, skip, goto, abort`."""

from __future__ import annotations

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option, table, when


@click.command("incidents")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@json_option
@click.pass_context
def incidents_verb(ctx: click.Context, everything: bool, as_json: bool) -> None:
    """List the runs that are parked, and why."""
    found = Client(ctx).get("incidents", all=everything)
    if as_json:
        emit_json(found)
        return
    rows = [(i["id"], i["run"], i["state"], i["kind"], i["message"], when(i["opened_at"]), i["how"])
            for i in found]  # fmt: skip
    table("Incidents", ("id", "run", "state", "kind", "message", "since", "end"), rows)


@click.command("retry")
@click.argument("incident", type=int)
@click.option("--reason", default="")
@json_option
@click.pass_context
def retry_verb(ctx: click.Context, incident: int, reason: str, as_json: bool) -> None:
    """Try again; the incident closes when it succeeds."""
    _mend(ctx, incident, "retry", {"reason": reason}, as_json)


@click.command("skip")
@click.argument("incident", type=int)
@click.option("--reason", required=True)
@json_option
@click.pass_context
def skip_verb(ctx: click.Context, incident: int, reason: str, as_json: bool) -> None:
    """Go on as if the step were done."""
    _mend(ctx, incident, "skip", {"reason": reason}, as_json)


@click.command("goto")
@click.argument("incident", type=int)
@click.argument("state")
@click.option("--reason", required=True)
@json_option
@click.pass_context
def goto_verb(ctx: click.Context, incident: int, state: str, reason: str, as_json: bool) -> None:
    """Send the run to another state."""
    _mend(ctx, incident, "goto", {"to": state, "reason": reason}, as_json)


@click.command("abort")
@click.argument("incident", type=int)
@click.option("--reason", required=True)
@json_option
@click.pass_context
def abort_verb(ctx: click.Context, incident: int, reason: str, as_json: bool) -> None:
    """End the run."""
    _mend(ctx, incident, "abort", {"reason": reason}, as_json)


def _mend(
    ctx: click.Context, incident: int, kind: str, body: dict[str, str], as_json: bool
) -> None:
    found = Client(ctx).post(f"incidents/{incident}/{kind}", body)
    emit_json(found) if as_json else click.echo(f"{kind}: {found['run']} goes on.")
