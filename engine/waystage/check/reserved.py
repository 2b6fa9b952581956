"""Names that mean two things.

- E-NAME-RESERVED: a timer, a signal or the outcome of a task is called `done`, `refused`,
  `failed` or `error`, which are events of the engine with rules of their own.
- E-NAME-TWICE: one state raises the same event in two ways, or two steps of different
  plugins, or of one state, have one `id`.
- W-TASK-TWICE: two states with different forms have one name, and `tasks.<name>` is the one
  that was answered last.

Why it hurts: nobody can tell which of the two was meant. To mend it, rename one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from waystage.check.flow import VERDICTS
from waystage.check.places import Place, YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem

RESERVED = ("done", "refused", "failed", "error")


def check(subject: Subject) -> Iterator[Problem]:
    """Look at the names of events, steps and tasks."""
    for place in subject.places:
        yield from _events(subject, place)
    yield from _steps(subject)
    yield from _tasks(subject)


def _events(subject: Subject, place: Place) -> Iterator[Problem]:
    spec = place.spec
    named: list[tuple[YamlPath, str]] = [(place.at("timers", name), name) for name in spec.timers]
    named += [(place.at("signals", n), name) for n, name in enumerate(spec.signals)]
    outcomes = spec.task.outcomes if spec.task else ()
    named += [(place.at("task", "outcomes", n), name) for n, name in enumerate(outcomes)]
    for path, name in named:
        if name in RESERVED:
            text = f"{name!r} is an event of the engine"
            yield subject.problem("E-NAME-RESERVED", path, text, "rename it")
    counted = Counter([name for _, name in named] + list(VERDICTS if spec.verify else ()))
    for path, name in named:
        if counted[name] > 1 and name not in RESERVED:
            counted[name] = 0
            text = f"this state has more than one event {name!r}"
            yield subject.problem("E-NAME-TWICE", path, text, "rename one")


def _steps(subject: Subject) -> Iterator[Problem]:
    first: dict[str, tuple[str, YamlPath]] = {}
    for place in subject.places:
        for number, step in enumerate(place.spec.steps or ()):
            if step.id is None:
                continue
            path = place.at("steps", number, "id")
            use, before = first.setdefault(step.id, (step.use, path))
            same_state = before[:-2] == path[:-2] and before != path
            if use != step.use or same_state:
                text = f"there is another step {step.id!r} ({use})"
                yield subject.problem("E-NAME-TWICE", path, text, "rename one")


def _tasks(subject: Subject) -> Iterator[Problem]:
    first: dict[str, Place] = {}
    for place in subject.places:
        if place.spec.task is None:
            continue
        before = first.setdefault(place.name, place).spec.task
        if before is not None and before.form != place.spec.task.form:
            text = f"another state {place.name!r} has a task with another form"
            yield subject.problem("W-TASK-TWICE", place.path, text, "rename one")
