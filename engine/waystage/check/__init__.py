"""The proofs of `waystage validate`: each check is one file, all are in one list."""

from __future__ import annotations

from waystage.check import expressions, guards, handled, names, places, plugins, reach
from waystage.check.order import check_order
from waystage.check.subject import Catalog, Subject
from waystage.errors import Problem
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import Loaded, ProjectFiles

CHECKS = (
    names.check,
    guards.check,
    handled.check,
    reach.check,
    plugins.check,
    expressions.check,
    places.check,
)


def check_project(files: ProjectFiles, catalog: Catalog) -> list[Problem]:
    """Give every problem of the project's files, by file and line."""
    found = [*plugins.check_connections(files, catalog), *check_order(files)]
    for loaded in files.lifecycles.values():
        found.extend(check_lifecycle(loaded, files, catalog))
    return _sorted(found)


def check_lifecycle(
    loaded: Loaded[Lifecycle], files: ProjectFiles | None, catalog: Catalog
) -> list[Problem]:
    """Give every problem of one lifecycle; without a project, of what it says by itself."""
    subject = Subject(loaded, files, catalog)
    return _sorted([problem for check in CHECKS for problem in check(subject)])


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(set(problems), key=lambda p: (p.file, p.line, p.column, p.code, p.message))


__all__ = ["CHECKS", "check_lifecycle", "check_project"]
