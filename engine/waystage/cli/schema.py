"""`waystage schema`, and the schemas that `waystage init` puts beside what it writes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import click

from waystage.cli.place import find_project
from waystage.errors import EXIT_FINE, Invalid, NotFound, Unavailable

FOLDER = "schemas"
KINDS = ("lifecycle", "stage", "project", "scenario", "block")


@click.command("schema")
@click.argument("kind", type=click.Choice(KINDS), default="lifecycle")
@click.option("--write", "directory", type=click.Path(path_type=Path), metavar="DIRECTORY",
              help="Write the schemas of all kinds there instead.")  # fmt: skip
@click.pass_context
def schema_verb(ctx: click.Context, kind: str, directory: Path | None) -> int:
    """Print the JSON Schema of a kind of file, with all installed plugins, for editors."""
    from waystage.registry import load_catalog
    from waystage.schema import schema_of

    plugins = _plugins(ctx)
    if directory is None:
        click.echo(_text(schema_of(kind, load_catalog(plugins))))
        return EXIT_FINE
    for file in write_schemas(directory, plugins):
        click.echo(file)
    return EXIT_FINE


def write_schemas(directory: Path, plugins: tuple[str, ...] = ("builtin",)) -> list[Path]:
    """Write one file per kind and give their paths."""
    files = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for kind, text in _texts(plugins).items():
            file = directory / f"{kind}.json"
            file.write_text(f"{text}\n", encoding="utf-8")
            files.append(file)
    except OSError as error:
        reason = (error.strerror or "no").lower()
        raise Unavailable(f"{directory} cannot be written: {reason}") from error
    return files


@cache  # what is installed does not change while a process runs
def _texts(plugins: tuple[str, ...]) -> dict[str, str]:
    from waystage.registry import load_catalog
    from waystage.schema import schemas

    return {kind: _text(schema) for kind, schema in schemas(load_catalog(plugins)).items()}


def modeline(kind: str, depth: int) -> str:
    """Give the line that tells an editor where the schema of a file of the project is."""
    return f"# yaml-language-server: $schema={'../' * depth}{FOLDER}/{kind}.json\n"


def _plugins(ctx: click.Context) -> tuple[str, ...]:
    """Give the distributions that the project allows; outside of a project, what is shipped."""
    from waystage.spec.load import load_project_file

    try:
        root = find_project(ctx.obj["project"])
        return load_project_file(root / "waystage.yaml").spec.plugins
    except (NotFound, Invalid):
        if ctx.obj["project"] is not None:
            raise
        return ("builtin",)


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1, ensure_ascii=False)
