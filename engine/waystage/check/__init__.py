"""The proofs of `waystage validate`: each check is one small file, all are in two lists.

A code that begins with `E-` is an error, one with `W-` a warning; the file's docstring says
what each finds, why it hurts and how to mend it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from waystage.check import (
    addresses,
    answers,
    bare,
    calls,
    capabilities,
    constants,
    early,
    endpoints,
    expressions,
    fillable,
    fits,
    four_eyes,
    guards,
    handled,
    holes,
    loops,
    monitors,
    names,
    order,
    params,
    people,
    placeholders,
    plugins,
    polls,
    reach,
    reserved,
    rights,
    risky,
    runtimes,
    secrets,
    services,
    signed,
    skips,
    stages,
    tasks,
    timers,
    unread,
    variables,
    windows,
)
from waystage.check.subject import Catalog, Subject
from waystage.errors import Problem
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import Loaded, ProjectFiles

CHECKS: tuple[Callable[[Subject], Iterator[Problem]], ...] = (
    names.check,
    handled.check,
    answers.check,
    reach.check,
    loops.check,
    polls.check,
    guards.check,
    holes.check,
    constants.check,
    reserved.check,
    plugins.check,
    expressions.check,
    bare.check,
    fits.check,
    early.check,
    monitors.check,
    timers.check,
    tasks.check,
    fillable.check,
    unread.check,
    variables.check,
    people.check,
    four_eyes.check,
    stages.check,
    skips.check,
    signed.check,
    runtimes.check,
    capabilities.check,
    services.check,
    addresses.check,
    params.check,
    calls.check,
    secrets.check,
    risky.check,
    placeholders.check,
)
PROJECT_CHECKS: tuple[Callable[[ProjectFiles, Catalog], Iterator[Problem]], ...] = (
    plugins.check_project_uses,
    order.check_stages,
    windows.check_windows,
    signed.check_stage_signers,
    params.check_services,
    endpoints.check_endpoints,
    services.check_notify_channel,
    rights.check_people,
    secrets.check_project_secrets,
    risky.check_project_values,
    placeholders.check_project_addresses,
)


def check_project(files: ProjectFiles, catalog: Catalog) -> list[Problem]:
    """Give every problem of the project's files, by file and line."""
    found = [problem for check in PROJECT_CHECKS for problem in check(files, catalog)]
    called = calls.called_in(files)
    for loaded in files.lifecycles.values():
        found += _of_lifecycle(Subject(loaded, files, catalog, called))
    return _sorted(found)


def check_lifecycle(
    loaded: Loaded[Lifecycle], files: ProjectFiles | None, catalog: Catalog
) -> list[Problem]:
    """Give every problem of one lifecycle; without a project, of what it says by itself."""
    called = calls.called_in(files) if files else frozenset[str]()
    return _sorted(_of_lifecycle(Subject(loaded, files, catalog, called)))


def _of_lifecycle(subject: Subject) -> Iterator[Problem]:
    for check in CHECKS:
        yield from check(subject)


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(set(problems), key=lambda p: (p.file, p.line, p.column, p.code, p.message))


__all__ = ["CHECKS", "PROJECT_CHECKS", "check_lifecycle", "check_project"]
