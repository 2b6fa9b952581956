"""Texts that read like an expression and are none.

- W-EXPRESSION-BARE: a value is the bare name of something that a run knows, such as
  `tasks.approve.form.limit`, without `{{ }}` around it.

Why it hurts: only `if` holds expressions as they are. Elsewhere the text itself would be kept or
given to the plugin, and nobody would notice. To mend it, write `"{{ tasks.approve.form.limit }}"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from waystage.check.places import YamlPath
from waystage.check.scope import field_type
from waystage.check.subject import Subject
from waystage.check.texts import texts
from waystage.errors import Problem
from waystage.expressions import BadExpression, Scope, compile_expression

DOTTED = re.compile(r"(params|data|snapshot|steps|tasks|monitors|event|run)(\.[A-Za-z_]\w*)+")


def check(subject: Subject) -> Iterator[Problem]:
    """Look at every text that may hold expressions and holds none."""
    for text in texts(subject):
        for inner, value in _texts_in(text.value):
            if (
                reads_bare(value)
                and _known(value, subject.scope)
                and not _misfit(subject, (*text.path, *inner))
            ):
                message = f"is the text {value!r} itself, which reads like an expression"
                yield subject.problem(
                    "W-EXPRESSION-BARE", (*text.path, *inner), message, cure(value)
                )


def reads_bare(value: Any) -> bool:
    """Whether a value is written like the name of something that a run knows."""
    return isinstance(value, str) and DOTTED.fullmatch(value) is not None


def _known(value: str, scope: Scope) -> bool:
    try:
        return not compile_expression(value).check(scope)
    except BadExpression:
        return False


def cure(value: str) -> str:
    """Say how it is written as an expression."""
    return f'write "{{{{ {value} }}}}" for its value'


def _misfit(subject: Subject, path: YamlPath) -> bool:
    """Whether it is told already that the variable takes no text."""
    field = subject.spec.data.get(str(path[-1])) if "set" in path else None
    return field is not None and field_type(field).kind != "string"


def _texts_in(value: Any, inner: YamlPath = ()) -> Iterator[tuple[YamlPath, str]]:
    if isinstance(value, str):
        yield inner, value
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    for name, part in parts:
        yield from _texts_in(part, (*inner, name))
