"""The account of an import: every BPMN element once, and what was wrong in the original."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from waystage.bpmn.model import Element
from waystage.bpmn.text import one_line
from waystage.bpmn.xml import Spot

YamlPath: TypeAlias = tuple[str | int, ...]
State: TypeAlias = Literal["mapped", "hand", "left"]


@dataclass(slots=True)
class Entry:
    """One element: what became of it, what a person must do, what is worth knowing."""

    element: Element
    became: list[str] = field(default_factory=list)
    hands: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def state(self) -> State:
        """Whether it was mapped, needs a hand, or was left out with a reason."""
        return "hand" if self.hands else "mapped" if self.became else "left"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong in the original, or that `validate` says of what came of it."""

    line: int
    column: int
    element: str
    code: str
    message: str
    hint: str = ""
    yaml: str = ""
    error: bool = True


class Report:
    """Collects what happens to each element."""

    def __init__(self, elements: Iterable[Element]) -> None:
        found = sorted(elements, key=lambda each: (each.spot.line, each.spot.column))
        self.entries = {each.id: Entry(each) for each in found}
        self.findings: list[Finding] = []
        self.unmapped: set[str] = set()
        self.origins: dict[YamlPath, Element] = {}

    def mapped(self, element: Element, path: YamlPath, note: str = "") -> None:
        """Say where an element is in the lifecycle."""
        entry = self._entry(element)
        shown = ".".join(str(part) for part in path)
        if shown not in entry.became:
            entry.became.append(shown)
        if note and note not in entry.notes:
            entry.notes.append(note)
        self.origins.setdefault(path, element)

    def hand(self, element: Element, what: str) -> None:
        """Say what a person must do about an element."""
        entry = self._entry(element)
        if what not in entry.hands:
            entry.hands.append(one_line(what, 400))

    def note(self, element: Element, what: str) -> None:
        """Say what is worth knowing, and why nothing came of an element."""
        entry = self._entry(element)
        if what not in entry.notes:
            entry.notes.append(one_line(what, 400))

    def wrong(
        self, element: Element, code: str, message: str, hint: str = "", spot: Spot | None = None
    ) -> None:
        """Say what was wrong in the original."""
        at = spot or element.spot
        self.findings.append(Finding(at.line, at.column, str(element), code, message, hint))

    def _entry(self, element: Element) -> Entry:
        """Give the entry; a gateway that is only implied counts as its activity."""
        known = self.entries.get(element.id) or self.entries.get(element.id.removesuffix("/out"))
        return known if known is not None else Entry(element)

    def origin(self, path: YamlPath) -> Element | None:
        """Give the element from which a part of the lifecycle came: the nearest around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return None

    @property
    def counts(self) -> dict[str, int]:
        """Give how many elements were mapped, need a hand, were left; and how much was wrong."""
        states = [entry.state for entry in self.entries.values()]
        found = {state: states.count(state) for state in ("mapped", "hand", "left")}
        return {"elements": len(states), **found, "wrong": len(self.findings)}

    def as_json(self) -> dict[str, Any]:
        """Give everything for programs."""
        return {
            "counts": self.counts,
            "elements": [
                {"line": e.element.spot.line, "column": e.element.spot.column,
                 "kind": e.element.kind, "id": e.element.id, "name": e.element.name,
                 "state": e.state, "became": e.became, "hands": e.hands, "notes": e.notes}
                for e in self.entries.values()
            ],
            "wrong": [asdict(each) for each in self.findings],
        }  # fmt: skip
