"""Events at the border of an activity: timers, signals, errors, reminders."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from waystage.bpmn import times
from waystage.bpmn.activities import Hands, people_of, signal_name
from waystage.bpmn.arrows import Arrow, Arrows, Box
from waystage.bpmn.graph import Graph
from waystage.bpmn.model import Node
from waystage.bpmn.report import YamlPath
from waystage.bpmn.text import slug, unused
from waystage.bpmn.variables import nodes_of
from waystage.spec.values import format_duration, parse_duration

RESERVED = ("done", "refused", "failed", "error", "ok", "warn", "insufficient", "breach")
STEPS = ("serviceTask", "scriptTask", "sendTask", "businessRuleTask", "task")
THROWN = ("error", "escalation", "cancel")
MOST_REMINDERS = 10


@dataclass
class Draft:
    """A state while it is made: its parts, and the arrows for each of its events."""

    body: dict[str, Any]
    events: dict[str, list[Arrow]] = field(default_factory=dict)
    path: YamlPath = ()

    def name(self, wanted: str) -> str:
        """Give a name for an event that no other of the state has."""
        taken = {*RESERVED, *self.events, *self.body.get("timers", {})}
        return unused(wanted, {*taken, *self.body.get("signals", [])})

    def timer(self, wanted: str, says: dict[str, Any]) -> str:
        """Add a timer; gives the name of its event."""
        name = self.name(wanted)
        self.body.setdefault("timers", {})[name] = says
        return name

    def signal(self, wanted: str) -> str:
        """Listen to a signal; gives the name of its event."""
        signals = self.body.setdefault("signals", [])
        if wanted in signals:
            return wanted
        name = wanted if wanted not in RESERVED else f"{wanted}_signal"
        signals.append(name)
        return name


def outcome_of(node: Node) -> str:
    """Give the outcome that an end event with an error, escalation or cancel stands for."""
    kind = node.trigger.kind
    name = slug(node.trigger.name or node.element.name, "stopped")
    if kind in ("cancel", "terminate"):
        name = f"{kind}ed" if kind == "cancel" else "terminated"
    return f"{name}_end" if name in RESERVED else name


class Borders:
    """Adds what the boundary events of an activity mean to its state."""

    def __init__(self, hands: Hands, arrows: Arrows, absorbed: set[str]) -> None:
        self._hands, self._arrows, self._absorbed = hands, arrows, absorbed

    def add(self, node: Node, draft: Draft, box: Box) -> None:
        """Add each boundary event of a node."""
        for event in box.graph.boundary.get(node.id, ()):
            kind = event.trigger.kind
            if kind == "compensate":
                continue  # told where its handler is undone
            if not box.graph.out[event.id]:
                self._nowhere(event, draft)
            elif not event.interrupting and kind != "error":
                self._beside(event, node, draft, box)
            elif kind == "timer":
                self._timer(event, draft, box)
            elif kind in ("message", "signal"):
                name = draft.signal(signal_name(self._hands, event))
                draft.events[name] = self._way(event, box)
            elif kind in THROWN:
                self._thrown(event, node, draft, box)
            else:
                what = f"its boundary event {event.element} ({kind}) has no like here"
                self._hands.by_hand(event, draft.path, what)

    def _way(self, event: Node, box: Box) -> list[Arrow]:
        return [a.behind(None, event.element) for a in self._arrows.out_of(event.id, box)]

    def _nowhere(self, event: Node, draft: Draft) -> None:
        caught = f"{event.trigger.kind} {event.trigger.name!r}".replace(" ''", "")
        self._hands.report.wrong(
            event.element, "W-BPMN-BOUNDARY",
            f"nobody handles the {caught} that is caught here: no flow leads on",
            "lead it to where it is handled",
        )  # fmt: skip
        what = f"{event.element} catches {caught} and leads nowhere: add its answer to next:"
        self._hands.by_hand(event, draft.path, what)

    def _timer(self, event: Node, draft: Draft, box: Box) -> None:
        timing = times.timing_of(event.trigger, once=True)
        name = draft.timer(slug(event.element.name, "overdue", before="after"), timing.says)
        draft.events[name] = self._way(event, box)
        told(self._hands, event, timing, (*draft.path, "timers", name))

    def _thrown(self, event: Node, node: Node, draft: Draft, box: Box) -> None:
        code = event.trigger.name
        wanted: list[str] = []
        if node.scope is not None:
            ends = [n for n in nodes_of(node.scope) if n.kind == "endEvent"]
            wanted = [
                outcome_of(n) for n in ends
                if n.trigger.kind == event.trigger.kind and (not code or n.trigger.name == code)
            ]  # fmt: skip
        elif node.kind == "callActivity" and code:
            wanted = [slug(code, "refused")]
        if event.trigger.kind == "error" and self._may_refuse(node):
            wanted.append("refused")
        if event.trigger.kind == "error" and not code and self._may_refuse(node):
            wanted.append("failed")
        new = [each for each in dict.fromkeys(wanted) if each not in draft.events]
        for outcome in new:
            draft.events[outcome] = self._way(event, box)
        if not new:
            what = f"{event.element} catches what nothing in {node.element} says here"
            self._hands.by_hand(event, draft.path, what)
        elif code and "refused" in new:
            self._hands.report.note(
                event.element, f"every refusal leads here, not only the error {code!r}"
            )

    def _may_refuse(self, node: Node) -> bool:
        inner = nodes_of(node.scope) if node.scope is not None else (node,)
        return any(each.kind in STEPS for each in inner)

    def _beside(self, event: Node, node: Node, draft: Draft, box: Box) -> None:
        """Make reminders and escalations of what goes beside a person's work."""
        path = reminder_path(box.graph, node, event)
        task = draft.body.get("task")
        timing = times.timing_of(event.trigger, once=True)
        if path is None or task is None or "after" not in timing.says:
            what = f"{event.element} goes on beside the activity; here that is branches:"
            self._hands.by_hand(event, draft.path, what)
            return
        asked = [each for each in path if each.kind == "userTask"]
        if asked:
            to = people_of(self._hands, asked[0], (), draft.path)
            task["escalate"] = {"after": timing.says["after"], "to": to}
        else:
            after = parse_duration(timing.says["after"])
            task["remind"] = task.get("remind", []) + _repeated(after, timing.times)
        at = (*draft.path, "task", "escalate" if asked else "remind")
        flows = [flow for each in (event, *path) for flow in box.graph.out[each.id]]
        for each in (event.element, *(n.element for n in path), *(f.element for f in flows)):
            self._hands.report.mapped(each, at)
        for told_ in path:
            self._hands.report.note(told_.element, "it reminds or escalates, which tasks do")


def _repeated(after: timedelta, often: int) -> list[str]:
    return [format_duration(after * n) for n in range(1, min(often or 1, MOST_REMINDERS) + 1)]


def reminder_path(graph: Graph, node: Node, event: Node) -> list[Node] | None:
    """Give the nodes behind a timer that only tells people something; None if it does more."""
    if node.kind not in ("userTask", "manualTask") or event.trigger.kind != "timer":
        return None
    found: list[Node] = []
    at = event
    while len(graph.out[at.id]) == 1:
        at = graph.nodes[graph.out[at.id][0].target]
        people = sum(each.kind == "userTask" for each in (*found, at))
        fits = at.kind in ("serviceTask", "sendTask", "userTask", "endEvent", "scriptTask")
        plain = at.kind != "endEvent" or at.trigger.kind == "none"
        alone = len(graph.into[at.id]) == 1 and not graph.boundary.get(at.id)
        if not (fits and plain and alone) or people > 1 or at in found:
            return None
        found.append(at)
    return found if found and found[-1].kind == "endEvent" and len(found) < 4 else None


def absorbed_of(graph: Graph) -> set[str]:
    """Give the nodes that become part of another's state: what reminds people."""
    found: set[str] = set()
    for host, events in graph.boundary.items():
        for event in events:
            timing = times.timing_of(event.trigger, once=True)
            if host in graph.nodes and not event.interrupting and "after" in timing.says:
                path = reminder_path(graph, graph.nodes[host], event)
                found |= {each.id for each in path or ()}
    return found


def told(hands: Hands, node: Node, timing: times.Timing, path: YamlPath) -> None:
    """Say of a timer what a person must do, and what is worth knowing."""
    if timing.hand:
        hands.by_hand(node, path, f"timer {node.trigger.text!r}: {timing.hand}")
    if timing.note:
        hands.report.note(node.element, timing.note)
