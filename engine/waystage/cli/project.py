"""`waystage init`."""

from __future__ import annotations

import re
import shlex
import unicodedata
from pathlib import Path

import click

from waystage import library
from waystage.cli.schema import FOLDER, modeline, write_schemas
from waystage.cli.whole_example import is_whole, take
from waystage.errors import Conflict, NotFound

WITH = f"Also one that needs addresses and secrets: {', '.join(library.ASKED_FOR)}."
IGNORE = "# what a daemon writes\n.waystage/\n*.db\n*.db-*\n*.db.*\n"


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--example",
    default="german_credit",
    help="Example to begin with; one with lifecycles of its own is copied whole.",
)
@click.option("--with", "more", multiple=True, metavar="LIFECYCLE", help=WITH)
def init_verb(directory: Path, example: str, more: tuple[str, ...]) -> None:
    """Make a project: waystage.yaml with the shipped lifecycles, scenarios and stages."""
    from waystage.spec.wording import did_you_mean

    usual = {file.stem for file in library.lifecycles()} - library.ASKED_FOR.keys()
    for name in sorted(set(more) - library.ASKED_FOR.keys()):
        if name in usual:
            raise NotFound(f"{name!r} comes without --with; leave it out")
        raise NotFound(f"no lifecycle {name!r} is shipped; {did_you_mean(name, library.ASKED_FOR)}")

    target = directory / "waystage.yaml"
    if target.exists():
        cure = f"`waystage add {' '.join(more) or 'LIFECYCLE'}` adds shipped lifecycles to it"
        raise Conflict(f"{target} is there already; nothing was changed; {cure}")
    if example not in library.projects():
        raise NotFound(f"no example {example!r}; {did_you_mean(example, library.projects())}")
    first = library.example(example)
    whole = is_whole(first)
    if whole and more:
        cure = f"leave out --with; `waystage add {' '.join(more)}` adds to it afterwards"
        raise Conflict(f"example {example} brings its own lifecycles; {cure}")
    directory.mkdir(parents=True, exist_ok=True)
    _copy(first / "waystage.yaml", target, modeline("project", 0))
    if whole:
        take(first, directory)
    if name := _name_of(directory):
        said = target.read_text(encoding="utf-8")
        said = re.sub(r"(?m)^project: .*$", f"project: {name}", said, count=1)
        target.write_text(said, encoding="utf-8")
    if not whole:
        _fill(directory, more)
    (directory / "models").mkdir(exist_ok=True)
    write_schemas(directory / FOLDER)
    if not (directory / ".gitignore").exists():
        (directory / ".gitignore").write_text(IGNORE)
    click.echo(f"A project is in {directory.resolve()}.")
    go = "" if directory.resolve() == Path.cwd() else f"`cd {shlex.quote(str(directory))}`, "
    read = "read README.md, " if whole else ""
    click.echo(f"Next: {go}{read}`waystage validate`, `waystage test`, then `waystage up`.")


def _fill(directory: Path, more: tuple[str, ...]) -> None:
    """Copy the shipped lifecycles, blocks, stages and scenarios, and those that were asked for."""
    from waystage.spec.load import HOMES

    for kind, files in (
        ("lifecycle", _wanted(library.lifecycles(), more)), ("block", library.blocks()),
        ("stage", _stages(more)), ("scenario", _wanted(library.scenarios(), more)),
    ):  # fmt: skip
        home = Path(HOMES[kind])
        (directory / home).mkdir(exist_ok=True)
        for file in files:
            _copy(file, directory / home / file.name, modeline(kind, len(home.parts)))


def _name_of(directory: Path) -> str:
    """Give the directory's name as that of a project; empty if nothing of it may be in one."""
    plain = unicodedata.normalize("NFKD", directory.resolve().name).encode("ascii", "ignore")
    return re.sub(r"[^a-z0-9]+", "-", plain.decode().lower()).strip("-")[:63]


def _wanted(files: list[Path], more: tuple[str, ...]) -> list[Path]:
    """Leave out the lifecycles that have to be asked for, and their scenarios."""
    left_out = [name for name in library.ASKED_FOR if name not in more]
    return [file for file in files if not any(file.stem.startswith(name) for name in left_out)]


def _stages(more: tuple[str, ...]) -> list[Path]:
    """Give one file per stage: a kind that a lifecycle brings goes before the ordinary one."""
    kinds = ["", *filter(None, (library.ASKED_FOR[name] for name in more))]
    return list({file.name: file for kind in kinds for file in library.stages(kind)}.values())


def _copy(file: Path, target: Path, head: str) -> None:
    """Copy a file of YAML, its schema named at its head; what is there already stays."""
    if not target.exists():
        target.write_text(head + file.read_text(encoding="utf-8"), encoding="utf-8")
