"""`waystage drift`."""

from __future__ import annotations

from typing import Any

import click

from waystage.cli.client import Client
from waystage.cli.show import clean, emit_json, json_option, when


@click.command("drift")
@click.argument("service", required=False)
@click.option("--restore", "entry", type=int, help="Have this entry made as it was, once.")
@click.option("--reason", default="", help="Why; it is kept in the run's history.")
@json_option
@click.pass_context
def drift_verb(
    ctx: click.Context, service: str | None, entry: int | None, reason: str, as_json: bool
) -> int:
    """Say what does not run as it was deployed, who changed it, and what is done about it."""
    client = Client(ctx)
    if entry is not None:
        found = client.post(f"placements/{entry}/restore", {"reason": reason})
        told = f"Entry {entry} is made as it was at the next look: {found['differs']}"
        emit_json(found) if as_json else click.echo(clean(told))
        return 0
    rows = client.get("drift", service=service)
    if as_json:
        emit_json(rows)
    for row in () if as_json else rows:
        _show(row)
    if not rows and not as_json:
        of = f" of {service}" if service else ""
        click.echo(f"Everything{of} that was looked at runs as it was deployed.")
    return 1 if rows else 0


def _show(row: dict[str, Any]) -> None:
    place = f"{row['stage']}/{row['runtime']}"
    click.echo(
        clean(f"{row['id']:4}  {row['service']}: {row['snapshot']} ({row['role']}) in {place}")
    )
    click.echo(clean(f"      {row['state']} since {when(row['state_since'])} UTC: {why(row)}"))
    if row["doing"]:
        click.echo(clean(f"      {row['doing']}"))


def why(row: dict[str, Any]) -> str:
    """Say what is not as it should be, in one line."""
    from waystage.daemon.drift import Kept

    return Kept.model_validate(row["drift"]).what or row["seen_why"] or str(row["seen"])
