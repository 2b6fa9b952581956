"""States that nothing leads to, and states that nothing leads out of.

- E-STATE-UNREACHABLE: no arrow leads to the state.
- E-STATE-DEAD-END: the state is not final and nothing ever happens in it, or the states that
  it leads to go round without any way to a final state.

Why it hurts: the first is dead text that reviewers believe in, in the second a run stays open
for ever. To mend it, lead an arrow there; give it an activity, a timer or a signal, and a way
to a final state.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.flow import END, SAFE
from waystage.check.graph import reachable, reverse
from waystage.check.handled import unanswered
from waystage.check.places import YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem


def check(subject: Subject) -> Iterator[Problem]:
    """Follow every arrow; where one leads nowhere, that is said first."""
    if subject.skeleton.nowhere:
        return
    edges = {leaf: [edge.target for edge in found] for leaf, found in subject.flow.edges.items()}
    reached = reachable(edges, [subject.flow.start])
    yield from _unreachable(subject, reached)
    yield from _dead_ends(subject, edges, reached)


def _unreachable(subject: Subject, reached: set[str]) -> Iterator[Problem]:
    places = subject.skeleton.places
    entered: set[YamlPath] = set()
    for leaf in reached - {END}:
        place = places[leaf]
        while place.path not in entered:
            entered.add(place.path)
            place = place.parent or place
    for place in subject.places:
        around = place.parent
        if place.path not in entered and (around is None or around.path in entered):
            text, hint = "no arrow leads to this state", "lead one here, or take it away"
            yield subject.problem("E-STATE-UNREACHABLE", place.path, text, hint)


def _dead_ends(
    subject: Subject, edges: dict[str, list[str]], reached: set[str]
) -> Iterator[Problem]:
    told = {raised.leaf for raised in unanswered(subject) if raised.kind != "signal"}
    back = reachable(reverse(edges), [END, *told])
    places = subject.skeleton.places  # what nobody answers of a branch's end is told as that
    trapped = [leaf for leaf in subject.flow.leaves
               if leaf in reached and leaf not in back and not places[leaf].spec.final]  # fmt: skip
    told_at: set[YamlPath] = set()
    for leaf in trapped:
        onward = reachable(edges, [leaf])
        path = subject.skeleton.places[leaf].path
        # where it ends is told, not the ways that lead there
        if path not in told_at and all(leaf in reachable(edges, [each]) for each in onward):
            told_at |= {subject.skeleton.places[each].path for each in onward}
            yield _dead_end(subject, leaf, sorted(onward))


def _dead_end(subject: Subject, leaf: str, onward: list[str]) -> Problem:
    place = subject.skeleton.places[leaf]
    happens = [r for r in subject.flow.raised if r.leaf == leaf and r.event not in SAFE]
    if len(onward) == 1 and not happens:
        text = "nothing ever happens in this state"
        hint = "give it an activity, a timer or a signal, or say final: true"
    else:
        text = f"no way leads from here to a final state (only to {', '.join(onward)})"
        hint = "lead an arrow on"
    return subject.problem("E-STATE-DEAD-END", place.path, text, hint)
