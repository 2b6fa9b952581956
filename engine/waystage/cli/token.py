"""`waystage token`."""

from __future__ import annotations

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option, when


@click.command("token")
@click.argument("person", required=False, default="")
@click.option("--service", default="", help="For programs that write its scores and labels.")
@click.option("--days", type=click.IntRange(1, 3660), default=90, show_default=True,
              help="How long it is good.")  # fmt: skip
@click.option("--revoke", is_flag=True, help="End all tokens of the person instead.")
@json_option
@click.pass_context
def token_verb(
    ctx: click.Context, person: str, service: str, days: int, revoke: bool, as_json: bool
) -> None:
    """Make a token with which a person acts in their own name, and nobody else's.

    The person sets WAYSTAGE_URL and WAYSTAGE_TOKEN, or says it to the HTTP API. The token of
    a service writes that service's part of the scoring log, and does nothing else.
    """
    if bool(person) == bool(service):
        raise click.UsageError("say a person, or --service NAME")
    client, whose = Client(ctx), service or person
    named = {"service": service} if service else {"person": person}
    if revoke:
        found = client.post("tokens/revoke", named)
        ended = found["revoked"]
        text = f"{whose} had {ended} good token{'s' * (ended != 1)}; now none."
    else:
        found = client.post("tokens", {**named, "days": days})
        text = (f"{found['token']}\n\nIt is {whose}'s until {when(found['expires_at'])} UTC, and "
                "is not shown again.")  # fmt: skip
    emit_json(found) if as_json else click.echo(text)
