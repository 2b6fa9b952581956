"""BPMN 2.0 as frozen values: what a process says, with the place of every part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from waystage.bpmn.xml import Spot

NOWHERE = Spot(0, 0)
TriggerKind: TypeAlias = Literal[
    "none", "timer", "message", "signal", "error", "escalation", "terminate", "compensate",
    "conditional", "link", "cancel", "multiple",
]  # fmt: skip
Timing: TypeAlias = Literal["", "date", "duration", "cycle"]
Via: TypeAlias = Literal["delegate", "class", "expression", "topic", "type", "script", "name"]


@dataclass(frozen=True, slots=True)
class Element:
    """Anything that the report must account for."""

    kind: str
    id: str
    name: str
    spot: Spot

    def __str__(self) -> str:
        said = f" {self.name!r}" if self.name and self.name != self.id else ""
        return f"{self.kind}{said} ({self.id})" if self.id else f"{self.kind}{said}"


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event's definition: what it is, and whom or when it names."""

    kind: TriggerKind = "none"
    name: str = ""
    timing: Timing = ""
    text: str = ""
    spot: Spot = NOWHERE


@dataclass(frozen=True, slots=True)
class Field:
    """A typed field of a form, as the dialects write them."""

    id: str
    type: str
    title: str
    spot: Spot
    required: bool = False
    writable: bool = True
    default: str = ""
    values: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class People:
    """Who is asked."""

    assignee: str = ""
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    due: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named value that goes into or comes out of an activity."""

    name: str
    value: str
    spot: Spot


@dataclass(frozen=True, slots=True)
class Work:
    """What a service, script, send or rule task calls."""

    via: Via = "name"
    text: str = ""
    script: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True)
class Loop:
    """How often an activity is done."""

    spot: Spot
    standard: bool = False
    sequential: bool = False
    cardinality: str = ""
    collection: str = ""
    completion: str = ""


@dataclass(frozen=True, slots=True)
class Extra:
    """Something that has no place in a lifecycle; it is told, never dropped.

    What is not `needed` changes nothing of what the process does.
    """

    what: str
    spot: Spot
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Node:
    """An activity, an event or a gateway."""

    element: Element
    documentation: str = ""
    trigger: Trigger = Trigger()
    attached: str = ""
    interrupting: bool = True
    default: str = ""
    people: People = People()
    form: tuple[Field, ...] = ()
    form_key: str = ""
    work: Work = Work()
    inputs: tuple[Parameter, ...] = ()
    outputs: tuple[Parameter, ...] = ()
    loop: Loop | None = None
    retry: str = ""
    called: str = ""
    scope: Scope | None = None
    by_event: bool = False
    compensates: bool = False
    extras: tuple[Extra, ...] = ()

    @property
    def id(self) -> str:
        """The element's id."""
        return self.element.id

    @property
    def kind(self) -> str:
        """The element's name in BPMN, such as `userTask`."""
        return self.element.kind


@dataclass(frozen=True, slots=True)
class Flow:
    """A sequence flow with its condition."""

    element: Element
    source: str
    target: str
    condition: str = ""
    language: str = ""
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """A data object or property: a typed value of the process."""

    element: Element
    name: str
    type: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """Who does what, as a hint."""

    element: Element
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Scope:
    """What stands directly inside of a process or a sub-process."""

    nodes: tuple[Node, ...] = ()
    flows: tuple[Flow, ...] = ()
    variables: tuple[Variable, ...] = ()
    lanes: tuple[Lane, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    aside: tuple[Element, ...] = ()


@dataclass(frozen=True, slots=True)
class Process:
    """The process that is imported, and what stands beside it in the file."""

    element: Element
    scope: Scope
    documentation: str = ""
    extras: tuple[Extra, ...] = ()
    names: tuple[Element, ...] = ()
    aside: tuple[tuple[Element, str], ...] = ()
    dialect: str = ""


ACTIVITIES = frozenset({
    "task", "userTask", "manualTask", "serviceTask", "scriptTask", "sendTask", "receiveTask",
    "businessRuleTask", "callActivity", "subProcess", "transaction", "adHocSubProcess",
})  # fmt: skip
GATEWAYS = frozenset({
    "exclusiveGateway", "parallelGateway", "inclusiveGateway", "eventBasedGateway",
    "complexGateway",
})  # fmt: skip
EVENTS = frozenset({
    "startEvent", "endEvent", "intermediateCatchEvent", "intermediateThrowEvent", "boundaryEvent",
})  # fmt: skip
NODES = ACTIVITIES | GATEWAYS | EVENTS
