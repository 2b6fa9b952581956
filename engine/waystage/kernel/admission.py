"""Asking the stage before a state changes it: its windows, its conditions, a person's override.

Only the beginning of a state is asked about; what has begun is finished.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from waystage.kernel.commands import AskStage, CancelTimers, SetTimer
from waystage.kernel.definition import Node
from waystage.kernel.macrostep import Macrostep

WINDOW = "@window"
FAR = datetime(9999, 12, 31, tzinfo=UTC)  # a line that was stopped has no end that is known


def must_ask(node: Node) -> bool:
    """Whether the state changes a stage."""
    return bool(node.stage) and node.change != "none"


def ask(m: Macrostep, node: Node) -> None:
    """Ask the stage, for the first time or once more."""
    waits = m.run.activities.get(node.path, {}).get("waits")
    m.run.activities[node.path] = {"asks": True} | ({"waits": waits} if waits else {})
    m.order(AskStage(node.path, m.run.entered[node.path], node.stage, node.change))


def asks(m: Macrostep, state: str) -> bool:
    """Whether the state waits for its stage's answer."""
    return bool(m.run.activities.get(state, {}).get("asks"))


def wait(m: Macrostep, node: Node, until: str | None, why: str) -> None:
    """Wait until the stage is open; how long and why is kept with the timer."""
    waits = {"stage": node.stage, "until": until, "why": why}
    if m.run.activities[node.path].get("waits") != waits:
        m.record("waits", node.path, node.stage, f"until {until or 'it is opened'}: {why}")
    m.run.activities[node.path] = {"asks": True, "waits": waits}
    due = datetime.fromisoformat(until) if until else FAR
    entry = m.run.entered[node.path]
    m.order(SetTimer(node.path, entry, WINDOW, None, due, waits))


def admit(m: Macrostep, node: Node) -> None:
    """End the waiting."""
    if "waits" in m.run.activities[node.path]:
        m.order(CancelTimers(node.path, WINDOW))
        m.record("admitted", node.path, node.stage, _who(m))
    m.run.activities[node.path] = {}


def refuse(m: Macrostep, node: Node, why: str) -> None:
    """The snapshot is not what the stage asks for."""
    admit(m, node)
    m.record("refused", node.path, node.stage, why)
    told: dict[str, Any] = {"why": why, "step": f"stage {node.stage}", "output": {}}
    m.raise_(node.path, "refused", told)


def _who(m: Macrostep) -> str:
    reason = m.event.data.get("reason", "")
    return f"{m.event.actor} overrides: {reason}" if m.event.name == "override" else ""
