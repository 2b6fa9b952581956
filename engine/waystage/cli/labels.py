"""`waystage labels`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option

BATCH = 2000


@click.command("labels")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def labels_verb(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Tell how requests came out: a CSV with request_id, event (0 or 1), at."""
    client, rows, changed = Client(ctx), _rows(file), 0
    for start in range(0, len(rows), BATCH):
        changed += client.post("labels", {"labels": rows[start : start + BATCH]})["changed"]
    found = {"labels": len(rows), "changed": changed}
    emit_json(found) if as_json else click.echo(f"{changed} of {len(rows)} labels were new.")


def _rows(file: Path) -> list[dict[str, Any]]:
    with file.open(newline="") as source:
        reader = csv.DictReader(source)
        missing = {"request_id", "event", "at"} - set(reader.fieldnames or ())
        if missing:
            raise click.UsageError(f"{file}: the columns {', '.join(sorted(missing))} are missing")
        return [{"request_id": r["request_id"], "event": r["event"], "at": r["at"]} for r in reader]
