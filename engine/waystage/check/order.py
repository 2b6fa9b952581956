"""Stages whose `after:` names no stage or goes in a circle.

Why it hurts: nothing could be promoted in that order. To mend it, let `after:` name the stages
that come before.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.subject import did_you_mean
from waystage.errors import Problem
from waystage.spec.load import ProjectFiles


def check_order(files: ProjectFiles) -> Iterator[Problem]:
    """Follow `after:` from every stage."""
    for name, stage in files.stages.items():
        for number, before in enumerate(stage.spec.after):
            if before not in files.stages:
                hint = did_you_mean(before, files.stages)
                text = f"there is no stage {before!r}"
                yield stage.source.problem("E-STAGE-UNKNOWN", ("after", number), text, hint)
        if name in _before(files, name):
            text = f"{name} comes after itself"
            yield stage.source.problem("E-STAGE-CYCLE", ("after",), text)


def _before(files: ProjectFiles, name: str) -> set[str]:
    found: set[str] = set()
    todo = list(files.stages[name].spec.after)
    while todo:
        each = todo.pop()
        if each not in found and each in files.stages:
            found.add(each)
            todo.extend(files.stages[each].spec.after)
    return found
