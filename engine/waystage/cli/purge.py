"""`waystage purge`."""

from __future__ import annotations

from typing import Any

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option, many


@click.command("purge")
@click.option("--ended-before", required=True, help="2020-01-01T00:00Z; earlier ends are removed.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--vacuum", is_flag=True, help="Then give the room back to the disk.")
@json_option
@click.pass_context
def purge_verb(
    ctx: click.Context, ended_before: str, dry_run: bool, vacuum: bool, as_json: bool
) -> None:
    """Export runs that ended long ago, then remove them with their files."""
    client = Client(ctx)
    told: dict[str, Any] = {"runs": [], "rows": 0, "kept": [], "files": [], "dry": dry_run}
    after: int | None = 0
    while after is not None:
        body = {"ended_before": ended_before, "after": after, "dry": dry_run}
        found = client.post("purges", body)
        told["runs"] += found["runs"]
        told["rows"] += found["rows"]
        told["kept"] += found["kept"]
        told["files"] += [found["file"]] if found["file"] else []
        after = found["after"]
    if vacuum and not dry_run:
        client.post("purges/vacuum", {})
    emit_json(told) if as_json else _say(told)


def _say(told: dict[str, Any]) -> None:
    for each in told["kept"]:
        click.echo(f"{each['run']} stays: {each['why']}")
    one = len(told["runs"]) == 1
    what = "would be removed" if told["dry"] else f"{'is' if one else 'are'} removed"
    count = f"{many(len(told['runs']), 'run')} with {many(told['rows'], 'row')}"
    click.echo(f"{count} {what}.")
    for file in told["files"]:
        click.echo(f"They are in {file} (waystage audit verify --file …).")
