"""`waystage audit`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from waystage.cli.place import find_project
from waystage.cli.show import clean, emit_json, json_option, many
from waystage.errors import EXIT_FINE, EXIT_REFUSED

if TYPE_CHECKING:
    from waystage.spec.load import ProjectFiles
    from waystage.store import Connection

SHOWN = 100  # findings; the rest are counted


@click.command("audit")
@click.argument("action", type=click.Choice(["verify", "head", "export"]))
@click.argument("run", required=False, default="")
@click.option(
    "--head",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="verify: hold the histories to the heads that were kept in this file.",
)
@click.option(
    "--file",
    "exported",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="verify: an export instead of the database.",
)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%MZ"]),
    metavar="TIME",
    default=None,
    help="export: only what happened from then on: 2026-03-01, or 2026-03-01T00:00Z (UTC).",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="head, export: the file to write.",
)
@json_option
@click.pass_context
def audit_verb(
    ctx: click.Context, action: str, run: str, head: Path | None, exported: Path | None,
    since: Any, output: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Verify the hash chains of the history, write their heads, or export them as JSON lines."""
    if action == "verify":
        return _export_verified(exported, as_json) if exported else _verified(
            ctx, run, head, as_json)  # fmt: skip
    if output is None:
        raise click.UsageError(f"say where to: waystage audit {action} -o FILE")
    found = _written(ctx, action, run, since, output)
    rows = f", {many(found['rows'], 'row')}" if "rows" in found else ""
    emit_json(found) if as_json else click.echo(f"{output}: {many(found['runs'], 'run')}{rows}.")
    return EXIT_FINE


def _verified(ctx: click.Context, run: str, head: Path | None, as_json: bool) -> int:
    from waystage.daemon.auditing import Audit
    from waystage.daemon.definitions import Definitions
    from waystage.registry import load_catalog
    from waystage.store.heads import HeadsFile

    kept = HeadsFile(head) if head else None
    with _database(ctx) as (files, reader, connection):
        definitions = Definitions(reader, load_catalog(files.project.spec.plugins))
        audit = Audit(connection, definitions, kept, run)
        shown, count = _shown(audit.findings(), as_json)
    told = {"runs": audit.runs, "rows": audit.rows, "purged": audit.purged, "findings": count}
    if kept:
        told["newer_than_heads"] = audit.unheld
    return _told(told, shown, as_json)


def _export_verified(path: Path, as_json: bool) -> int:
    from waystage.store.export import Exported

    export = Exported(path)
    shown, count = _shown(export.findings(), as_json)
    return _told({"runs": export.runs, "rows": export.rows, "findings": count}, shown, as_json)


def _shown(findings: Iterator[Any], as_json: bool) -> tuple[list[dict[str, Any]], int]:
    """Say findings as they come, the first hundred of them; gives these, and how many there are."""
    kept, count = [], 0
    for each in findings:
        count += 1
        if count <= SHOWN:
            kept.append({"run": each.run, "row": each.row, "said": each.said})
            if not as_json:
                click.echo(clean(each))
    return kept, count


def _told(told: dict[str, Any], shown: list[dict[str, Any]], as_json: bool) -> int:
    count = told["findings"]
    if as_json:
        emit_json(told | {"findings": shown, "found": count})
    else:
        if count > SHOWN:
            click.echo(f"… and {count - SHOWN} more")
        purged = f", {told['purged']} purged" if told.get("purged") else ""
        newer = f"; {told['newer_than_heads']} runs are newer than the heads" if told.get(
            "newer_than_heads") else ""  # fmt: skip
        good = "every row is as it was written" if not count else f"{count} findings"
        click.echo(
            f"{many(told['runs'], 'run')}{purged}, {many(told['rows'], 'row')}: {good}{newer}."
        )
    return EXIT_REFUSED if count else EXIT_FINE


def _written(ctx: click.Context, action: str, run: str, since: Any, output: Path) -> dict[str, Any]:
    from datetime import UTC

    from waystage.clock import SystemClock
    from waystage.errors import NotFound
    from waystage.store.audit import number_of
    from waystage.store.codec import micros
    from waystage.store.export import Export
    from waystage.store.heads import write_heads

    now = SystemClock().now().isoformat()
    with _database(ctx) as (files, _, connection):
        told = {"project": files.project.spec.project, "at": now}
        if action == "head":
            return {"runs": write_heads(connection, output, told)}
        only = number_of(connection, run) if run else 0
        if only is None:
            raise NotFound(f"there is no run {run!r}")
        export = Export(connection, output)
        try:
            export.history(only, micros(since.replace(tzinfo=UTC)) if since else 0)
            written = export.close(**told)
        except BaseException:
            export.abandon()
            raise
    return {"runs": written.runs, "rows": written.rows}


@contextmanager
def _database(ctx: click.Context) -> Iterator[tuple[ProjectFiles, Any, Connection]]:
    """Give the project's files, its database, and one moment of it; nothing is written to it."""
    from waystage.daemon.plans import reader_of
    from waystage.errors import NotFound
    from waystage.spec.load import load_project
    from waystage.store.audit import unmoved

    root = find_project(ctx.obj["project"])
    files = load_project(root)
    reader = reader_of(files)
    if reader is None:
        raise NotFound(f"{root} has no database yet; `waystage up` makes it")
    try:
        with unmoved(reader.engine) as connection:
            yield files, reader, connection
    finally:
        reader.close()
