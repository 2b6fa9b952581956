"""Tasks that nobody in the project could answer.

- E-PEOPLE: `for`, `required`, `exclude` or `escalate.to` names a role that nobody has
  (`role:validator`), a person who is not there, or an earlier task that is none
  (`previous:approve`).
- E-QUORUM: the quorum is larger than the number of people who may answer.

Why it hurts: the run would wait for ever. To mend it, give somebody the role in
waystage.yaml, or ask others.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.places import Place, YamlPath
from waystage.check.subject import Subject, did_you_mean
from waystage.errors import Problem
from waystage.spec.lifecycle import Task
from waystage.spec.project import Project

EXCLUDED = ("author", "starter")


def check(subject: Subject) -> Iterator[Problem]:
    """Hold every task against the project's people."""
    if subject.project is None:
        return
    for place in subject.places:
        if place.spec.task:
            yield from _named(subject, place, place.spec.task, subject.project)
            yield from _quorum(subject, place, place.spec.task, subject.project)


def _named(subject: Subject, place: Place, task: Task, project: Project) -> Iterator[Problem]:
    wanted = [(("for", n), who) for n, who in enumerate(task.for_)]
    wanted += [(("required", n), who) for n, who in enumerate(task.required)]
    wanted += [(("exclude", n), who) for n, who in enumerate(task.exclude) if who not in EXCLUDED]
    for n, who in enumerate(task.escalate.to if task.escalate else ()):
        yield from _who(subject, place.at("task", "escalate", "to", n), who, project)
    for key, who in wanted:
        yield from _who(subject, place.at("task", *key), who, project)


def _who(subject: Subject, path: YamlPath, who: str, project: Project) -> Iterator[Problem]:
    kind, _, name = who.partition(":") if ":" in who else ("", "", who)
    if "{{" in who:
        return
    if kind == "role":
        known = _roles(project)
        text = f"nobody has the role {name!r}"
    elif kind == "previous" and "exclude" in path:
        known = {place.name for place in subject.places if place.spec.task}
        text = f"there is no task {name!r}"
    else:
        known = set(project.people)
        text, name = f"nobody is called {who!r}", who
    if name not in known:
        if not kind and who in _roles(project):
            hint = f"did you mean 'role:{who}'?"
        else:
            words = known | {"author", "starter"} if "exclude" in path and not kind else known
            hint = did_you_mean(name, words)
        yield subject.problem("E-PEOPLE", path, text, hint)


def _roles(project: Project) -> set[str]:
    return {role for person in project.people.values() for role in person.roles}


def answering(task: Task, project: Project) -> set[str]:
    """Give the people who may answer a task, less those whom it excludes by name."""
    asked = {*task.for_, *task.required, *(task.escalate.to if task.escalate else ())}
    return {
        name
        for name, person in project.people.items()
        if name not in task.exclude
        and (name in asked or {f"role:{role}" for role in person.roles} & asked)
    }


def _quorum(subject: Subject, place: Place, task: Task, project: Project) -> Iterator[Problem]:
    asked = {*task.for_, *task.required, *(task.escalate.to if task.escalate else ())}
    able = sorted(answering(task, project))
    if able and task.quorum > len(able) and not any("{{" in who for who in asked):
        text = f"quorum {task.quorum} cannot be met: {len(able)} may answer ({', '.join(able)})"
        yield subject.problem("E-QUORUM", place.at("task", "quorum"), text)
