"""Parameters and variables that contradict themselves, and what services say for them.

- E-FIELD: the default, limits or pattern of a parameter or variable contradict its type.
- E-PARAM: a service gives a parameter a value that the lifecycle does not take, or leaves a
  required one out.
- W-PARAM-UNKNOWN: a service gives a parameter that no lifecycle of the service has.

Why it hurts: the run would decide by values that nobody meant. To mend it, see the message:
it says what the parameter takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from waystage.check.fields import field_problems
from waystage.check.places import YamlPath
from waystage.check.subject import Catalog, Subject, did_you_mean
from waystage.errors import Problem
from waystage.spec.fields import misfit
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import ProjectFiles


def check(subject: Subject) -> Iterator[Problem]:
    """Look at a lifecycle's own parameters and variables."""
    for kind, fields in (("params", subject.spec.params), ("data", subject.spec.data)):
        for name, field in fields.items():
            for key, text in field_problems(field):
                yield subject.problem("E-FIELD", (kind, name, key), text)


def check_services(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Hold what services say against the lifecycles that are for them."""
    del catalog  # all checks of a project are called alike
    for service in files.project.spec.services:
        lifecycles = [
            loaded.spec
            for loaded in files.lifecycles.values()
            if any(fnmatchcase(service, glob) for glob in loaded.spec.services)
        ]
        yield from _given(files, service, lifecycles)
        yield from _missing(files, service, lifecycles)


def _given(files: ProjectFiles, service: str, lifecycles: list[Lifecycle]) -> Iterator[Problem]:
    source = files.project.source
    for name, value in files.project.spec.services[service].params.items():
        path: YamlPath = ("services", service, "params", name)
        having = [each for each in lifecycles if name in each.params]
        if lifecycles and not having:
            known = {param for each in lifecycles for param in each.params}
            text = f"no lifecycle of {service!r} has a parameter {name!r}"
            hint = did_you_mean(name, known)
            yield source.problem("W-PARAM-UNKNOWN", path, text, hint, "warning")
        for each in having:
            if wrong := misfit(each.params[name], value):
                text = f"{wrong} (parameter of {each.lifecycle})"
                yield source.problem("E-PARAM", path, text)


def _missing(files: ProjectFiles, service: str, lifecycles: list[Lifecycle]) -> Iterator[Problem]:
    given = files.project.spec.services[service].params
    for each in lifecycles:
        for name, field in each.params.items():
            if field.required and field.default is None and name not in given:
                text = f"parameter {name!r} of {each.lifecycle} is missing"
                path: YamlPath = ("services", service, "params")
                yield files.project.source.problem("E-PARAM", path, text)
