"""States that `next` and `initial` name but that do not exist.

Why it hurts: the run would have nowhere to go. To mend it, name a state of the same level, of
a level around it, or one below such a state with dots (`production.serving`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from waystage.check.subject import Subject, YamlPath, did_you_mean
from waystage.errors import Problem
from waystage.spec.lifecycle import State

CODE = "E-STATE-UNKNOWN"


def check(subject: Subject) -> Iterator[Problem]:
    """Find targets and initial states that do not exist."""
    yield from _initial(subject, ("initial",), subject.spec.initial, subject.spec.states)
    for place in subject.places:
        spec = place.spec
        if spec.initial and spec.states:
            yield from _initial(subject, (*place.path, "initial"), spec.initial, spec.states)
        for name, branch in (spec.branches or {}).items():
            where = (*place.path, "branches", name, "initial")
            yield from _initial(subject, where, branch.initial, branch.states)
        for event, arrows in spec.next.items():
            for arrow in arrows:
                if not any(_found(level, arrow.to) for level in place.levels):
                    known = [name for level in place.levels for name in level]
                    text = f"there is no state {arrow.to!r}"
                    where = (*place.path, "next", event)
                    yield subject.problem(CODE, where, text, did_you_mean(arrow.to, known))


def _initial(
    subject: Subject, path: YamlPath, name: str, states: Mapping[str, State]
) -> Iterator[Problem]:
    if name not in states:
        text = f"there is no state {name!r} to begin with"
        yield subject.problem(CODE, path, text, did_you_mean(name, states))


def _found(level: Mapping[str, State], target: str) -> bool:
    first, _, rest = target.partition(".")
    if first not in level:
        return False
    spec = level[first]
    if not rest:
        return True
    if spec.stages and rest.partition(".")[0] in spec.stages:
        rest = rest.partition(".")[2]
        return not rest or _found(spec.states or {}, rest)
    return _found(spec.states or {}, rest)
