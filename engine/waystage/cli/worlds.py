"""What simulated runs need from a project: its lifecycles, and the world that they see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from waystage.errors import Invalid, NotFound, Problem

if TYPE_CHECKING:
    from waystage.simulate import Prepared, World
    from waystage.spec.lifecycle import Lifecycle
    from waystage.spec.load import Loaded
    from waystage.spec.scenario import Scenario


@dataclass(frozen=True)
class Bench:
    """A project to simulate in: the world around runs, with its lifecycles."""

    root: Path | None
    world: World

    @property
    def lifecycles(self) -> Mapping[str, Prepared]:
        """The lifecycles by name."""
        return self.world.lifecycles

    def prepared(self, name: str) -> Prepared:
        """Give a lifecycle ready to be simulated; raises `NotFound`."""
        if name not in self.lifecycles:
            known = ", ".join(self.lifecycles) or "none"
            raise NotFound(f"there is no lifecycle {name!r}; there is {known}")
        return self.lifecycles[name]


def bench(ctx: click.Context, near: Sequence[Path] = ()) -> Bench:
    """Make one of the project; outside of any project, of the lifecycles beside the files."""
    from waystage import people, timers
    from waystage.registry import load_catalog
    from waystage.simulate import Lifecycles, Rules, World
    from waystage.spec.load import load_project

    rules = Rules(timers.next_fire, people.may_answer, people.check_answer, people.same_answer)
    root = _root(ctx.obj["project"], near)
    if root is None:
        catalog = load_catalog()
        beside = Lifecycles(dict(_beside(near)), catalog)
        return Bench(None, World(rules, catalog, lifecycles=beside))
    files = load_project(root)
    project = files.project.spec
    stages = {name: loaded.spec for name, loaded in files.stages.items()}
    catalog = load_catalog(project.plugins)
    lifecycles = Lifecycles(files.lifecycles, catalog)
    return Bench(root, World(rules, catalog, project, stages, lifecycles))


def scenarios_at(paths: Sequence[Path]) -> list[Loaded[Scenario]]:
    """Read scenarios; raises `Invalid` with the problems of all files."""
    from waystage.spec.load import load_scenario

    found, problems = [], list[Problem]()
    for path in dict.fromkeys(file for each in paths for file in _files(each)):
        try:
            found.append(load_scenario(path))
        except Invalid as error:
            problems += error.problems
    if problems:
        raise Invalid(problems)
    return found


def shown(path: Path) -> Path:
    """Give a path as people here would write it."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def _root(given: Path | None, near: Sequence[Path]) -> Path | None:
    from waystage.cli.place import find_project

    if given is not None:
        return find_project(given)
    start = near[0].resolve() if near else Path.cwd()
    return next((p for p in (start, *start.parents) if (p / "waystage.yaml").is_file()), None)


def _beside(near: Sequence[Path]) -> Iterator[tuple[str, Loaded[Lifecycle]]]:
    from waystage.spec.load import load_lifecycle

    homes = {path.resolve() if path.is_dir() else path.resolve().parent for path in near}
    places = [place for home in homes for place in (home, home.parent, home.parent / "lifecycles")]
    for file in sorted({file for place in places for file in place.glob("*.yaml")}):
        if file.read_text(errors="replace").lstrip("\ufeff").find("lifecycle:") < 0:
            continue
        try:
            loaded = load_lifecycle(shown(file))
        except Invalid as error:
            if all(problem.code == "E-KIND" for problem in error.problems):
                continue  # a scenario or a stage
            raise
        yield loaded.spec.lifecycle, loaded


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return [shown(each) for each in sorted(path.rglob("*.yaml"))]
    if not path.is_file():
        raise NotFound(f"there is no file or directory {path}")
    return [shown(path)]
