"""`waystage init`."""

from __future__ import annotations

from pathlib import Path

import click

from waystage.cli.schema import FOLDER, modeline, write_schemas
from waystage.errors import Conflict

IGNORE = "# what a daemon writes\n.waystage/\n*.db\n*.db-*\n"


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@click.option("--example", default="german_credit", help="Whose project file to begin with.")
def init_verb(directory: Path, example: str) -> None:
    """Make a project: waystage.yaml with the shipped lifecycles, scenarios and stages."""
    from waystage import library
    from waystage.spec.load import HOMES

    target = directory / "waystage.yaml"
    if target.exists():
        raise Conflict(f"{target} is there already; nothing was changed")
    directory.mkdir(parents=True, exist_ok=True)
    _copy(library.example(example) / "waystage.yaml", target, modeline("project", 0))
    for kind, files in (
        ("lifecycle", library.lifecycles()), ("block", library.blocks()),
        ("stage", library.stages()), ("scenario", library.scenarios()),
    ):  # fmt: skip
        home = Path(HOMES[kind])
        (directory / home).mkdir(exist_ok=True)
        for file in files:
            _copy(file, directory / home / file.name, modeline(kind, len(home.parts)))
    (directory / "models").mkdir(exist_ok=True)
    write_schemas(directory / FOLDER)
    if not (directory / ".gitignore").exists():
        (directory / ".gitignore").write_text(IGNORE)
    click.echo(f"A project is in {directory.resolve()}.")
    click.echo("Next: `waystage validate`, `waystage test`, then `waystage up`.")


def _copy(file: Path, target: Path, head: str) -> None:
    """Copy a file of YAML, its schema named at its head; what is there already stays."""
    if not target.exists():
        target.write_text(head + file.read_text(encoding="utf-8"), encoding="utf-8")
