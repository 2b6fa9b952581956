"""Variables that nothing reads.

- W-DATA-UNREAD: no guard, no text, no setting and no threshold reads the variable, and no
  lifecycle that calls this one does. What only reckons its own next value (`data.tries + 1`)
  is no reader.

Why it hurts: the arrows that set it seem to remember something that decides later on; often the
guard or the message that should use it was left out, or reads another name. To mend it, read it
where it decides, show it in the text of a task or message if people are to see it, or take it
away with what sets it.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.subject import Subject
from waystage.check.texts import compiled, conditions, texts
from waystage.check.unread import Name, read_paths, reads
from waystage.errors import Problem
from waystage.expressions import BadExpression, compile_expression


def check(subject: Subject) -> Iterator[Problem]:
    """Hold every variable against all that is read, here and by those who call."""
    if subject.files is None or not subject.spec.data:
        return  # who calls it is not known outside of a project
    try:
        read = set(_read(subject)) | {(path, "") for path in _read_by_callers(subject)}
    except BadExpression:
        return  # told by the check of expressions
    for name in subject.spec.data:
        if not any(reads(path, ("data", name)) for path, by in read if by != name):
            setters = ", ".join(_setters(subject, name))
            text = f"nothing reads what is set by {setters}" if setters else "nothing reads it"
            hint = f"write {{{{ data.{name} }}}} where it decides, or take it away"
            yield subject.problem("W-DATA-UNREAD", ("data", name), text, hint)


def _read(subject: Subject) -> Iterator[tuple[Name, str]]:
    """Give every name that is read, and the variable that is reckoned from it, if any is."""
    for condition in conditions(subject):
        yield from ((path, "") for path in compile_expression(condition.text).references)
    for text in texts(subject):
        parts = text.value.items() if text.path[-1] == "set" else [("", text.value)]
        for name, value in parts:
            for _, expression in compiled(value).expressions:
                yield from ((path, name) for path in expression.references)


def _read_by_callers(subject: Subject) -> Iterator[Name]:
    """Give what lifecycles read of this one when they have called it, as if it were read here."""
    assert subject.files is not None
    for loaded in subject.files.lifecycles.values():
        caller = Subject(loaded, subject.files, subject.catalog)
        calls = [(place.name, place.spec.call) for place in caller.places if place.spec.call]
        calling = {name for name, call in calls if call.lifecycle == subject.spec.lifecycle}
        for path in read_paths(caller) if calling else ():
            if path[0] == "steps" and (len(path) == 1 or path[1] in calling):
                yield path[2:] or ("data",)


def _setters(subject: Subject, name: str) -> list[str]:
    """Give the states whose arrows set a variable."""
    return [
        place.name
        for place in subject.places
        if any(name in arrow.set for arrows in place.spec.next.values() for arrow in arrows)
    ]
