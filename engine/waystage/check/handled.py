"""Events that nothing answers.

- E-EVENT-UNHANDLED: an outcome, a verdict, a refusal, a timer or the end of nested states
  leads nowhere. `failed` and `error` may stay open: they park the run as an incident; so may
  `refused` where no step of the state ever refuses, and the stage requires nothing.
- W-SIGNAL-UNANSWERED: the state listens to a signal that nothing answers.

Why it hurts: the run is parked when the event comes, and a signal is ignored. To mend it, add
the event to `next` of the state or of one around it; `done` is answered by the state itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.flow import SAFE, Raised
from waystage.check.places import Place, YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.spec.stage import Requires


def check(subject: Subject) -> Iterator[Problem]:
    """Hold every event of every state against the answers that it can reach."""
    seen: set[tuple[YamlPath, str]] = set()
    for raised in unanswered(subject):
        place = owner_of(subject, raised)
        path = _path(place, raised)
        if (path, raised.event) in seen:
            continue
        seen.add((path, raised.event))
        code = "W-SIGNAL-UNANSWERED" if raised.kind == "signal" else "E-EVENT-UNHANDLED"
        here = "here" if raised.event == "done" else "here or in a state around it"
        yield subject.problem(
            code, path, f"nothing answers {raised.event!r}", f"add it to next: {here}"
        )


def unanswered(subject: Subject) -> Iterator[Raised]:
    """Give the events that have no answer though they must have one."""
    for raised in subject.flow.raised:
        if raised.event in SAFE or subject.flow.targets(raised):
            continue
        if raised.event != "refused" or raised.kind != "work" or _refuses(subject, raised):
            yield raised


def _refuses(subject: Subject, raised: Raised) -> bool:
    """Whether a step may say no, or the stage does before something new is made of it."""
    node = subject.skeleton.definition.nodes[raised.leaf]
    if not node.spec.steps:
        return True
    found = [subject.catalog.get(step.use) for step in node.spec.steps]
    plugins = [plugin for plugin in found if plugin is not None]  # others are told of as unknown
    stage = subject.files.stages.get(node.stage) if subject.files else None
    asked = stage is not None and stage.spec.requires != Requires()
    if asked and any(getattr(plugin, "changes", "none") == "forward" for plugin in plugins):
        return True
    return any(getattr(plugin, "refuses", True) for plugin in plugins)


def owner_of(subject: Subject, raised: Raised) -> Place:
    """Give the state whose `next` should answer: a final state's is that around it."""
    place = subject.skeleton.places[raised.owner]
    if place.spec.final and place.parent is not None:
        return place.parent
    return place


def _path(place: Place, raised: Raised) -> YamlPath:
    if raised.kind == "timer":
        return place.at("timers", raised.event)
    if raised.kind == "signal":
        return place.at("signals", place.spec.signals.index(raised.event))
    return place.path
