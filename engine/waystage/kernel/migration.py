"""A run moves to another version of its lifecycle: one event, played under the new definition.

The event says everything: the hash that the run had and the one that it gets, the values that
change, and for each region that moves the leaf that it leaves and the state that it enters.
What does not move is not touched: entries, timers, leases and work go on. Only the votes of
open tasks are void, because what they were about has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from waystage.kernel import commands as c
from waystage.kernel.events import Event
from waystage.kernel.macrostep import Macrostep
from waystage.kernel.moves import enter_path
from waystage.kernel.tasks import void_votes

MIGRATED = "migrated"


@dataclass(frozen=True, slots=True)
class Shift:
    """One region moves: from the leaf that it rests in to a state of the new definition.

    `keep` is the innermost state around the leaf that is not left; empty if all are.
    """

    region: str
    leaf: str
    to: str
    keep: str = ""


@dataclass(frozen=True, slots=True)
class Migration:
    """How one run comes to the new definition."""

    before: str
    after: str
    shifts: tuple[Shift, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    def event(self, actor: str, reason: str = "") -> Event:
        """Give the event that `advance` takes together with the new definition."""
        told: dict[str, Any] = {"from": self.before, "to": self.after, "reason": reason}
        told["moves"] = [asdict(shift) for shift in self.shifts]
        told |= {"params": self.params, "data": self.data}
        return Event(MIGRATED, data=told, actor=actor)


def migrate(m: Macrostep) -> None:
    """Pin the run to the new definition; a migration that does not fit the run moves nothing."""
    data = m.event.data
    shifts = [Shift(**each) for each in data["moves"]]
    unfit = _unfit(m, data, shifts)
    if unfit:
        m.record("ignored", "", MIGRATED, unfit)
        return
    why = f"{m.event.actor}: {data.get('reason', '')}".rstrip(": ")
    m.record(MIGRATED, "", f"{data['from'][:12]} → {data['to'][:12]}", why)
    m.run.hops = 0
    for shift in shifts:
        _leave_region(m, shift.region, shift.keep)
    m.run.definition = m.definition.hash
    m.run.params = m.run.params | data["params"]
    m.run.data |= data["data"]
    m.order(c.Adopt(m.definition.hash))
    void_votes(m)
    for shift in shifts:
        _enter(m, shift)


def _unfit(m: Macrostep, data: dict[str, Any], shifts: list[Shift]) -> str:
    run, nodes = m.run, m.definition.nodes
    if (run.definition, m.definition.hash) != (data["from"], data["to"]):
        return "the run follows another definition"
    if run.paused:
        return "the run is paused"
    for shift in shifts:
        target = nodes.get(shift.to)
        if run.regions.get(shift.region) != shift.leaf:
            return f"the run has left {shift.leaf}"
        if target is None or target.region != shift.region:
            return f"there is no state {shift.to} to enter"
        rest = m.definition.lineage(m.definition.leaf_of(shift.to))
        if shift.keep and (shift.keep not in run.entered or shift.keep not in rest):
            return f"{shift.keep} cannot be kept"
    left = tuple(f"{shift.leaf}." for shift in shifts)
    for region, leaf in run.regions.items():
        stays = all(shift.region != region for shift in shifts) and not region.startswith(left)
        if stays and (leaf not in nodes or nodes[leaf].region != region or not nodes[leaf].leaf):
            return f"there is no state {leaf} any more"
    return ""


def _leave_region(m: Macrostep, region: str, keep: str) -> None:
    for state in _inside_out(region, m.run.regions[region]):
        if state == keep:
            return
        if state in m.run.entered:
            _leave(m, state)


def _inside_out(region: str, leaf: str) -> Iterator[str]:
    state = leaf
    while state and state != region:
        yield state
        state = state.rpartition(".")[0]


def _leave(m: Macrostep, state: str) -> None:
    """Leave a state that the new definition may not have: what it held is known by the run."""
    for inner in [r for r in m.run.regions if r and r.rpartition(".")[0] == state]:
        _leave_region(m, inner, "")
        del m.run.regions[inner]
    entry = m.run.entered.pop(state)
    activity = m.run.activities.pop(state, {})
    m.run.waiting.pop(state, None)
    m.order(c.CancelTimers(state))
    if activity.get("busy"):
        m.order(c.DropWork(state))
    if activity.get("task"):
        m.order(c.CloseTask(state, entry, "", m.event.actor))
    if activity.get("child"):
        m.order(c.AbortChild(state, entry))
    m.order(c.FreeLease(state))
    if m.run.incidents.pop(state, None) is not None:
        m.order(c.CloseIncident(state, "migrated", m.event.actor))


def _enter(m: Macrostep, shift: Shift) -> None:
    if m.run.status != "open" or shift.region not in m.run.regions:
        return
    rest = m.definition.leaf_of(shift.to)
    m.run.regions[shift.region] = rest
    lineage = m.definition.lineage(rest)
    start = lineage.index(shift.keep) + 1 if shift.keep else 0
    m.record("moved", shift.leaf, MIGRATED, shift.to)
    enter_path(m, lineage[start:])
