"""People and owners whom the project does not know.

- W-ROLE-UNKNOWN: a person has a role that `roles` does not list.
- W-OWNER-UNKNOWN: a service's owner is nobody whom `people` lists.

Why it hurts: the role gives no right to operate or override, and nobody answers for the
service. To mend it, list the role under `roles`, if only as `[]`, and the person.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.places import YamlPath
from waystage.check.subject import Catalog, did_you_mean
from waystage.errors import Problem
from waystage.spec.load import ProjectFiles


def check_people(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Hold people and owners against roles and people."""
    del catalog  # all checks of a project are called alike
    project, source = files.project.spec, files.project.source
    for name, person in project.people.items():
        for number, role in enumerate(person.roles):
            if role not in project.roles:
                text, hint = f"roles: has no {role!r}", did_you_mean(role, project.roles)
                path: YamlPath = ("people", name, "roles", number)
                yield source.problem("W-ROLE-UNKNOWN", path, text, hint, "warning")
    for name, service in project.services.items():
        if service.owner and service.owner not in project.people:
            text = f"nobody is called {service.owner!r}"
            hint = did_you_mean(service.owner, project.people)
            path = ("services", name, "owner")
            yield source.problem("W-OWNER-UNKNOWN", path, text, hint, "warning")
