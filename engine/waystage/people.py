"""Who may do what: the one place that decides, for the API, the CLI and every link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from waystage.errors import Conflict, Forbidden, WaystageError
from waystage.spec.fields import misfit
from waystage.spec.lifecycle import FieldSpec
from waystage.spec.project import Project


class AnswerUnfit(WaystageError):
    """An answer that does not fit the task."""

    code = "E-ANSWER"


OWN_TOKEN, OWNER, ON_BEHALF = "own token", "local owner", "on behalf: local owner"
SERVICE_TOKEN = "token of a service"  # noqa: S105  # the word for it, no token


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts, and by which means: OWN_TOKEN, OWNER, ON_BEHALF or SERVICE_TOKEN.

    `service` is that of a program which may write this service's part of the scoring log and
    do nothing else.
    """

    person: str
    via: str
    service: str = ""

    @property
    def owns(self) -> bool:
        """Whether it is the user whose daemon it is, in whatever name."""
        return self.via in (OWNER, ON_BEHALF)


def holder_acts(holder: str, named: str) -> Caller:
    """Give who acts with a person's own token; raises `Forbidden` if they name someone else."""
    if named not in ("", holder):
        raise Forbidden(f"this token is {holder}'s and does not act as {named}")
    return Caller(holder, OWN_TOKEN)


def service_acts(service: str, named: str) -> Caller:
    """Give who acts with a service's token; raises `Forbidden` if they name a person."""
    if named:
        raise Forbidden(f"this token is that of service {service} and does not act as {named}")
    return Caller(f"service {service}", SERVICE_TOKEN, service)


def owner_acts(project: Project, owner: str, named: str) -> Caller:
    """Give who acts with the local owner's token; raises `Forbidden` for another where that is."""
    if named in ("", owner):
        return Caller(owner, OWNER)
    if not project.on_behalf:
        raise Forbidden(
            f"waystage.yaml says on_behalf: false, so that {owner} does not act as {named}; "
            f"{named} acts with a token: waystage token {named}"
        )
    return Caller(named, ON_BEHALF)


def _who(project: Project, person: str) -> str:
    near = get_close_matches(person, project.people, n=1)
    return f"did you mean {near[0]!r}?" if near else "act as one of them by --as, or by a token"


def roles_of(project: Project, person: str) -> tuple[str, ...]:
    """Give the roles of a person; someone unknown has none."""
    known = project.people.get(person)
    return known.roles if known else ()


def rights_of(project: Project, person: str) -> frozenset[str]:
    """Give what the person's roles allow: decide, operate, override."""
    return frozenset(
        right for role in roles_of(project, person) for right in project.roles.get(role, ())
    )


def need_right(project: Project, person: str, right: str) -> None:
    """Raise `Forbidden` unless the person has the right."""
    if right not in rights_of(project, person):
        holders = [role for role, rights in project.roles.items() if right in rights]
        who = (
            " or ".join(f"role:{role}" for role in holders) or "a role that waystage.yaml gives it"
        )
        known = (
            ""
            if person in project.people
            else f"; {person} is not in people: of waystage.yaml; {_who(project, person)}"
        )
        raise Forbidden(f"{person} may not {right}: that needs {who}{known}")


def may_answer(
    project: Project,
    task: Mapping[str, Any],
    person: str,
    *,
    starter: str = "",
    author: str = "",
    deciders: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Raise `Forbidden` unless the person may answer the task.

    `task` is a task's body; `deciders` maps earlier tasks to those who answered them.
    """
    if person not in project.people:
        raise Forbidden(
            f"{person!r} is nobody whom waystage.yaml lists under people:; {_who(project, person)}"
        )
    allowed = {*task["for"], *task.get("required", [])}
    if person not in allowed and not {f"role:{r}" for r in roles_of(project, person)} & allowed:
        raise Forbidden(
            f"{person} may not answer “{task['title']}”: it is for {', '.join(task['for'])}"
        )
    for who in task.get("exclude", []):
        _refuse_excluded(task, who, person, starter, author, deciders or {})


def may_delegate(
    project: Project, title: str, person: str, claimed_by: str, answers: Forbidden | None
) -> None:
    """Raise `Forbidden` unless the person may say who answers the task.

    That may who could answer it (`answers` is None), of a claimed task only who claimed it, and
    whoever may override.
    """
    if claimed_by == person or "override" in rights_of(project, person):
        return
    if claimed_by:
        raise Forbidden(f"“{title}” is claimed by {claimed_by}, who alone may delegate it")
    if answers is not None:
        raise answers


def may_release(title: str, person: str, claimed_by: str) -> None:
    """Raise `Forbidden` unless the person claimed the task, `Conflict` if nobody did."""
    if not claimed_by:
        raise Conflict(f"“{title}” is claimed by nobody")
    if claimed_by != person:
        raise Forbidden(f"“{title}” is claimed by {claimed_by}, who alone may release it")


def _refuse_excluded(
    task: Mapping[str, Any], who: str, person: str, starter: str, author: str,
    deciders: Mapping[str, Sequence[str]],
) -> None:  # fmt: skip
    title = task["title"]
    if who == "author" and person == author:
        raise Forbidden(f"{person} made this snapshot and may not answer “{title}” (four eyes)")
    if who == "starter" and person == starter:
        raise Forbidden(f"{person} started this run and may not answer “{title}” (four eyes)")
    if who.startswith("previous:") and person in deciders.get(who.removeprefix("previous:"), ()):
        raise Forbidden(
            f"{person} answered {who.removeprefix('previous:')!r} and may not answer “{title}”"
        )
    if who == person:
        raise Forbidden(f"{person} is excluded from “{title}”")


def check_answer(
    task: Mapping[str, Any], outcome: str, form: Mapping[str, Any], comment: str
) -> None:
    """Raise `AnswerUnfit` unless outcome, comment and form fit the task."""
    if outcome not in task["outcomes"]:
        near = get_close_matches(outcome, task["outcomes"], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(task['outcomes'])}"
        raise AnswerUnfit(f"{outcome!r} is no outcome of this task; {hint}")
    if outcome not in task["approvals"]:
        if not comment.strip():
            raise AnswerUnfit(f"{outcome!r} needs a comment that says why")
        return
    fields = task.get("form", {})
    for name in form:
        if name not in fields:
            raise AnswerUnfit(
                f"the form has no field {name!r}; it has {', '.join(fields) or 'none'}"
            )
    for name, field in fields.items():
        if name in form:
            if wrong := misfit(FieldSpec.model_validate(field), form[name]):
                raise AnswerUnfit(f"{name}: {wrong}")
        elif field.get("required"):
            raise AnswerUnfit(f"the form's field {name!r} is missing")


def same_answer(task: Mapping[str, Any], person: str, outcome: str) -> bool:
    """Whether the person answered just so before; another answer raises `Conflict`."""
    earlier = [vote for vote in task.get("votes", []) if vote["by"] == person]
    if not earlier:
        return False
    if earlier[-1]["outcome"] == outcome:
        return True
    raise Conflict(
        f"{person} answered {earlier[-1]['outcome']!r} at {earlier[-1]['at']}; that stands"
    )
