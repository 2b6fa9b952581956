"""What executable content comes to: the courses that it can take, each with its guard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scxml_chart import ERROR, Action, CannotSay, Differs
from scxml_values import condition, literal, translate

PROCESSORS = (None, "", "scxml", "http://www.w3.org/TR/scxml/#SCXMLEventProcessor")
DELAY = re.compile(r"^(\d*\.?\d+)(ms|s|m|h|)$")
UNIT = {"ms": 0.001, "s": 1.0, "": 0.001, "m": 60.0, "h": 3600.0}
ALWAYS, NEVER = ("true", "True"), ("false", "False")
UNSAID = {
    "script": "executable content: script",
    "foreach": "executable content: foreach",
    "cancel": "cancelling a delayed event by its id",
}


@dataclass(frozen=True)
class Course:
    """One way through executable content: when, what holds after it, what it raises and sends.

    `now` gives each variable that was written in terms of the values before.
    """

    guard: tuple[str, ...] = ()
    now: Mapping[str, str] = field(default_factory=dict)
    raises: tuple[str, ...] = ()
    sends: tuple[tuple[str, float], ...] = ()


def courses(actions: Iterable[Action], variables: Sequence[str]) -> list[Course]:
    """Give the courses in the order in which their guards are to be tried."""
    found = [Course()]
    for action in actions:
        found = [each for course in found for each in _after(action, course, variables)]
    return found


def is_timer(action: Action) -> bool:
    """Whether an action sends an event from outside, now or later."""
    return action.kind == "send" and action.attributes.get("target") != "#_internal"


def _after(action: Action, course: Course, variables: Sequence[str]) -> list[Course]:
    if action.kind == "if":
        return _branched(action, course, variables)
    if action.kind == "assign":
        return [_assigned(action, course, variables)]
    if action.kind == "raise":
        return [replace(course, raises=(*course.raises, action.attributes.get("event", "")))]
    if action.kind == "send":
        return [_sent(action, course)]
    raise CannotSay(UNSAID.get(action.kind, f"executable content: {action.kind}"))


def values(course: Course, variables: Sequence[str]) -> dict[str, str]:
    """Give each variable's value after the course."""
    return {name: course.now.get(name, f"data.{column(name)}") for name in variables}


def column(name: str) -> str:
    """Give a variable's name as our language spells names."""
    return re.sub(r"[^a-z0-9_]", "_", name.lower())


def _branched(action: Action, course: Course, variables: Sequence[str]) -> list[Course]:
    found: list[Course] = []
    for cond, inner in action.branches:
        guard = course.guard
        if cond is not None and cond.strip() in NEVER:
            continue
        if cond is not None and cond.strip() not in ALWAYS:
            guard = (*guard, condition(cond, values(course, variables)))
        led = [replace(course, guard=guard)]
        for each in inner:
            led = [one for before in led for one in _after(each, before, variables)]
        found += led
        if cond is None or cond.strip() in ALWAYS:
            return found
    return [*found, course]


def _assigned(action: Action, course: Course, variables: Sequence[str]) -> Course:
    name = action.attributes.get("location", "")
    if name not in variables:
        raise Differs(ERROR)
    text = action.attributes.get("expr", action.text)
    value = translate(text, values(course, variables))
    value = f"({value})" if " " in value and not value.startswith(("'", '"')) else value
    return replace(course, now={**course.now, name: value})


def _sent(action: Action, course: Course) -> Course:
    said = action.attributes
    if {"targetexpr", "typeexpr", "namelist", "idlocation"} & said.keys() or action.inside:
        raise CannotSay("data, an address or an id that goes along with a sent event")
    if said.get("type") not in PROCESSORS:
        raise CannotSay("sending by other event processors (basic HTTP)")
    event = said.get("event") or _constant(said.get("eventexpr"))
    if said.get("target") == "#_internal":
        return replace(course, raises=(*course.raises, event))
    if said.get("target"):
        raise CannotSay("sending to other sessions")
    delay = seconds(said.get("delay") or _constant(said.get("delayexpr", "'0s'")))
    return replace(course, sends=(*course.sends, (event, delay)))


def _constant(text: str | None) -> str:
    try:
        return str(literal(text or ""))
    except CannotSay as error:
        raise CannotSay("an event or a delay that is computed") from error


def seconds(text: str) -> float:
    """Give a delay of SCXML (CSS time) in seconds."""
    match = DELAY.match(text.strip())
    if match is None:
        raise CannotSay(f"the delay {text!r}")
    return float(match[1]) * UNIT[match[2]]


def in_order(now: Mapping[str, str]) -> dict[str, str]:
    """Order assignments so that none reads what one before it wrote: `set` goes one by one."""
    left, found = dict(now), {}
    while left:
        free = [
            name for name in left
            if not any(_reads(text, name) for other, text in left.items() if other != name)
        ]  # fmt: skip
        if not free:
            raise CannotSay("variables that are swapped in one go")
        # what no other reads may be written
        found[free[0]] = left.pop(free[0])
    return found


def _reads(text: str, name: str) -> bool:
    return re.search(rf"\bdata\.{re.escape(column(name))}\b", text) is not None
