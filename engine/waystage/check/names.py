"""States that `next` or `initial` names and that do not exist, or not here.

- E-STATE-UNKNOWN: there is no such state.
- E-BRANCH-LEFT: the arrow leads out of its branch, or into one.

Why it hurts: the run would have nowhere to go, or leave the other branches behind.
To mend it, name a state of the same level, of a level around it, or one below such a state
with dots (`production.serving`); end a branch with a final state, and lead on from the state
around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from waystage.check.places import YamlPath
from waystage.check.skeleton import Nowhere
from waystage.check.subject import Subject, did_you_mean
from waystage.errors import Problem
from waystage.spec.lifecycle import State


def check(subject: Subject) -> Iterator[Problem]:
    """Find targets and initial states that do not exist."""
    yield from _initial(subject, ("initial",), subject.spec.initial, subject.spec.states)
    for place in subject.places:
        spec = place.spec
        if spec.initial and spec.states:
            yield from _initial(subject, place.at("initial"), spec.initial, spec.states)
        for name, branch in (spec.branches or {}).items():
            path = place.at("branches", name, "initial")
            yield from _initial(subject, path, branch.initial, branch.states)
    for lost in subject.skeleton.nowhere:
        yield _lost(subject, lost)


def _initial(
    subject: Subject, path: YamlPath, name: str, states: Mapping[str, State]
) -> Iterator[Problem]:
    if name not in states:
        text = f"there is no state {name!r} to begin with"
        yield subject.problem("E-STATE-UNKNOWN", path, text, did_you_mean(name, states))


def _lost(subject: Subject, lost: Nowhere) -> Problem:
    path = lost.place.at("next", lost.event, lost.number, "to")
    if lost.leaves_branch:
        text = f"{lost.target!r} lies on the other side of a branch"
        hint = "end the branch with a final state; next: of the state around it leads on"
        return subject.problem("E-BRANCH-LEFT", path, text, hint)
    text = f"there is no state {lost.target!r} here"
    below = [each for each in subject.skeleton.places if each.endswith(f".{lost.target}")]
    hint = f"did you mean {below[0]!r}?" if below else did_you_mean(lost.target, lost.known)
    return subject.problem("E-STATE-UNKNOWN", path, text, hint)
