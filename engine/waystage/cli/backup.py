"""`waystage backup, restore`."""

from __future__ import annotations

from pathlib import Path

import click

from waystage.cli.place import find_project
from waystage.cli.show import emit_json, json_option
from waystage.errors import Conflict, NotFound


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def backup_verb(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Copy the database to a file while the daemon goes on, and check the copy."""
    from waystage.store.backup import back_up

    database = _database(find_project(ctx.obj["project"]))
    if not database.is_file():
        raise NotFound(f"{database} is not there yet; `waystage up` makes it")
    size = back_up(database, file)
    found = {"file": str(file), "bytes": size}
    emit_json(found) if as_json else click.echo(f"{file}: {size:,} bytes, checked.")


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def restore_verb(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Put a backup in the place of the database; the present one is kept beside it."""
    from waystage.clock import SystemClock
    from waystage.store.backup import put_back

    database = _database(find_project(ctx.obj["project"]))
    kept = put_back(file, database, f"before-{SystemClock().now():%Y%m%dT%H%M%S}")
    found = {"database": str(database), "kept": str(kept) if kept else None}
    text = f"{database} is now {file}."
    if kept:
        text += f" What was there is {kept.name}."
    emit_json(found) if as_json else click.echo(f"{text}\nNext: waystage audit verify")


def _database(root: Path) -> Path:
    from waystage.spec.load import load_project
    from waystage.store import rooted
    from waystage.store.condition import file_of

    url = load_project(root).project.spec.database
    file = file_of(rooted(url, root))
    if file is None:
        raise Conflict(
            "this verb is for SQLite; copy PostgreSQL with its own tools: pg_dump --format=custom "
            "--file FILE DATABASE, and pg_restore --clean --dbname DATABASE FILE"
        )
    return file
