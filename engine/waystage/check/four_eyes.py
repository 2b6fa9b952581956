"""Four-eyes rules that leave nobody who could answer.

- E-FOUR-EYES: whoever made the snapshot, started the run or answered before, too few of those
  who may answer are left after `exclude`, or none of a role that `required` asks for.

Why it hurts: the run would wait for ever for a person who may not exist. To mend it, give the
role to one more person, or exclude fewer. A run that nothing but a person opens is started by
somebody whose role may operate.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from waystage.check.people import answering
from waystage.check.places import Place
from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.spec.lifecycle import Task
from waystage.spec.project import Project


def check(subject: Subject) -> Iterator[Problem]:
    """Remove those who are excluded, in the way that leaves most."""
    if subject.project is None:
        return
    for place in subject.places:
        task = place.spec.task
        if task and task.exclude and not any("{{" in who for who in (*task.for_, *task.exclude)):
            yield from _task(subject, place, task, subject.project)


def _task(subject: Subject, place: Place, task: Task, project: Project) -> Iterator[Problem]:
    able = answering(task, project)
    everybody = answering(task.model_copy(update={"exclude": ()}), project)
    if not everybody or 0 < len(able) < task.quorum:
        return  # told by the check of people
    rooms = [able - out for out in _excluded(subject, task, project)]
    path, who = place.at("task", "exclude"), ", ".join(task.exclude)
    most = max(len(room) for room in rooms)
    if most < task.quorum:
        text = (
            f"without {who} {most or 'nobody'} of {', '.join(sorted(everybody))} may answer, "
            f"and {task.quorum} must"
        )
        yield subject.problem("E-FOUR-EYES", path, text, "let one more person answer")
        return
    for role in task.required:
        if not any(_are(room, role, project) for room in rooms):
            text = f"without {who} nobody is left for {role}, whose approval is required"
            yield subject.problem("E-FOUR-EYES", path, text, "let one more person answer")


def _excluded(subject: Subject, task: Task, project: Project) -> Iterator[set[str]]:
    """Give whom the rules may exclude: every author with every starter and earlier answerer."""
    authors = set(project.people) if "author" in task.exclude else {""}
    starters = _starters(subject, project) if "starter" in task.exclude else {""}
    earlier = [_deciders(subject, who, task, project) for who in task.exclude]
    for author, starter in product(authors or {""}, starters or {""}):
        yield {author, starter}.union(*earlier)


def _starters(subject: Subject, project: Project) -> set[str]:
    """Give who may have started the run; the empty name stands for the engine itself."""
    if subject.spec.start or subject.spec.lifecycle in subject.called:
        return {""}  # a child run has the starter of its parent
    return {
        name
        for name, person in project.people.items()
        if any("operate" in project.roles.get(role, ()) for role in person.roles)
    }


def _deciders(subject: Subject, who: str, task: Task, project: Project) -> set[str]:
    """Give those of `task` who must have answered the earlier one, for want of others."""
    name = who.removeprefix("previous:")
    earlier = [p.spec.task for p in subject.places if p.name == name and p.spec.task]
    if name == who or len(earlier) != 1:
        return set()
    before, now = answering(earlier[0], project), answering(task, project)
    forced = max(0, earlier[0].quorum - len(before - now))
    return set(sorted(before & now)[:forced])


def _are(room: set[str], who: str, project: Project) -> bool:
    role = who.removeprefix("role:")
    return any(name == who or role in project.people[name].roles for name in room)
