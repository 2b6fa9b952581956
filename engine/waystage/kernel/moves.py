"""Leaving and entering states: timers, leases and work come and go with their state."""

from __future__ import annotations

from collections.abc import Sequence

from waystage.errors import ExpressionError
from waystage.kernel.commands import (
    AbortChild,
    CancelTimers,
    CloseIncident,
    CloseTask,
    DropWork,
    EndRun,
    FreeLease,
    SetTimer,
    TakeLease,
)
from waystage.kernel.definition import ROOT, Node
from waystage.kernel.macrostep import Macrostep
from waystage.kernel.pause import lift
from waystage.kernel.work import begin_work

HOP_LIMIT = 100


def move(m: Macrostep, region: str, domain: str | None, target: str) -> None:
    """Leave all below the domain in the region, then enter down to the target's leaf."""
    _leave_below(m, region, domain)
    rest = m.definition.leaf_of(target)
    m.run.regions[region] = rest
    lineage = m.definition.lineage(rest)
    start = lineage.index(domain) + 1 if domain else 0
    m.run.hops += 1
    if m.run.hops > HOP_LIMIT:
        enter_path(m, lineage[start:], begin=False)
        text = f"{HOP_LIMIT} transitions without a wait: the lifecycle goes in circles"
        m.park(rest, "endless", text, resume="work")
        return
    enter_path(m, lineage[start:])


def enter_region(m: Macrostep, region: str) -> None:
    """Enter a region at its initial state."""
    rest = m.definition.leaf_of(m.definition.region_initial[region])
    m.run.regions[region] = rest
    enter_path(m, m.definition.lineage(rest))


def enter_path(m: Macrostep, path: Sequence[str], *, begin: bool = True) -> None:
    """Enter states from the outside in; stop where a lease has to be waited for."""
    for position, state in enumerate(path):
        node = m.node(state)
        _enter(m, node)
        if node.lease is not None and _ask_lease(m, node):
            m.run.waiting[state] = list(path[position + 1 :])
            return
    if begin and path:
        _begin(m, m.node(path[-1]))


def lease_granted(m: Macrostep, state: str) -> None:
    """Go on entering where the wait for a lease stopped."""
    rest = m.run.waiting.pop(state)
    m.record("lease", state)
    _set_timers(m, m.node(state))
    if rest:
        enter_path(m, rest)
    else:
        _begin(m, m.node(state))


def leave(m: Macrostep, state: str) -> None:
    """Leave one state: its timers, task, work and lease end in the same transaction."""
    node = m.node(state)
    for branch in node.branches:
        _leave_below(m, branch, None)
        m.run.regions.pop(branch, None)
    entry = m.run.entered.pop(state)
    activity = m.run.activities.pop(state, None)
    # an answered task has no activity any more, but its reminders are still there
    if node.spec.timers or node.spec.task or (activity and "waits" in activity):
        m.order(CancelTimers(state))
    if activity is not None and activity.get("busy"):
        m.order(DropWork(state))
    if activity is not None and activity.get("task"):
        m.order(CloseTask(state, entry, "", m.event.actor))
    if activity is not None and activity.get("child"):
        m.order(AbortChild(state, entry))
    if node.lease is not None:
        m.run.waiting.pop(state, None)
        m.order(FreeLease(state))
    if state in m.run.incidents:
        del m.run.incidents[state]
        m.order(CloseIncident(state, "left", m.event.actor))


def end(m: Macrostep, outcome: str, *, aborted: str = "") -> None:
    """End the run: every state is left."""
    for region in list(m.run.regions):
        if region in m.run.regions:
            _leave_below(m, region, None)
    if m.run.paused:
        lift(m, m.event.actor)
    m.run.status, m.run.outcome = "ended", outcome
    m.record("ended", "", outcome)
    m.order(EndRun(outcome, aborted))


def _leave_below(m: Macrostep, region: str, domain: str | None) -> None:
    leaf = m.run.regions.get(region)
    if leaf is None:
        return
    for state in reversed(m.definition.lineage(leaf)):
        if state == domain:
            return
        if state in m.run.entered:
            leave(m, state)


def _enter(m: Macrostep, node: Node) -> None:
    m.run.entries += 1
    m.run.entered[node.path] = m.run.entries
    if node.lease is None:  # a state that needs a lease lives from the day that it has it
        _set_timers(m, node)


def _set_timers(m: Macrostep, node: Node) -> None:
    entry = m.run.entered[node.path]
    for name, timer in node.spec.timers.items():
        m.order(SetTimer(node.path, entry, name, timer))


def _ask_lease(m: Macrostep, node: Node) -> bool:
    assert node.lease is not None
    try:
        name = str(node.lease.render(m.environment(node)))
    except ExpressionError as error:
        m.park(node.path, "expression", f"lease: {error}", resume="reenter")
        return True
    m.order(TakeLease(node.path, m.run.entered[node.path], name))
    return True


def _begin(m: Macrostep, node: Node) -> None:
    if node.branches:
        for branch in node.branches:
            enter_region(m, branch)
    elif node.activity == "final":
        _finish(m, node)
    else:
        begin_work(m, node)


def _finish(m: Macrostep, node: Node) -> None:
    outcome = node.spec.outcome or "done"
    if node.parent is not None and node.region == ROOT:
        m.raise_(node.path, outcome)
    elif node.region == ROOT:
        end(m, outcome)
    elif node.parent == node.region:
        _join(m, node.region)
    else:
        m.raise_(node.path, outcome)


def _join(m: Macrostep, region: str) -> None:
    owner = region.rpartition(".")[0]
    finals = [m.node(m.run.regions[b]) for b in m.node(owner).branches if b in m.run.regions]
    if len(finals) < len(m.node(owner).branches) or not all(_at_end(n) for n in finals):
        return
    outcomes = [node.spec.outcome for node in finals if node.spec.outcome]
    m.raise_(owner, f"any_{outcomes[0]}" if outcomes else "done")


def _at_end(node: Node) -> bool:
    return node.activity == "final" and node.parent == node.region
