"""Services, channels and repositories that a lifecycle needs and the project does not have.

- W-SERVICE-UNKNOWN: `services` names one that waystage.yaml does not list, or none of the
  project's services fits.
- E-CHANNEL-UNKNOWN: a message goes to a channel that waystage.yaml does not list.
- E-REPOSITORY-MISSING: a registered snapshot opens runs, and no repository is for the service.

Why it hurts: no run would be opened, or it would be parked when the message is sent. To
mend it, list the service, the channel or the repository in waystage.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from waystage.check.subject import Catalog, Subject, did_you_mean, is_glob
from waystage.check.uses import uses
from waystage.errors import Problem
from waystage.spec.load import ProjectFiles
from waystage.spec.project import Project


def check(subject: Subject) -> Iterator[Problem]:
    """Hold a lifecycle's services and channels against the project."""
    if subject.project is None:
        return
    yield from _services(subject, subject.project)
    yield from _channels(subject, subject.project)
    yield from _repositories(subject, subject.project)


def check_notify_channel(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Hold the channel for reminders and incidents against those that there are."""
    del catalog  # all checks of a project are called alike
    name, known = files.project.spec.notify_channel, files.project.spec.channels
    if name is not None and name not in known:
        text, hint = f"there is no channel {name!r}", did_you_mean(name, known)
        yield files.project.source.problem("E-CHANNEL-UNKNOWN", ("notify_channel",), text, hint)


def _services(subject: Subject, project: Project) -> Iterator[Problem]:
    for number, name in enumerate(subject.spec.services):
        path = ("services", number)
        if not is_glob(name) and name not in project.services:
            text, hint = f"there is no service {name!r}", did_you_mean(name, project.services)
            yield subject.problem("W-SERVICE-UNKNOWN", path, text, hint)
    if not subject.services:
        text = "no service of the project fits, so no run will ever be opened"
        hint = did_you_mean(subject.spec.services[0], project.services)
        yield subject.problem("W-SERVICE-UNKNOWN", ("services",), text, hint)


def _channels(subject: Subject, project: Project) -> Iterator[Problem]:
    for use in uses(subject.spec, subject.places):
        to = use.settings.get("to") if use.name == "notify" else None
        if isinstance(to, str) and "{{" not in to and to not in project.channels:
            text, hint = f"there is no channel {to!r}", did_you_mean(to, project.channels)
            yield subject.problem("E-CHANNEL-UNKNOWN", (*use.path, "with", "to"), text, hint)


def _repositories(subject: Subject, project: Project) -> Iterator[Problem]:
    if not subject.spec.start:
        return
    globs = [glob for each in project.repositories for glob in each.services]
    for service in subject.services:
        if service in project.services and not any(fnmatchcase(service, g) for g in globs):
            text = f"no repository is for {service!r}, so nothing is ever registered for it"
            yield subject.problem("E-REPOSITORY-MISSING", ("start",), text)
