"""`waystage labels`."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option
from waystage.errors import Busy

BATCH = 2000
PATIENCE = 120.0  # seconds, for a daemon that has much to write
PAUSE = 0.5
IMPORT = "import"
EVENT, VALUE = "event", "value"  # how an event came out; a number, as it turned out


@click.command("labels")
@click.argument("what", nargs=-1, required=True, metavar="[import] FILE")
@json_option
@click.pass_context
def labels_verb(ctx: click.Context, what: tuple[str, ...], as_json: bool) -> None:
    """Tell how requests came out: a CSV with request_id, event (0 or 1), at.

    For a regression the column `value` stands in place of `event`: the number that was predicted,
    as it turned out. It may be told again: what is there already changes nothing, and of several
    for one request the one with the latest `at` stands.
    """
    file, client = _file(what), Client(ctx)
    told = changed = 0
    rows = _rows(file)
    while batch := list(islice(rows, BATCH)):
        changed += _sent(client, batch)["changed"]
        told += len(batch)
    found = {"labels": told, "changed": changed}
    emit_json(found) if as_json else click.echo(f"{changed} of {told} labels were new.")


def _file(what: tuple[str, ...]) -> Path:
    names = what[1:] if len(what) > 1 and what[0] == IMPORT else what
    if len(names) != 1:
        raise click.UsageError("one file is told at a time: waystage labels import FILE")
    path = Path(names[0])
    if not path.is_file():
        raise click.UsageError(f"there is no file {path}")
    return path


def _sent(client: Client, batch: list[dict[str, Any]]) -> dict[str, Any]:
    """Send labels, again while the daemon has too much to write."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            found: dict[str, Any] = client.post("labels", {"labels": batch})
        except Busy:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE)
        else:
            return found


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8-sig") as source:
        reader = csv.DictReader(source)
        columns = {*(reader.fieldnames or ())}
        if {EVENT, VALUE} <= columns:
            raise click.UsageError(f"{file}: has {EVENT} and {VALUE}; tell them in two files")
        what = VALUE if VALUE in columns else EVENT
        wanted = ("request_id", what, "at")
        if missing := sorted({*wanted} - columns):
            raise click.UsageError(f"{file}: the columns {', '.join(missing)} are missing")
        for row in reader:
            yield {name: row[name] for name in wanted}
