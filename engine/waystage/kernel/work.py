"""The work of a state: steps in order with undoing, monitors in order, tasks, child runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from waystage.errors import ExpressionError
from waystage.kernel.admission import ask, must_ask
from waystage.kernel.commands import CloseIncident, DropWork, StartChild, StartStep
from waystage.kernel.definition import Node, Work
from waystage.kernel.judge import judge, window_at, worst
from waystage.kernel.macrostep import Macrostep
from waystage.kernel.tasks import open_task
from waystage.retry import RetryPolicy, next_try
from waystage.spec.lifecycle import Step

MONITOR_RETRY = RetryPolicy()
POISON = 3  # calls that killed who made them


def begin_work(m: Macrostep, node: Node, *, admitted: bool = False) -> None:
    """Start what the leaf is there for; what changes a stage asks it first."""
    if node.works and must_ask(node) and not admitted:
        ask(m, node)
    elif node.works:
        m.run.activities[node.path] = {"index": 0, "done": []}
        _go_on(m, node, 0)
    elif node.task is not None:
        m.run.hops = 0
        open_task(m, node)
    elif node.spec.verify:
        m.run.activities[node.path] = {"index": 0}
        _measure(m, node, 0)
    elif node.spec.call is not None:
        _call(m, node)
    else:
        m.run.hops = 0


def step_done(m: Macrostep, node: Node, index: int, output: dict[str, Any]) -> None:
    """Keep the output and go on with the next step, measurement or undoing."""
    _settle(m, node)
    activity = m.run.activities[node.path]
    if "undo" in activity:
        m.record("undone", node.path, node.works[index].spec.use)
        _undo_next(m, node)
    elif node.spec.verify:
        _measured(m, node, index, output)
    else:
        work = node.works[index]
        if work.spec.id:
            m.run.steps[work.spec.id] = output
        m.run.activities[node.path] = activity | {"done": [*activity["done"], index]}
        _go_on(m, node, index + 1)


def step_refused(m: Macrostep, node: Node, index: int, why: str, output: dict[str, Any]) -> None:
    """A business no: never retried. What is being undone may not be refused."""
    if "undo" in m.run.activities[node.path]:
        _give_up(m, node, index, f"refused: {why}")
        return
    _settle(m, node)
    use = node.works[index].spec.use if node.works else ""
    m.record("refused", node.path, use, why)
    m.raise_(node.path, "refused", {"why": why, "step": use, "output": output})


def step_failed(
    m: Macrostep, node: Node, index: int, error: str, *, hopeless: bool, crashes: int = 0,
    after: float = 0.0,
) -> None:  # fmt: skip
    """Try again while the policy allows it; then undo what was done and raise `failed`.

    What killed `POISON` processes is not called again until a person says so.
    """
    activity = m.run.activities[node.path]
    attempt = activity.get("attempt", 1)
    m.record("attempt", node.path, _use(m, node, index), f"try {attempt}: {error}")
    if crashes:
        crashes += activity.get("crashes", 0)
        activity = m.run.activities[node.path] = activity | {"crashes": crashes}
    if crashes >= POISON:
        _quarantine(m, node, index, f"{crashes} calls were cut off by a crash: {error}")
        return
    due = None if hopeless else _next_due(m, node, index, attempt, after)
    if due is not None:
        m.run.activities[node.path] = activity | {"attempt": attempt + 1}
        m.order(_order(m, node, index, due, attempt + 1))
        return
    _give_up(m, node, index, error)


def step_uncertain(m: Macrostep, node: Node, index: int, why: str) -> None:
    """Park the state: only a person can say whether the effect holds."""
    _unbusy(m, node)
    m.park(node.path, "uncertain", f"{_use(m, node, index)}: {why}", resume="step", index=index)


def _quarantine(m: Macrostep, node: Node, index: int, why: str) -> None:
    _unbusy(m, node)
    m.park(node.path, "poison", f"{_use(m, node, index)}: {why}", resume="step", index=index)


def resume_step(m: Macrostep, node: Node, index: int) -> None:
    """Call the step again after a person said so."""
    activity = m.run.activities[node.path]
    kept = {k: v for k, v in activity.items() if k not in ("attempt", "crashes")}
    m.run.activities[node.path] = kept
    _start(m, node, index, again=True)


def skip_step(m: Macrostep, node: Node, index: int) -> None:
    """Go on behind the step, with an empty output; what was not done is not undone later."""
    step_done(m, node, index, {} if node.works else {"insufficient": "skipped by a person"})
    activity = m.run.activities.get(node.path, {})
    if index in activity.get("done", ()):
        done = [each for each in activity["done"] if each != index]
        m.run.activities[node.path] = activity | {"done": done}


def _use(m: Macrostep, node: Node, index: int) -> str:
    if node.works:
        work = node.works[index]
        undo = "undo" in m.run.activities.get(node.path, {})
        return work.spec.undo.use if undo and work.spec.undo else work.spec.use
    return (node.spec.verify or ("",))[index]


def _settle(m: Macrostep, node: Node) -> None:
    _unbusy(m, node)
    incident = m.run.incidents.pop(node.path, None)
    if incident is not None:
        m.order(CloseIncident(node.path, "retried", m.event.actor))
        m.record("mended", node.path, incident["kind"])


def _unbusy(m: Macrostep, node: Node) -> None:
    m.order(DropWork(node.path))
    activity = m.run.activities[node.path]
    left_out = ("busy", "attempt", "started", "crashes")
    m.run.activities[node.path] = {k: v for k, v in activity.items() if k not in left_out}


def _go_on(m: Macrostep, node: Node, index: int) -> None:
    while index < len(node.works):
        work = node.works[index]
        try:
            if work.guard is None or _yes(m, node, work):
                break
        except ExpressionError as error:
            m.park(
                node.path,
                "expression",
                f"step {work.slot}: if: {error}",
                resume="step",
                index=index,
            )
            return
        m.record("skipped", node.path, work.spec.use)
        index += 1
    if index == len(node.works):
        m.raise_(node.path, "done")
    else:
        _start(m, node, index)


def _yes(m: Macrostep, node: Node, work: Work) -> bool:
    assert work.guard is not None
    answer = work.guard.evaluate(m.environment(node))
    if not isinstance(answer, bool):
        raise ExpressionError(f"`{work.guard.text}` gave {answer!r}, which is no yes or no")
    return answer


def _start(m: Macrostep, node: Node, index: int, *, again: bool = False) -> None:
    activity = m.run.activities[node.path]
    fresh = {"index": index, "busy": True, "started": m.now.isoformat()}
    m.run.activities[node.path] = activity | fresh
    if node.spec.verify:
        # fixed when the measurement is ordered: an answer after midnight is about the same window
        spec = m.definition.spec.monitors[node.spec.verify[index]]
        window = [instant.isoformat() for instant in window_at(spec.window, m.now)]
        m.run.activities[node.path] = m.run.activities[node.path] | {"window": window}
    try:
        order = _order(m, node, index, m.now, 1)
        m.order(replace(order, again=True) if again else order)
    except ExpressionError as error:
        _unbusy(m, node)
        m.park(
            node.path, "expression", f"{_use(m, node, index)}: {error}", resume="step", index=index
        )


def _order(m: Macrostep, node: Node, index: int, due: Any, attempt: int) -> StartStep:
    entry = m.run.entered[node.path]
    if node.spec.verify:
        name = node.spec.verify[index]
        config = _monitor_config(m, node, name)
        use = m.definition.spec.monitors[name].use
        key = f"{m.run.id}/{entry}/{name}"
        return StartStep(
            node.path, entry, index, key, use, config, due, attempt, "monitor", stage=node.stage
        )
    work = node.works[index]
    undo = "undo" in m.run.activities[node.path] and work.spec.undo is not None
    template, use, slot = (
        (work.undo, work.spec.undo.use, f"{work.slot}.undo")
        if (undo and work.spec.undo)
        else (work.config, work.spec.use, work.slot)
    )
    assert template is not None
    config = template.render({} if template.constant else m.environment(node))
    deadline = _deadline(m, node, index)
    return StartStep(
        node.path, entry, index, f"{m.run.id}/{entry}/{slot}", use, config, due, attempt,
        "undo" if undo else "step",
        _timeout(work.spec, due, deadline),
        deadline,
        node.stage,
    )  # fmt: skip


def _timeout(spec: Step, due: datetime, deadline: datetime | None) -> float | None:
    """Give how long one attempt may take, in seconds; at the deadline the last one ends too."""
    spans = [spec.timeout] if spec.timeout else []
    spans += [deadline - due] if deadline else []
    return max(min(spans), timedelta(milliseconds=1)).total_seconds() if spans else None


def _next_due(m: Macrostep, node: Node, index: int, attempt: int, after: float) -> Any:
    policy = node.works[index].spec.retry.policy() if node.works else MONITOR_RETRY
    started = type(m.now).fromisoformat(m.run.activities[node.path]["started"])
    key = f"{m.run.id}/{m.run.entered[node.path]}/{index}"
    wait = timedelta(seconds=after)
    due = next_try(policy, key=key, attempt=attempt, started=started, now=m.now, after=wait)
    deadline = _deadline(m, node, index)
    return None if due and deadline and due > deadline else due


def _deadline(m: Macrostep, node: Node, index: int) -> datetime | None:
    """Give until when all attempts together must have ended, from the first one on."""
    span = node.works[index].spec.deadline if node.works else None
    if span is None:
        return None
    return datetime.fromisoformat(m.run.activities[node.path]["started"]) + span


def _give_up(m: Macrostep, node: Node, index: int, error: str) -> None:
    activity = m.run.activities[node.path]
    _unbusy(m, node)
    if "undo" in activity:
        m.park(node.path, "undo", f"{_use(m, node, index)}: {error}", resume="step", index=index)
    elif node.spec.verify:
        _measured(m, node, index, {"error": error})
    elif any(node.works[done].undo for done in activity["done"]):
        m.run.activities[node.path] = m.run.activities[node.path] | {
            "undo": [i for i in activity["done"] if node.works[i].undo],
            "why": {"error": error, "step": node.works[index].spec.use, "index": index},
        }
        _undo_next(m, node)
    else:
        why = {"error": error, "step": node.works[index].spec.use, "index": index}
        m.raise_(node.path, "failed", why)


def _undo_next(m: Macrostep, node: Node) -> None:
    activity = m.run.activities[node.path]
    if not activity["undo"]:
        rest = {k: v for k, v in activity.items() if k not in ("undo", "why")}
        m.run.activities[node.path] = rest | {"undone": True}
        m.raise_(node.path, "failed", activity["why"] | {"undone": True})
        return
    *left, index = activity["undo"]
    m.run.activities[node.path] = activity | {"undo": left}
    _start(m, node, index)


def _monitor_config(m: Macrostep, node: Node, name: str) -> dict[str, Any]:
    spec = m.definition.spec.monitors[name]
    start, end = m.run.activities[node.path]["window"]
    kept = m.run.monitors.get(name, {}).get("kept")
    return {
        "with": spec.with_,
        "window": {"start": start, "end": end},
        "minimum": spec.minimum.model_dump(),
        "monitor": name,
        **({"kept": kept} if kept else {}),
    }


def _measure(m: Macrostep, node: Node, index: int) -> None:
    assert node.spec.verify
    if index < len(node.spec.verify):
        _start(m, node, index)
        return
    verdict = worst(m.run.monitors[name]["verdict"] for name in node.spec.verify)
    m.raise_(
        node.path, verdict, {name: m.run.monitors[name]["verdict"] for name in node.spec.verify}
    )


def _measured(m: Macrostep, node: Node, index: int, measurement: dict[str, Any]) -> None:
    assert node.spec.verify
    name = node.spec.verify[index]
    spec = m.definition.spec.monitors[name]
    window = m.run.activities[node.path]["window"]
    environment = m.environment(node)
    judged = judge(spec, measurement, m.run.monitors.get(name), window, environment, m.now)
    m.run.monitors[name] = judged
    value = judged.get("value")
    m.record(
        "measured",
        node.path,
        name,
        f"{judged['verdict']} {value:.6g}" if value is not None else judged["verdict"],
    )
    _measure(m, node, index + 1)


def _call(m: Macrostep, node: Node) -> None:
    assert node.spec.call is not None
    assert node.call is not None
    lifecycle, entry = node.spec.call.lifecycle, m.run.entered[node.path]
    try:
        params = node.call.render(m.environment(node))
    except ExpressionError as error:
        m.park(node.path, "expression", f"call: {error}", resume="work")
        return
    m.run.hops = 0
    m.run.activities[node.path] = {"child": True}
    m.record("called", node.path, lifecycle)
    m.order(StartChild(node.path, entry, lifecycle, params))


def child_ended(m: Macrostep, node: Node, outcome: str, data: dict[str, Any]) -> None:
    """The child's outcome is the state's event; `steps.<state>` tells of the child."""
    m.run.activities[node.path] = {}
    m.run.steps[node.name] = data
    m.record("child", node.path, outcome, str(data.get("run", "")))
    m.raise_(node.path, outcome, data)


def child_lost(m: Macrostep, node: Node, run: str, error: str) -> None:
    """Without a child the state has failed."""
    assert node.spec.call
    m.run.activities[node.path] = {}
    m.record("child", node.path, "lost", run)
    m.raise_(node.path, "failed", {"error": error, "step": node.spec.call.lifecycle})


__all__ = [
    "begin_work",
    "child_ended",
    "child_lost",
    "resume_step",
    "skip_step",
    "step_done",
    "step_failed",
    "step_refused",
    "step_uncertain",
]
