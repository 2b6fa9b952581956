"""Addresses that are there only to be filled in.

- W-PLACEHOLDER: a setting of a runtime, of a repository or of a step, or a parameter, names a host
  that ends in `.example`, a name that nobody can ever have.

Why it hurts: what needs the address would wait and be parked. To mend it, write the address of
your own server; what no service of the project uses is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from waystage.check.places import YamlPath
from waystage.check.subject import Catalog, Subject
from waystage.check.uses import uses
from waystage.errors import Problem
from waystage.spec.load import ProjectFiles
from waystage.spec.source import Source

# RFC 2606 keeps the name free for documentation
HOST = re.compile(r"(?<![\w.-])((?:[\w-]+\.)+example)(?![\w-]|\.\w)", re.IGNORECASE | re.ASCII)


def check(subject: Subject) -> Iterator[Problem]:
    """Look at the steps, monitors and parameters of a lifecycle that a service uses."""
    known = subject.project.services if subject.project else {}
    if not any(service in known for service in subject.services):
        return
    for use in uses(subject.spec, subject.places):
        for path, host in _hosts((*use.path, "with"), use.settings):
            yield _problem(subject.loaded.source, path, host)
    for name, field in subject.spec.params.items():
        for path, host in _hosts(("params", name, "default"), field.default):
            yield _problem(subject.loaded.source, path, host)


def check_project_addresses(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Look at the runtimes and repositories that a service uses, and at what services say."""
    del catalog  # all checks of a project are called alike
    services = files.project.spec.services
    for stage in files.stages.values():
        for number, runtime in enumerate(stage.spec.runtimes):
            if _used(runtime.services, services):
                for path, host in _hosts(("runtimes", number, "with"), runtime.with_):
                    yield _problem(stage.source, path, host)
    for number, repository in enumerate(files.project.spec.repositories):
        if _used(repository.services, services):
            for path, host in _hosts(("repositories", number, "with"), repository.with_):
                yield _problem(files.project.source, path, host)
    for service, told in services.items():
        for path, host in _hosts(("services", service, "params"), told.params):
            yield _problem(files.project.source, path, host)


def _used(globs: Iterable[str], services: Iterable[str]) -> bool:
    return any(fnmatchcase(service, glob) for service in services for glob in globs)


def _hosts(path: YamlPath, value: Any) -> Iterator[tuple[YamlPath, str]]:
    if isinstance(value, str):
        yield from ((path, found[1]) for found in HOST.finditer(value))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _hosts((*path, key), inner)
    elif isinstance(value, Sequence):
        for number, inner in enumerate(value):
            yield from _hosts((*path, number), inner)


def _problem(source: Source, path: YamlPath, host: str) -> Problem:
    text = f"{host} is a placeholder that nobody answers at"
    return source.problem("W-PLACEHOLDER", path, text, "write your own", "warning")
