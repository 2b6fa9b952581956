"""Pausing a run: what happens meanwhile is kept in order, and played when the run goes on."""

from __future__ import annotations

from typing import Any

from waystage.kernel.commands import HoldWork, LetWorkGo
from waystage.kernel.events import Event
from waystage.kernel.macrostep import Macrostep

PAUSE, RESUME = "pause", "resume"
# what a person does to a paused run, and what moves no state
PASSING = frozenset({PAUSE, RESUME, "incident.abort", "incident.set", "note", "migrated"})


def holds(m: Macrostep, event: Event) -> bool:
    """Whether the event waits until the run goes on."""
    return bool(m.run.paused) and event.kind not in PASSING


def hold(m: Macrostep, event: Event) -> None:
    """Keep the event."""
    m.run.held = [*m.run.held, {"actor": event.actor, "event": event.to_json()}]
    m.record("held", event.state, event.name or event.kind, "the run is paused")


def pause(m: Macrostep, event: Event) -> None:
    """Take no step from here on; a step that is being called is finished, its answer kept."""
    if m.run.paused:
        m.record("ignored", "", PAUSE, f"{m.run.paused['by']} has paused the run")
        return
    m.run.paused = paused(event.actor, event.data)
    m.order(HoldWork(event.actor, event.data["reason"]))
    m.record("paused", "", "", f"{event.actor}: {event.data['reason']}")


def resume(m: Macrostep, event: Event) -> list[Event]:
    """Go on; gives what was kept, in order."""
    if not m.run.paused:
        m.record("ignored", "", RESUME, "the run is not paused")
        return []
    m.record("resumed", "", "", f"{event.actor}: {event.data.get('reason', '')}".rstrip(": "))
    return lift(m, event.actor)


def lift(m: Macrostep, by: str) -> list[Event]:
    """End the pause of a run that goes on, or that is ended; gives what was kept."""
    if not m.run.paused:
        return []
    kept = [Event.from_json(each["event"], each["actor"]) for each in m.run.held]
    m.run.paused, m.run.held, m.run.hops = {}, [], 0
    m.order(LetWorkGo(by))
    return kept


def paused(by: str, data: dict[str, Any]) -> dict[str, Any]:
    """Give what a run knows of its pause; `all` if its whole lifecycle is paused."""
    return {"by": by, "reason": data["reason"]} | ({"all": True} if data.get("all") else {})
