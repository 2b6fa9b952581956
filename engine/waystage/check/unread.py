"""Fields of forms and parameters that nothing reads.

- W-FIELD-UNREAD: no guard, no text, no setting and no threshold reads it.

Why it hurts: people fill in a value, or a service sets one, believing that it decides
something; often the place that should read it was left out, or has a fixed value. To mend it,
read it where it belongs, show it in the text of a later task or message if it is kept as
evidence, or take it away.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from waystage.check.fillable import fields
from waystage.check.places import YamlPath
from waystage.check.subject import Subject
from waystage.check.texts import compiled, conditions, texts
from waystage.errors import Problem
from waystage.expressions import BadExpression, compile_expression

Name: TypeAlias = tuple[str, ...]


def check(subject: Subject) -> Iterator[Problem]:
    """Hold every field against all that is read."""
    try:
        read = read_paths(subject)
    except BadExpression:
        return  # told by the check of expressions
    for path, _ in fields(subject):
        name = _name(path)
        if name[0] != "data" and not any(reads(each, name) for each in read):
            text, whole = "nothing reads what is given here", ".".join(name)
            hint = f"write {{{{ {whole} }}}} where it decides, or take it away"
            yield subject.problem("W-FIELD-UNREAD", path, text, hint)


def read_paths(subject: Subject) -> frozenset[Name]:
    """Give every name that the lifecycle reads, such as `tasks.approve.form.tag`."""
    read = [compile_expression(each.text).references for each in conditions(subject)]
    read += [
        expression.references
        for text in texts(subject)
        for _, expression in compiled(text.value).expressions
    ]
    return frozenset[Name]().union(*read)


def _name(path: YamlPath) -> Name:
    """Give the name by which expressions read a field."""
    if path[0] == "states":
        return ("tasks", str(path[-4]), "form", str(path[-1]))
    return (str(path[0]), str(path[1]))


def reads(read: Name, name: Name) -> bool:
    """Whether a name that is read is the field, a part of it, or a whole that it belongs to."""
    shared = min(len(read), len(name))
    return read[:shared] == name[:shared]
