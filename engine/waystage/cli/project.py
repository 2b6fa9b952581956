"""`waystage init`."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from waystage.errors import Conflict

IGNORE = "# what a daemon writes\n.waystage/\n*.db\n*.db-*\n"


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@click.option("--example", default="german_credit", help="Whose project file to begin with.")
def init_verb(directory: Path, example: str) -> None:
    """Make a project: waystage.yaml with the shipped lifecycles and stages."""
    from waystage import library

    target = directory / "waystage.yaml"
    if target.exists():
        raise Conflict(f"{target} is there already; nothing was changed")
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(library.example(example) / "waystage.yaml", target)
    for name, files in (
        ("lifecycles", library.lifecycles()), ("blocks", library.blocks()),
        ("stages", library.stages()),
    ):  # fmt: skip
        (directory / name).mkdir(exist_ok=True)
        for file in files:
            if not (directory / name / file.name).exists():
                shutil.copy(file, directory / name)
    (directory / "models").mkdir(exist_ok=True)
    if not (directory / ".gitignore").exists():
        (directory / ".gitignore").write_text(IGNORE)
    click.echo(f"A project is in {directory.resolve()}.")
    click.echo("Next: `waystage validate`, then `waystage up`.")
