"""`waystage labels`."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option
from waystage.errors import Busy, Unavailable, WaystageError

BATCH = 2000
PATIENCE = 120.0  # seconds, for a daemon that has much to write
PAUSE = 0.5
IMPORT = "import"
EVENT, VALUE = "event", "value"  # how an event came out; a number, as it turned out
BAD_ROW = re.compile(r"(?:; |^)labels\.([0-9]+)\.")  # of a batch, as the daemon names it

Line = tuple[int, dict[str, Any]]  # of the file, and what it tells


@click.command("labels")
@click.argument("what", nargs=-1, required=True, metavar="[import] FILE")
@json_option
@click.pass_context
def labels_verb(ctx: click.Context, what: tuple[str, ...], as_json: bool) -> None:
    """Tell how requests came out: a CSV with request_id, event (0 or 1), at.

    For a regression the column `value` stands in place of `event`: the number that was predicted,
    as it turned out. It may be told again: what is there already changes nothing, and of several
    for one request the one with the latest `at` stands. An `at` that is more than a day ahead of
    the daemon's clock is refused.
    """
    file, client = _file(what), Client(ctx)
    told = changed = 0
    rows = _rows(file)
    while batch := list(islice(rows, BATCH)):
        try:
            changed += _sent(client, [row for _, row in batch])["changed"]
        except Unavailable:
            raise
        except WaystageError as error:
            raise type(error)(_located(str(error), file, batch, told)) from error
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


def _located(said: str, file: Path, batch: Sequence[Line], told: int) -> str:
    """Say what the daemon says of rows of a batch by the lines of the file, and what was taken."""
    lines = BAD_ROW.sub(lambda found: f"\n  line {batch[int(found[1])][0]}: ", said)
    before = f"the {told} labels before it were taken" if told else "no label was taken"
    mend = "mend it and tell the whole file again: what is there already changes nothing"
    return f"{file}: line {batch[0][0]} to {batch[-1][0]} were refused, {before}; {mend}: {lines}"


def _rows(file: Path) -> Iterator[Line]:
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
            yield reader.line_num, {name: row[name] for name in wanted}
