"""`waystage add`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from waystage import library
from waystage.cli.place import find_project
from waystage.cli.schema import FOLDER, modeline
from waystage.cli.show import clean, emit_json, json_option
from waystage.errors import EXIT_FINE, NotFound

if TYPE_CHECKING:
    from waystage.spec.lifecycle import Lifecycle
    from waystage.spec.load import Loaded, ProjectFiles


@dataclass(frozen=True)
class Part:
    """A shipped file that a project may lack."""

    kind: str
    name: str
    file: Path

    @property
    def target(self) -> Path:
        """Where it belongs, from the project's root."""
        from waystage.spec.load import HOMES

        return Path(HOMES[self.kind]) / self.file.name


@dataclass(frozen=True)
class Told:
    """What became of a part: the project's file, whether it was added, and what to know of it."""

    file: str
    added: bool
    note: str = ""


@click.command("add")
@click.argument("names", nargs=-1, required=True, metavar="LIFECYCLE...")
@json_option
@click.pass_context
def add_verb(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> int:
    """Add shipped lifecycles to the project, with what they need; changes no file that is there.

    With a lifecycle come its scenarios, the blocks and lifecycles that it uses, and those of its
    stages that the project lacks.
    """
    from waystage.spec.load import load_project

    root = find_project(ctx.obj["project"])
    files = load_project(root)
    told = [_added(root, files, part) for part in dict.fromkeys(_parts(files, names))]
    if as_json:
        emit_json([asdict(each) for each in told])
        return EXIT_FINE
    for each in told:
        note = f": {each.note}" if each.note else ""
        click.echo(clean(f"{'added' if each.added else 'kept'} {each.file}{note}"))
    click.echo("Next: `waystage validate`, which names what is left to be filled in.")
    return EXIT_FINE


def _parts(files: ProjectFiles, names: tuple[str, ...]) -> Iterator[Part]:
    """Give everything that belongs to the lifecycles, those that they call among it."""
    shipped = _shipped(names)
    for name, loaded in shipped.items():
        yield Part("lifecycle", name, _file(library.lifecycles(), name))
        yield from (Part("block", each, _file(library.blocks(), each)) for each in _blocks(name))
        yield from _stages(loaded, files)
    for file in library.scenarios():
        if (of := _lifecycle_of(file)) in shipped and of not in files.lifecycles:
            yield Part("scenario", file.stem, file)


def _shipped(names: tuple[str, ...]) -> dict[str, Loaded[Lifecycle]]:
    from waystage.check.places import walk
    from waystage.spec.load import load_lifecycle
    from waystage.spec.wording import did_you_mean

    known = {file.stem: file for file in library.lifecycles()}
    found: dict[str, Loaded[Lifecycle]] = {}
    wanted = list(names)
    while wanted:
        name = wanted.pop(0)
        if name not in known:
            raise NotFound(f"no lifecycle {name!r} is shipped; {did_you_mean(name, known)}")
        if name not in found:
            found[name] = load_lifecycle(known[name])
            wanted += [place.spec.call.lifecycle for place in walk(found[name].spec)
                       if place.spec.call]  # fmt: skip
    return found


def _file(files: list[Path], name: str) -> Path:
    return next(file for file in files if file.stem == name)


def _blocks(lifecycle: str) -> Iterator[str]:
    """Give the blocks that a lifecycle includes, and those that these include."""
    from waystage.spec.source import read_source

    wanted = list(_included(read_source(_file(library.lifecycles(), lifecycle)).data))
    for name in wanted:
        yield name
        inner = read_source(_file(library.blocks(), name)).data
        wanted += [each for each in _included(inner) if each not in wanted]


def _included(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        include = data.get("include")
        if isinstance(include, dict) and isinstance(include.get("block"), str):
            yield include["block"]
        for each in data.values():
            yield from _included(each)


def _stages(loaded: Loaded[Lifecycle], files: ProjectFiles) -> Iterator[Part]:
    """Give the shipped stages that a lifecycle names and the project lacks, or has otherwise.

    Ordinary stages are the project's own matter; a kind that a lifecycle brings is compared.
    """
    from waystage.check.places import walk

    named = {stage for place in walk(loaded.spec) for stage in place.stages}
    kind = library.ASKED_FOR.get(loaded.spec.lifecycle, "")
    for file in library.stages(kind):
        if file.stem in named and (kind or file.stem not in files.stages):
            yield Part("stage", file.stem, file)


def _lifecycle_of(scenario: Path) -> str:
    from waystage.spec.source import read_source

    return str(read_source(scenario).data.get("lifecycle"))


def _added(root: Path, files: ProjectFiles, part: Part) -> Told:
    """Write a part unless the project has it, or another file stands in its place."""
    known: dict[str, dict[str, Loaded[Any]]] = {
        "lifecycle": dict(files.lifecycles), "block": dict(files.blocks),
        "stage": dict(files.stages),
    }  # fmt: skip
    there = known.get(part.kind, {}).get(part.name)
    if there is not None:
        return Told(there.source.file, added=False, note=_compared(root / there.source.file, part))
    target = root / part.target
    head = modeline(part.kind, len(part.target.parts) - 1) if (root / FOLDER).is_dir() else ""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("x", encoding="utf-8") as stream:
            stream.write(head + part.file.read_text(encoding="utf-8"))
    except FileExistsError:
        return Told(str(part.target), added=False, note="a file of this name is there already")
    return Told(str(part.target), added=True)


def _compared(there: Path, part: Part) -> str:
    """Say whether what the project has is what is shipped."""
    from waystage.spec.source import read_source

    if read_source(there).data == read_source(part.file).data:
        return "it is there already"
    return f"{part.kind} {part.name} is there already, and differs from {part.file}"
