"""An SCXML document as a tree: states, transitions, what is done on entry and exit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

STATES = ("state", "parallel", "final")
IN = "In(): a guard that asks which state another branch is in"
ASSIGNMENT = re.compile(r"(\w+)\s*([-+*]?)=\s*([^=].*)", re.DOTALL)
SYSTEM = re.compile(r"\b_(event|sessionid|name|ioprocessors|x)\b")
SYSTEMS = "system variables of SCXML: _event, _sessionid, _name, _ioprocessors"
ERROR = "an error parks the run; SCXML makes it an event, and takes a guard with one as false"
NAMED = {
    "invoke": "invoke: a child session in place, with SCXML inside",
}


class CannotSay(Exception):
    """Our language has no word for this; the text is the reason."""


class Differs(Exception):
    """Our language says something else here on purpose; the text is the reason."""


@dataclass(frozen=True)
class Action:
    """One piece of executable content: assign, raise, send, if, cancel, script, foreach."""

    kind: str
    attributes: dict[str, str]
    branches: tuple[tuple[str | None, tuple[Action, ...]], ...] = ()  # of an `if`
    text: str = ""
    inside: tuple[str, ...] = ()  # the tags of its children, but for an `if`


@dataclass(eq=False)
class Transition:
    """One arrow; it has no event if it is to be taken as soon as it can be."""

    source: Node
    events: tuple[str, ...]
    cond: str | None
    targets: tuple[str, ...]
    internal: bool
    actions: tuple[Action, ...]


@dataclass(eq=False)
class Node:
    """One state."""

    id: str
    kind: str  # state, parallel, final, or scxml for the root
    parent: Node | None
    order: int
    children: list[Node] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    initial: tuple[str, ...] = ()
    initial_actions: tuple[Action, ...] = ()
    onentry: tuple[Action, ...] = ()
    onexit: tuple[Action, ...] = ()

    def ancestors(self) -> Iterator[Node]:
        """Give the states around it, the nearest first, the root last."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def below(self) -> Iterator[Node]:
        """Give all states inside of it in document order, itself first."""
        yield self
        for child in self.children:
            yield from child.below()

    def is_in(self, other: Node) -> bool:
        """Whether it is the other state or lies in it."""
        return other is self or other in self.ancestors()


@dataclass(eq=False)
class History:
    """A history state: what it remembers of its parent, and where it leads the first time."""

    id: str
    parent: Node
    deep: bool
    default: Transition | None


@dataclass
class Chart:
    """A whole document."""

    root: Node
    nodes: dict[str, Node]
    data: dict[str, str | None]
    histories: dict[str, History]
    odd: tuple[str, ...]  # why parts of it cannot be said, whatever the rest is


def read_chart(text: str) -> Chart:
    """Read a document; raises `CannotSay` if it is none."""
    try:
        top = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise CannotSay(f"not well-formed XML: {error}") from error
    return _Reader().read(top)


class _Reader:
    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.data: dict[str, str | None] = {}
        self.histories: dict[str, History] = {}
        self.odd: list[str] = []

    def read(self, top: ElementTree.Element) -> Chart:
        root = Node("", "scxml", None, 0, initial=_words(top, "initial"))
        self._fill(root, top)
        texts = [t for e in top.iter() if _tag(e) != "log" for t in e.attrib.values()]
        texts += [e.text or "" for e in top.iter() if _tag(e) == "script"]
        if any(SYSTEM.search(text) for text in texts):
            self.odd.append(SYSTEMS)
        if top.get("binding") == "late":
            self.odd.append("late binding of variables")
        return Chart(root, self.nodes, self.data, self.histories, tuple(dict.fromkeys(self.odd)))

    def _fill(self, node: Node, element: ElementTree.Element) -> None:
        entry: list[Action] = []
        leaving: list[Action] = []
        for child in element:
            tag = _tag(child)
            if tag in STATES:
                self._state(node, child, tag)
            elif tag == "transition":
                if re.search(r"\bIn\(", child.get("cond", "")):
                    self.odd.append(IN)
                node.transitions.append(_transition(node, child))
            elif tag == "onentry":
                entry += _actions(child)
            elif tag == "onexit":
                leaving += _actions(child)
            elif tag == "initial":
                arrow = next(each for each in child if _tag(each) == "transition")
                node.initial, node.initial_actions = _words(arrow, "target"), _actions(arrow)
            elif tag == "history":
                self._history(node, child)
            elif tag == "donedata":
                self.odd.append("data that goes along with the end of a state")
            elif tag == "datamodel":
                self._data(child)
            elif tag in NAMED:
                self.odd.append(NAMED[tag])
            elif tag == "script":
                self.odd.append("executable content: script")
        node.onentry, node.onexit = tuple(entry), tuple(leaving)

    def _state(self, parent: Node, element: ElementTree.Element, tag: str) -> None:
        number = len(self.nodes) + 1
        name = element.get("id") or f"unnamed {number}"
        node = Node(name, tag, parent, number, initial=_words(element, "initial"))
        parent.children.append(node)
        self.nodes[name] = node
        self._fill(node, element)

    def _history(self, parent: Node, element: ElementTree.Element) -> None:
        found = [_transition(parent, each) for each in element if _tag(each) == "transition"]
        name, deep = element.get("id", ""), element.get("type") == "deep"
        self.histories[name] = History(name, parent, deep, found[0] if found else None)

    def _data(self, element: ElementTree.Element) -> None:
        for child in element:
            if _tag(child) != "data":
                continue
            if child.get("src") is not None:
                self.odd.append("data from a file")
            inner = "".join(child.itertext()).strip()
            self.data[child.get("id", "")] = child.get("expr") or inner or None


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _words(element: ElementTree.Element, name: str) -> tuple[str, ...]:
    return tuple((element.get(name) or "").split())


def _transition(node: Node, element: ElementTree.Element) -> Transition:
    internal = element.get("type") == "internal"
    events, targets = _words(element, "event"), _words(element, "target")
    return Transition(node, events, element.get("cond"), targets, internal, _actions(element))


def _actions(element: ElementTree.Element) -> tuple[Action, ...]:
    found = (action for child in element if _tag(child) for action in _action(child))
    return tuple(found)


def _action(element: ElementTree.Element) -> list[Action]:
    tag = _tag(element)
    if tag == "log":
        return []  # a log moves nothing
    if tag == "if":
        return [Action("if", {}, tuple(_branches(element)))]
    if tag == "script" and (assigned := _assignments(element.text or "")):
        return assigned
    inside = tuple(_tag(child) for child in element)
    return [Action(tag, dict(element.attrib), (), (element.text or "").strip(), inside)]


def _assignments(script: str) -> list[Action]:
    """Give what a script assigns, nothing if it does anything else."""
    lines = [line.strip() for line in script.split(";") if line.strip()]
    found = [ASSIGNMENT.fullmatch(line) for line in lines]
    return [
        Action("assign", {"location": m[1], "expr": f"{m[1]} {m[2]} ({m[3]})" if m[2] else m[3]})
        for m in found
        if m is not None and None not in found
    ]


def _branches(element: ElementTree.Element) -> Iterator[tuple[str | None, tuple[Action, ...]]]:
    condition: str | None = element.get("cond")
    found: list[Action] = []
    for child in element:
        tag = _tag(child)
        if tag in ("elseif", "else"):
            yield condition, tuple(found)
            condition, found = child.get("cond") if tag == "elseif" else None, []
        elif tag:
            found += _action(child)
    yield condition, tuple(found)
