"""Everything in a lifecycle that is an expression or may hold some: where, and what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from waystage.check.places import Place, YamlPath
from waystage.check.subject import Subject
from waystage.expressions import BadExpression, Template, compile_template
from waystage.expressions.template import split


@dataclass(frozen=True)
class Condition:
    """An `if`; `place` is the state that it is asked in, if there is a run yet."""

    path: YamlPath
    text: str
    place: Place | None


@dataclass(frozen=True)
class Text:
    """A value with `{{ expressions }}` in it."""

    path: YamlPath
    value: Any
    place: Place | None


def conditions(subject: Subject) -> Iterator[Condition]:
    """Give every `if`."""
    for number, trigger in enumerate(subject.spec.start):
        if trigger.if_ is not None:
            yield Condition(("start", number, "if"), trigger.if_, None)
    for place in subject.places:
        for number, step in enumerate(place.spec.steps or ()):
            if step.if_ is not None:
                yield Condition(place.at("steps", number, "if"), step.if_, place)
        for event, arrows in place.spec.next.items():
            for number, arrow in enumerate(arrows):
                if arrow.if_ is not None:
                    yield Condition(place.at("next", event, number, "if"), arrow.if_, place)


def texts(subject: Subject) -> Iterator[Text]:
    """Give every value that is rendered while a run goes on."""
    for name, monitor in subject.spec.monitors.items():
        for level in ("warn", "breach"):
            if threshold := getattr(monitor, level):
                for side in ("below", "above", "clear"):
                    yield Text(("monitors", name, level, side), getattr(threshold, side), None)
    for place in subject.places:
        yield from _of_state(place)


def _of_state(place: Place) -> Iterator[Text]:
    spec = place.spec
    if spec.lease:
        yield Text(place.at("lease"), spec.lease, place)
    if spec.task:
        for key in ("title", "text", "for", "exclude", "required"):
            value = getattr(spec.task, "for_" if key == "for" else key)
            yield Text(place.at("task", key), value, place)
    for number, step in enumerate(spec.steps or ()):
        yield Text(place.at("steps", number, "with"), step.with_, place)
        if step.undo:
            yield Text(place.at("steps", number, "undo", "with"), step.undo.with_, place)
    if spec.call:
        yield Text(place.at("call", "with"), spec.call.with_, place)
    for event, arrows in spec.next.items():
        for number, arrow in enumerate(arrows):
            if arrow.set:
                yield Text(place.at("next", event, number, "set"), arrow.set, place)


def never_rendered(subject: Subject) -> Iterator[Text]:
    """Give the settings that are used as they are written."""
    for name, monitor in subject.spec.monitors.items():
        yield Text(("monitors", name, "with"), monitor.with_, None)


def compiled(value: Any) -> Template:
    """Compile a value with expressions in it; several checks ask for the same ones."""
    return _compiled(value) if isinstance(value, str) else compile_template(value)


_compiled = lru_cache(maxsize=16_384)(compile_template)


def is_whole(value: Any) -> bool:
    """Whether a text is one expression and nothing else, so that its value keeps its type."""
    if not isinstance(value, str) or "{{" not in value:
        return False
    try:
        parts = split(value)
    except BadExpression:  # which is told where expressions are read
        return False
    return len(parts) == 1 and not isinstance(parts[0], str)
