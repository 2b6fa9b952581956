"""`advance`: one event, then internal events until nothing moves. Pure: no clock, no I/O."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from waystage.errors import ExpressionError
from waystage.expressions.types import DYN, conform
from waystage.kernel import admission, incidents, migration, moves, pause, tasks, ticks, work
from waystage.kernel.commands import Command, Record
from waystage.kernel.definition import ROOT, Definition, Way
from waystage.kernel.events import Event
from waystage.kernel.macrostep import Macrostep, Raised
from waystage.kernel.run import Run
from waystage.kernel.values import value


@value()
class Step:
    """What an event led to."""

    run: Run
    commands: list[Command]
    records: list[Record]


def advance(definition: Definition, run: Run, event: Event, now: datetime) -> Step:
    """Give the run after the event, what the daemon must do, and what is to be remembered.

    An event of an earlier visit of its state, or for an ended run, moves nothing and is
    recorded as ignored. Errors in expressions park the state; nothing is raised for them.
    """
    m = Macrostep(definition, run.fork(), event, now)
    m.run.revision += 1
    if pause.holds(m, event):
        pause.hold(m, event)
    elif event.kind == pause.RESUME and run.status == "open":
        for kept in pause.resume(m, event):
            _play(m, kept)
    else:
        _play(m, event)
    return Step(m.run, m.commands, m.records)


def _play(m: Macrostep, event: Event) -> None:
    if m.run.status == "ended":
        m.record("ignored", event.state, event.name or event.kind, "the run has ended")
        return
    m.event, m.payload = event, event.data
    _dispatch(m, event)
    _settle(m)
    if len(m.run.regions) > 1:
        tasks.void_votes(m)
    if event.kind == "timer" and m.run.status == "open":
        ticks.rearm(m, event)


def _dispatch(m: Macrostep, event: Event) -> None:
    kind = event.kind
    if kind == "start":
        m.record("started", "", m.run.lifecycle, event.actor)
        moves.enter_region(m, ROOT)
    elif kind == "signal":
        _signal(m, event)
    elif kind.startswith("incident."):
        _repair(m, kind.partition(".")[2], event)
    elif kind == migration.MIGRATED:
        migration.migrate(m)
    elif kind == pause.PAUSE:
        pause.pause(m, event)
    elif not m.current(event.state, event.entry):
        m.record("ignored", event.state, event.name or kind, "the run has left that state")
    elif kind.startswith("step."):
        _step(m, kind, event)
    else:
        _visit(m, kind, event)


def _step(m: Macrostep, kind: str, event: Event) -> None:
    node, index, data = m.node(event.state), int(event.name), event.data
    activity = m.run.activities.get(event.state)
    if activity is None or not activity.get("busy") or activity["index"] != index:
        m.record("ignored", event.state, kind, "the answer is not waited for")
    elif kind == "step.done":
        work.step_done(m, node, index, data)
    elif kind == "step.refused":
        work.step_refused(m, node, index, data["why"], data["output"])
    elif kind == "step.failed":
        told = {name: data[name] for name in ("crashes", "after") if name in data}
        work.step_failed(m, node, index, data["error"], hopeless=data["hopeless"], **told)
    else:
        work.step_uncertain(m, node, index, data["error"])


def _visit(m: Macrostep, kind: str, event: Event) -> None:
    node = m.node(event.state)
    if kind == "stage" or event.name == admission.WINDOW:
        _stage(m, event)
    elif kind == "timer" and event.name.startswith("@"):
        if m.run.activities.get(event.state, {}).get("task"):
            tasks.alarm(m, node, event.name)
    elif kind == "timer":
        ticks.tick(m, event)
    elif kind == "lease":
        if event.state in m.run.waiting:
            moves.lease_granted(m, event.state)
    elif kind == "vote":
        if m.run.activities.get(event.state, {}).get("task"):
            tasks.vote(m, node, event.name, event.data, event.actor)
    elif kind.startswith("child"):
        _child(m, kind, event)
    else:
        m.record(event.name, event.state, event.actor, str(event.data.get("detail", "")))


def _stage(m: Macrostep, event: Event) -> None:
    node, data = m.node(event.state), event.data
    if not admission.asks(m, event.state):
        m.record("ignored", event.state, event.name, "the stage was not asked")
    elif event.name in ("open", "override"):
        admission.admit(m, node)
        work.begin_work(m, node, admitted=True)
    elif event.name == "closed":
        admission.wait(m, node, data["until"], data["why"])
    elif event.name == "unmet":
        admission.refuse(m, node, data["why"])
    else:
        admission.ask(m, node)


def _child(m: Macrostep, kind: str, event: Event) -> None:
    if not m.run.activities.get(event.state, {}).get("child"):
        m.record("ignored", event.state, kind, "no child is waited for")
    elif kind == "child":
        work.child_ended(m, m.node(event.state), event.name, event.data)
    else:
        work.child_lost(m, m.node(event.state), event.name, event.data["error"])


def _repair(m: Macrostep, kind: str, event: Event) -> None:
    if kind == "retry":
        incidents.retry(m, event.state)
    elif kind == "skip":
        incidents.skip(m, event.state)
    elif kind == "goto":
        incidents.goto(m, event.state)
    elif kind == "set":
        incidents.set_value(m)
    else:
        incidents.abort(m)


def _signal(m: Macrostep, event: Event) -> None:
    """Let every branch that listens answer; the state around them only if none of them does.

    All guards are asked before anything moves: no branch sees what another one sets.
    """
    chosen = _chosen(m, ROOT, event)
    if not chosen:
        m.record("ignored", "", event.name, "no state waits for this signal")
    for region, leaf, answer in chosen:
        raised = Raised(leaf, event.name, event.data)
        if isinstance(answer, ExpressionError):
            _park_event(m, leaf, raised, "guard", str(answer))
        else:
            _follow(m, region, raised, answer)


def _chosen(
    m: Macrostep, region: str, event: Event
) -> list[tuple[str, str, Way | ExpressionError]]:
    leaf = m.run.regions.get(region)
    if leaf is None:
        return []
    within = [each for b in m.node(leaf).branches for each in _chosen(m, b, event)]
    if within or not _listens(m, leaf, event.name):
        return within
    try:
        names = partial(m.environment, m.node(leaf))
        way = m.definition.machines[region].fire(leaf, event.name, names)
    except ExpressionError as error:
        return [(region, leaf, error)]
    return [] if way is None else [(region, leaf, way)]


def _follow(m: Macrostep, region: str, raised: Raised, way: Way) -> None:
    try:
        _take(m, region, raised.state, way)
    except ExpressionError as error:
        _park_event(m, raised.state, raised, "guard", str(error))


def _listens(m: Macrostep, leaf: str, name: str) -> bool:
    return any(name in node.spec.signals for node in m.definition.chain(leaf))


def _settle(m: Macrostep) -> None:
    while m.queue and m.run.status == "open":
        _answer(m, m.queue.popleft())


def _answer(m: Macrostep, raised: Raised) -> None:
    if raised.state not in m.run.entered:
        return
    m.payload = raised.payload
    region: str | None = m.node(raised.state).region
    while region is not None:
        leaf = m.run.regions[region]
        try:
            names = partial(m.environment, m.node(leaf))
            way = m.definition.machines[region].fire(leaf, raised.name, names)
            if way is not None and ticks.overlaps(m, raised.state, raised.name, way):
                m.record("skipped", way.target, raised.name, "it is still at work")
                return
            if way is not None:
                _take(m, region, leaf, way)
                return
        except ExpressionError as error:
            _park_event(m, leaf, raised, "guard", str(error))
            return
        region = _outer(m, region, raised)
    _unanswered(m, raised)


def _outer(m: Macrostep, region: str, raised: Raised) -> str | None:
    if region == ROOT or raised.name == "done":
        return None
    return m.node(region.rpartition(".")[0]).region


def _take(m: Macrostep, region: str, leaf: str, way: Way) -> None:
    environment = m.environment(m.node(leaf)) if way.set else {}
    types = m.definition.data_types
    for name, template in way.set:
        # YAML and JSON write 1 for 1.0, which expressions would not add to a double
        m.run.data[name] = conform(template.render(environment), types.get(name, DYN))
    m.record("moved", leaf, way.event, way.target)
    domain = m.definition.domain(way.source, way.target)
    moves.move(m, region, domain, way.target)


def _unanswered(m: Macrostep, raised: Raised) -> None:
    if raised.name == "failed":
        why = raised.payload
        text = f"{why.get('step', 'the step')}: {why.get('error', 'failed')}"
        if m.node(raised.state).spec.call:  # a new visit calls a new child
            m.park(raised.state, "failed", text, resume="reenter")
            return
        resume = {"index": why.get("index", 0), "undone": bool(why.get("undone"))}
        m.park(raised.state, "failed", text, resume="step", **resume)
    elif raised.name == "error":
        reasons = [m.run.monitors[name].get("reason", "") for name in raised.payload
                   if m.run.monitors[name]["verdict"] == "error"]  # fmt: skip
        m.park(raised.state, "error", "; ".join(reasons), resume="work")
    elif raised.name in m.node(raised.state).spec.timers and m.event.kind == "timer":
        m.record("ignored", raised.state, raised.name, "nothing answers this timer here")
    else:
        _park_event(m, raised.state, raised, "unhandled", f"nothing answers {raised.name!r}")


def _park_event(m: Macrostep, state: str, raised: Raised, kind: str, message: str) -> None:
    more = {"event": raised.name, "payload": raised.payload}
    text = f"{raised.name}: {message}" if kind == "guard" else message
    m.park(state, kind, text, resume="event", **more)
