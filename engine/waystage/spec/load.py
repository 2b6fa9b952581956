"""Files become frozen models with their places and their version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from waystage.errors import Invalid, Problem
from waystage.spec.block import Block, block_problems
from waystage.spec.include import expand
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.project import Project
from waystage.spec.salvage import Salvaged, read_spec
from waystage.spec.scenario import Scenario
from waystage.spec.source import Source, parse_source, read_source
from waystage.spec.stage import Stage
from waystage.spec.values import Spec
from waystage.spec.wording import did_you_mean

S = TypeVar("S", bound=Spec)

PROJECT_FILE = "waystage.yaml"
KINDS: dict[str, type[Spec]] = {
    "project": Project,
    "stage": Stage,
    "block": Block,
    "lifecycle": Lifecycle,
    "scenario": Scenario,
}
HOMES = {
    "project": PROJECT_FILE,
    "stage": "stages/",
    "block": "lifecycles/blocks/",
    "lifecycle": "lifecycles/",
    "scenario": "scenarios/",
}
BLOCKS = "lifecycles/blocks"
SCENARIO_FOLDERS = ("scenarios", "lifecycles/scenarios")
INNER_FOLDERS = (BLOCKS, "lifecycles/scenarios")  # below `lifecycles`, and read by themselves
MAX_FILES = 5000


@dataclass(frozen=True)
class Loaded(Generic[S]):
    """A model, the file that says it, and its digest: the hash of its content, its version."""

    spec: S
    source: Source
    digest: str


@dataclass(frozen=True)
class ProjectFiles:
    """A project as its files say it."""

    root: Path
    project: Loaded[Project]
    stages: dict[str, Loaded[Stage]]
    lifecycles: dict[str, Loaded[Lifecycle]]
    blocks: dict[str, Loaded[Block]] = field(default_factory=dict)


def digest_of(spec: Spec) -> str:
    """Give the SHA-256 of the canonical JSON of what the model says, in hexadecimal.

    Keys are sorted and defaults left out: neither the order of keys, comments and shorthands
    nor a new optional key in a later release changes the version.
    """
    said = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def load_lifecycle(path: Path, *, blocks_of: Path | None = None) -> Loaded[Lifecycle]:
    """Read a lifecycle's file, with the blocks of its own project, or of another file's if it
    lies in none that has some; raises `Invalid`.
    """
    path = Path(path)
    blocks = _blocks_near(path) or (_blocks_near(blocks_of) if blocks_of else {})
    return _lifecycle(read_source(path), blocks)


def parse_lifecycle(
    text: str, file: str = "<text>", blocks: Mapping[str, Loaded[Block]] | None = None
) -> Loaded[Lifecycle]:
    """Read a lifecycle from a text; raises `Invalid`."""
    return _lifecycle(parse_source(text, file), blocks or {})


def parse_block(text: str, file: str = "<text>") -> Loaded[Block]:
    """Read a block from a text; raises `Invalid`."""
    return _block(parse_source(text, file))


def load_stage(path: Path) -> Loaded[Stage]:
    """Read a stage's file; raises `Invalid`."""
    return _loaded(Stage, read_source(Path(path)))


def parse_stage(text: str, file: str = "<text>") -> Loaded[Stage]:
    """Read a stage from a text; raises `Invalid`."""
    return _loaded(Stage, parse_source(text, file))


def load_project_file(path: Path) -> Loaded[Project]:
    """Read a project's own file; raises `Invalid`."""
    return _loaded(Project, read_source(Path(path)))


def parse_project(text: str, file: str = "<text>") -> Loaded[Project]:
    """Read a project's own file from a text; raises `Invalid`."""
    return _loaded(Project, parse_source(text, file))


def load_scenario(path: Path) -> Loaded[Scenario]:
    """Read a scenario's file; raises `Invalid`."""
    return _loaded(Scenario, read_source(Path(path)))


def parse_scenario(text: str, file: str = "<text>") -> Loaded[Scenario]:
    """Read a scenario from a text; raises `Invalid`."""
    return _loaded(Scenario, parse_source(text, file))


def kind_of(source: Source) -> str:
    """Give the kind of a file by its first key; raises `Invalid` when it is none of ours."""
    first = next(iter(source.data), "")
    if first in KINDS:
        return first
    late = next((kind for kind in KINDS if kind in source.data), None)
    if late:
        message, hint = "says its kind too late", f"make {late}: its first key"
    else:
        message = f"begins with {first!r}; the first key says the kind of a file"
        hint = did_you_mean(first, KINDS)
    raise Invalid([source.problem("E-KIND", (first,), message, hint)])


def _loaded(model: type[S], source: Source) -> Loaded[S]:
    wanted = next(name for name, each in KINDS.items() if each is model)
    kind = kind_of(source)
    if kind != wanted:
        message = f"is a {kind}, not a {wanted}"
        raise Invalid([source.problem("E-KIND", (kind,), message)])
    spec, understood, problems = read_spec(model, source)
    if spec is None or (problems and understood is source):
        raise Invalid(problems)
    loaded = Loaded(spec, understood, digest_of(spec))
    if problems:
        raise Salvaged(problems, loaded)
    return loaded


def _lifecycle(source: Source, blocks: Mapping[str, Loaded[Block]]) -> Loaded[Lifecycle]:
    problems: list[Problem] = []
    if kind_of(source) == "lifecycle":
        source, problems = expand(source, blocks)
    try:
        loaded = _loaded(Lifecycle, source)
    except Salvaged as error:
        found = [*problems, *error.problems]
        raise Invalid(found) if problems else Salvaged(found, error.rest) from None
    except Invalid as error:
        raise Invalid([*problems, *error.problems]) from None
    if problems:
        raise Invalid(problems)
    return loaded


def _block(source: Source) -> Loaded[Block]:
    loaded = _loaded(Block, source)
    if problems := list(block_problems(loaded.spec, source)):
        raise Invalid(problems)
    return loaded


def _blocks_near(path: Path) -> Mapping[str, Loaded[Block]]:
    """Read the blocks of the project that a lifecycle's file lies in; none if in no project."""
    for root in path.resolve().parents:
        if (root / BLOCKS).is_dir():
            reading = _Reading(root)
            for each in _files(reading, BLOCKS):
                reading.attempt(each, reading.take)
            if reading.problems:
                raise Invalid(reading.problems)
            return reading.blocks
    return {}


@dataclass
class _Reading:
    """What was found so far in a project's directory."""

    root: Path
    problems: list[Problem] = field(default_factory=list)
    salvaged: int = 0  # of the problems: those that the reading went on past
    stages: dict[str, Loaded[Stage]] = field(default_factory=dict)
    lifecycles: dict[str, Loaded[Lifecycle]] = field(default_factory=dict)
    blocks: dict[str, Loaded[Block]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every file could be read, if only without the keys that nobody knows."""
        return self.salvaged == len(self.problems)

    def load(self, model: type[S], source: Source) -> Loaded[S]:
        """Read a file, going on past keys that nobody knows; raises `Invalid` where it cannot."""
        try:
            if model is Lifecycle:
                return cast("Loaded[S]", _lifecycle(source, self.blocks))
            return _loaded(model, source)
        except Salvaged as error:
            self.problems += error.problems
            self.salvaged += len(error.problems)
            return cast("Loaded[S]", error.rest)

    def attempt(self, path: Path, load: Callable[[Source], Any]) -> Any:
        """Read one file and keep its problems; answers None when there are any."""
        try:
            return load(read_source(path, path.relative_to(self.root).as_posix()))
        except Invalid as error:
            self.problems += error.problems
            return None

    def take(self, source: Source) -> None:
        """Read a file by its kind and put it with its like."""
        kind = kind_of(source)
        if kind == "stage":
            stage = self.load(Stage, source)
            self.keep(self.stages, stage.spec.stage, stage)
        elif kind == "lifecycle":
            lifecycle = self.load(Lifecycle, source)
            self.keep(self.lifecycles, lifecycle.spec.lifecycle, lifecycle)
        elif kind == "block":
            block = _block(source)
            self.keep(self.blocks, block.spec.block, block)
        else:
            message, hint = f"a {kind} does not belong here", f"its place is {HOMES[kind]}"
            raise Invalid([source.problem("E-KIND", (kind,), message, hint)])

    def keep(self, known: dict[str, Loaded[S]], name: str, loaded: Loaded[S]) -> None:
        if name in known:
            first = known[name].source
            line, column = first.locate(())
            key = next(iter(loaded.source.data))
            message = f"there is another {key} {name!r} at {first.file}:{line}:{column}"
            raise Invalid([loaded.source.problem("E-DUPLICATE", (key,), message, "rename one")])
        known[name] = loaded


def load_project(root: Path) -> ProjectFiles:
    """Read a project's directory; raises `Invalid` with the problems of all its files.

    It is `Salvaged` where all that is wrong is keys that nobody knows.
    """
    root = Path(root)
    if not (root / PROJECT_FILE).is_file():
        message = f"there is no {PROJECT_FILE} in {root}; `waystage init` makes a project"
        raise Invalid([Problem("E-PROJECT", message)])
    reading = _Reading(root)
    project = reading.attempt(root / PROJECT_FILE, lambda source: reading.load(Project, source))
    for path in _files(reading, BLOCKS, "stages", "lifecycles"):
        reading.attempt(path, reading.take)
    if not reading.whole:
        raise Invalid(reading.problems)
    found = ProjectFiles(root, project, reading.stages, reading.lifecycles, reading.blocks)
    if reading.problems:
        raise Salvaged(reading.problems, found)
    return found


def load_scenarios(root: Path) -> tuple[Loaded[Scenario], ...]:
    """Read all scenarios of a project; raises `Invalid` with the problems of all of them."""
    reading = _Reading(Path(root))
    paths = _files(reading, *SCENARIO_FOLDERS)
    scenarios = [reading.attempt(path, lambda source: _loaded(Scenario, source)) for path in paths]
    if reading.problems:
        raise Invalid(reading.problems)
    return tuple(scenarios)


def _files(reading: _Reading, *folders: str) -> Iterator[Path]:
    """Give the YAML files in some of a project's folders, in the order of their names."""
    for folder in folders:
        for place, path in enumerate(sorted((reading.root / folder).rglob("*"))):
            inner = path.relative_to(reading.root)
            if place >= MAX_FILES:
                message = f"has more than {MAX_FILES} files"
                reading.problems.append(Problem("E-PROJECT", message, folder))
                return
            if any(part.startswith(".") for part in inner.parts):
                continue
            if folder not in INNER_FOLDERS and _read_apart(inner):
                continue
            if path.suffix == ".yaml":
                yield path
            elif path.suffix == ".yml":
                hint = "rename it to .yaml"
                message = "is not read because of its ending"
                shown = inner.as_posix()
                reading.problems.append(Problem("E-FILE", message, shown, suggestion=hint))


def _read_apart(inner: Path) -> bool:
    """Whether a file lies among blocks, or among scenarios, which `waystage test` alone reads."""
    return any(inner.is_relative_to(folder) for folder in INNER_FOLDERS)
