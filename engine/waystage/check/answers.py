"""Answers to events that never come.

- E-EVENT-NEVER: `next` names an event that neither the state nor one inside it can raise.
  Events are `done`, `refused`, `failed` of steps; the outcomes of a task; the verdicts of
  `verify`; the names of timers and signals; `done` and the outcomes of the final states
  inside. The `done` of an inner state stays inside.

Why it hurts: the arrow is dead, and nobody answers the event that was meant. To mend it, name
an event of the state, or take the arrow away.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.subject import Subject, did_you_mean
from waystage.errors import Problem


def check(subject: Subject) -> Iterator[Problem]:
    """Hold every `next` against the events that are offered to its state."""
    heard: dict[int, set[str]] = {}
    for raised in subject.flow.raised:
        for node in subject.flow.hearing(raised):
            heard.setdefault(id(node.spec), set()).add(raised.event)
    for place in subject.places:
        known = heard.get(id(place.spec), set())
        for event in place.spec.next:
            if event not in known:
                text, hint = f"{event!r} can never happen here", did_you_mean(event, known)
                yield subject.problem("E-EVENT-NEVER", place.at("next", event), text, hint)
