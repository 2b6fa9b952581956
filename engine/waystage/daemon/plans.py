"""Planning against a database: read-only, with or without a daemon at work on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from waystage.check import check_lifecycle
from waystage.daemon.definitions import Definitions
from waystage.errors import Invalid
from waystage.kernel import Run
from waystage.planning.mapping import Mapping as MappingFile
from waystage.planning.plan import Known, Plan, plan_of
from waystage.plugin import Plugin
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import Loaded, ProjectFiles, load_lifecycle, parse_lifecycle
from waystage.spec.source import read_source
from waystage.store import Reader


@dataclass(frozen=True)
class Question:
    """What is planned: lifecycles of a project, against what its database has."""

    files: ProjectFiles
    lifecycles: Mapping[str, Loaded[Lifecycle]]
    catalog: Mapping[str, type[Plugin]]
    mapping: MappingFile | None = None


def plans(question: Question, store: Reader | None) -> Iterator[Plan]:
    """Plan each lifecycle; raises `Invalid` if one, or the mapping, has problems."""
    for name, loaded in question.lifecycles.items():
        _refuse(question, loaded)
        definitions = Definitions(store, question.catalog)
        definitions.present(question.files)
        new = definitions.of(loaded)
        known = known_of(definitions, store, name) if store else Known(None)
        mapping = question.mapping
        if mapping is not None and mapping.spec.migration == name:
            texts = (
                [definitions.by_hash(each) for each in store.definitions_of(name)] if store else []
            )
            if problems := mapping.problems(texts, new):
                raise Invalid(problems)
        else:
            mapping = None
        given = partial(_given, question.files)
        yield plan_of(new, known, question.catalog, mapping=mapping, given=given)


def _given(files: ProjectFiles, service: str) -> Mapping[str, Any]:
    known = files.project.spec.services.get(service)
    return known.params if known else {}


def known_of(definitions: Definitions, store: Reader, lifecycle: str) -> Known:
    """Give what the database has of a lifecycle."""
    newest = store.newest_definition(lifecycle)
    runs = [Run.from_json(body) for body in store.open_runs(lifecycle)]
    others = {run.definition: definitions.by_hash(run.definition) for run in runs}
    return Known(definitions.by_hash(newest) if newest else None, others, runs)


def candidate(files: ProjectFiles, path: Path) -> Loaded[Lifecycle]:
    """Read a lifecycle that may lie outside of its project; raises `Invalid`.

    It includes the blocks that lie beside it, or else the project's.
    """
    at_home = any((place / "lifecycles").is_dir() for place in path.resolve().parents)
    if at_home:
        return load_lifecycle(path)
    return parse_lifecycle(read_source(path).text, str(path), files.blocks)


def abandoned(question: Question, store: Reader | None) -> dict[str, int]:
    """Count the open runs of lifecycles that the project's files do not have any more."""
    found = store.open_lifecycles() if store else {}
    return {name: runs for name, runs in found.items() if name not in question.files.lifecycles}


def _refuse(question: Question, loaded: Loaded[Lifecycle]) -> None:
    problems = check_lifecycle(loaded, question.files, question.catalog)
    if errors := [problem for problem in problems if problem.severity == "error"]:
        raise Invalid(errors)


def reader_of(files: ProjectFiles) -> Reader | None:
    """Open the project's database for reading; None if it is not there yet."""
    from waystage.store import reading_only, rooted
    from waystage.store.condition import file_of

    url = rooted(files.project.spec.database, files.root)
    file = file_of(url)
    if file is not None and not file.is_file():
        return None
    return reading_only(url)
