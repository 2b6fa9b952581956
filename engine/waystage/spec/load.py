"""Files become frozen models with their places and their version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from waystage.errors import Invalid, Problem
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.project import Project
from waystage.spec.source import Source, parse_source, read_source
from waystage.spec.stage import Stage
from waystage.spec.strict import coerced
from waystage.spec.values import Spec
from waystage.spec.wording import did_you_mean, problems_of

S = TypeVar("S", bound=Spec)

PROJECT_FILE = "waystage.yaml"
KINDS: dict[str, type[Spec]] = {"project": Project, "stage": Stage, "lifecycle": Lifecycle}
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


def digest_of(spec: Spec) -> str:
    """Give the SHA-256 of the canonical JSON of what the model says, in hexadecimal.

    Keys are sorted and defaults left out: neither the order of keys, comments and shorthands
    nor a new optional key in a later release changes the version.
    """
    said = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def load_lifecycle(path: Path) -> Loaded[Lifecycle]:
    """Read a lifecycle's file; raises `Invalid`."""
    return _loaded(Lifecycle, read_source(Path(path)))


def parse_lifecycle(text: str, file: str = "<text>") -> Loaded[Lifecycle]:
    """Read a lifecycle from a text; raises `Invalid`."""
    return _loaded(Lifecycle, parse_source(text, file))


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


def kind_of(source: Source) -> str:
    """Give the kind of a file by its first key; raises `Invalid` when it is none of ours."""
    first = next(iter(source.data), "")
    if first in KINDS or first == "scenario":
        return first
    kinds = [*KINDS, "scenario"]
    late = next((kind for kind in kinds if kind in source.data), None)
    if late:
        message, hint = "says its kind too late", f"make {late}: its first key"
    else:
        message = f"begins with {first!r}; the first key says the kind of a file"
        hint = did_you_mean(first, kinds)
    raise Invalid([source.problem("E-KIND", (first,), message, hint)])


def _loaded(model: type[S], source: Source) -> Loaded[S]:
    wanted = next(name for name, each in KINDS.items() if each is model)
    kind = kind_of(source)
    if kind != wanted:
        message = f"is a {kind}, not a {wanted}"
        raise Invalid([source.problem("E-KIND", (kind,), message)])
    try:
        spec = model.model_validate(source.data)
    except ValidationError as error:
        raise Invalid(problems_of(error, model, source)) from None
    if wrong := coerced(spec, source):
        raise Invalid(wrong)
    return Loaded(spec, source, digest_of(spec))


@dataclass
class _Reading:
    """What was found so far in a project's directory."""

    root: Path
    problems: list[Problem] = field(default_factory=list)
    stages: dict[str, Loaded[Stage]] = field(default_factory=dict)
    lifecycles: dict[str, Loaded[Lifecycle]] = field(default_factory=dict)

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
            stage = _loaded(Stage, source)
            self.keep(self.stages, stage.spec.stage, stage)
        elif kind == "lifecycle":
            lifecycle = _loaded(Lifecycle, source)
            self.keep(self.lifecycles, lifecycle.spec.lifecycle, lifecycle)
        else:
            home = PROJECT_FILE if kind == "project" else "scenarios/"
            problem = source.problem(
                "E-KIND", (kind,), f"a {kind} does not belong here", f"see {home}"
            )
            raise Invalid([problem])

    def keep(self, known: dict[str, Loaded[S]], name: str, loaded: Loaded[S]) -> None:
        if name in known:
            first = known[name].source
            line, column = first.locate(())
            key = next(iter(loaded.source.data))
            message = f"there is another {key} {name!r} at {first.file}:{line}:{column}"
            raise Invalid([loaded.source.problem("E-DUPLICATE", (key,), message, "rename one")])
        known[name] = loaded


def load_project(root: Path) -> ProjectFiles:
    """Read a project's directory; raises `Invalid` with the problems of all its files."""
    root = Path(root)
    if not (root / PROJECT_FILE).is_file():
        message = f"there is no {PROJECT_FILE} in {root}; `waystage init` makes a project"
        raise Invalid([Problem("E-PROJECT", message)])
    reading = _Reading(root)
    project = reading.attempt(root / PROJECT_FILE, lambda source: _loaded(Project, source))
    for path in _files(reading):
        reading.attempt(path, reading.take)
    if reading.problems:
        raise Invalid(reading.problems)
    return ProjectFiles(root, project, reading.stages, reading.lifecycles)


def _files(reading: _Reading) -> Iterator[Path]:
    """Give the YAML files of stages and lifecycles, in the order of their names."""
    for folder in ("stages", "lifecycles"):
        for place, path in enumerate(sorted((reading.root / folder).rglob("*"))):
            if place >= MAX_FILES:
                message = f"has more than {MAX_FILES} files"
                reading.problems.append(Problem("E-PROJECT", message, folder))
                return
            if path.suffix == ".yml":
                shown = path.relative_to(reading.root).as_posix()
                hint = "rename it to .yaml"
                reading.problems.append(Problem("E-FILE", "is not read", shown, suggestion=hint))
            elif path.suffix == ".yaml" and not path.name.startswith("."):
                yield path
