"""What an operator may do about a parked state: retry, skip, goto, set, abort."""

from __future__ import annotations

from waystage.expressions.types import conform
from waystage.kernel.commands import CloseIncident
from waystage.kernel.definition import Node
from waystage.kernel.macrostep import Macrostep
from waystage.kernel.moves import end, enter_path, leave, move
from waystage.kernel.work import begin_work, resume_step, skip_step


def retry(m: Macrostep, state: str) -> None:
    """Try again what could not be done; the incident closes when it succeeds."""
    incident = m.run.incidents.get(state)
    if incident is None or state not in m.run.entered:
        m.record("ignored", state, "retry", "there is no incident")
        return
    m.record("retry", state, incident["kind"], _why(m))
    m.run.hops = 0
    node = m.node(state)
    resume = incident.get("resume")
    if resume == "step" and not incident.get("undone"):
        m.run.incidents[state] = incident | {"retrying": True}
        resume_step(m, node, incident["index"])
        return
    _close(m, state, "retried")
    if resume == "event":
        m.raise_(state, incident["event"], incident.get("payload") or {})
    elif resume == "work":
        begin_work(m, node)
    else:
        _reenter(m, node)


def skip(m: Macrostep, state: str) -> None:
    """Go on behind the failed step; the reason is recorded."""
    incident = m.run.incidents.get(state)
    if incident is None or incident.get("resume") != "step":
        m.record("ignored", state, "skip", "there is no step to skip")
        return
    m.record("skip", state, incident["kind"], _why(m))
    _close(m, state, "skipped")
    skip_step(m, m.node(state), incident["index"])


def goto(m: Macrostep, state: str) -> None:
    """Leave the parked state and enter another of the same region."""
    target = str(m.event.data.get("to", ""))
    node = m.definition.nodes.get(target)
    region = m.node(state).region
    if node is None or node.region != region or state not in m.run.entered:
        m.record("ignored", state, "goto", f"there is no state {target!r} to go to")
        return
    m.record("goto", state, target, _why(m))
    m.run.hops = 0
    shared = [
        a
        for a, b in zip(m.definition.lineage(state), m.definition.lineage(target), strict=False)
        if a == b
    ]
    domain = shared[-1] if shared and shared[-1] not in (state, target) else None
    move(m, region, domain, target)


def set_value(m: Macrostep) -> None:
    """Write variables; a name that the lifecycle does not declare is no variable."""
    types = m.definition.data_types
    given = m.event.data.get("values", {})
    unknown = [name for name in given if name not in types]
    if unknown:
        m.record("ignored", "", "set", f"there is no variable {', '.join(unknown)}")
        return
    m.run.data |= {name: conform(value, types[name]) for name, value in given.items()}
    m.record("set", "", ", ".join(given), _why(m))


def abort(m: Macrostep) -> None:
    """End the run where it stands."""
    m.record("abort", "", "", _why(m))
    end(m, "aborted", aborted=m.event.actor)


def _why(m: Macrostep) -> str:
    return f"{m.event.actor}: {m.event.data.get('reason', '')}".rstrip(": ")


def _close(m: Macrostep, state: str, how: str) -> None:
    del m.run.incidents[state]
    m.order(CloseIncident(state, how, m.event.actor, str(m.event.data.get("reason", ""))))


def _reenter(m: Macrostep, node: Node) -> None:
    leave(m, node.path)
    m.run.regions[node.region] = m.definition.leaf_of(node.path)
    lineage = m.definition.lineage(m.run.regions[node.region])
    enter_path(m, lineage[lineage.index(node.path) :])
