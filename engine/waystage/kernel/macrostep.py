"""The working state of one `advance`: the new run, what is ordered, what is recorded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from waystage.kernel.commands import Command, OpenIncident, Record
from waystage.kernel.definition import Definition, Node
from waystage.kernel.events import Event
from waystage.kernel.judge import is_stale
from waystage.kernel.run import Run


@dataclass(slots=True)
class Raised:
    """An internal event: a state's work ended, a timer fired, a signal came."""

    state: str
    name: str
    payload: dict[str, Any]


@dataclass(slots=True)
class Macrostep:
    """Everything that one event sets in motion until nothing moves."""

    definition: Definition
    run: Run
    event: Event
    now: datetime
    commands: list[Command] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    queue: deque[Raised] = field(default_factory=deque)
    _environment: dict[str, Any] | None = None
    payload: dict[str, Any] = field(default_factory=dict)

    def order(self, command: Command) -> None:
        """Have the daemon do this in the same transaction."""
        self.commands.append(command)

    def record(self, what: str, state: str = "", name: str = "", detail: str = "") -> None:
        """Add a line to the history."""
        self.records.append(Record(what, state, name, detail))

    def raise_(self, state: str, name: str, payload: dict[str, Any] | None = None) -> None:
        """Queue an internal event."""
        self.queue.append(Raised(state, name, payload or {}))

    def node(self, path: str) -> Node:
        """Give the node of a state."""
        return self.definition.nodes[path]

    def current(self, state: str, entry: int) -> bool:
        """Whether the run is still in that visit of the state."""
        return self.run.entered.get(state) == entry

    def environment(self, node: Node, **more: Any) -> dict[str, Any]:
        """Give the names that expressions of the node may use."""
        run = self.run
        return {
            "params": run.params,
            "data": run.data,
            "snapshot": run.snapshot,
            "service": run.service,
            "stage": node.stage,
            "steps": run.steps,
            "tasks": run.tasks,
            "monitors": self._monitors(),
            "event": {"name": self.event.name, "actor": self.event.actor, "payload": self.payload},
            "run": {"id": run.id, "lifecycle": run.lifecycle, "starter": run.starter},
            "now": self.now,
            **more,
        }

    def _monitors(self) -> dict[str, Any]:
        """Give what is known of the monitors, and whether they have been without a verdict long."""
        specs = self.definition.spec.monitors
        return {
            name: memory | {"stale": name in specs and is_stale(specs[name], memory)}
            for name, memory in self.run.monitors.items()
        }

    def park(self, state: str, kind: str, message: str, **resume: Any) -> None:
        """Open an incident: the state stands still until a person mends it."""
        self.run.incidents[state] = {"kind": kind, "message": message, **resume}
        self.order(OpenIncident(state, kind, message, resume))
        self.record("incident", state, kind, message)
