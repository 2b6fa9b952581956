"""What is done in a state: people's tasks, steps, waiting, ends, calls, choices."""

from __future__ import annotations

from typing import Any

from waystage.bpmn import times
from waystage.bpmn.activities import Hands, signal_name, step_of, task_of
from waystage.bpmn.arrows import Arrow, Arrows, Box
from waystage.bpmn.borders import STEPS, Draft, outcome_of, told
from waystage.bpmn.folding import Folded, fold
from waystage.bpmn.model import Lane, Node, Scope
from waystage.bpmn.report import YamlPath
from waystage.bpmn.text import one_line, slug
from waystage.bpmn.variables import scopes_of

NOW = "PT0S"


def handled(node: Node) -> bool:
    """Whether a sub-process begins with an event that interrupts what it stands in."""
    starts = [n for n in node.scope.nodes if n.kind == "startEvent"] if node.scope else []
    kinds = ("timer", "message", "signal", "error")
    return (
        node.by_event and len(starts) == 1
        and starts[0].interrupting and starts[0].trigger.kind in kinds
    )  # fmt: skip


class Doing:
    """Writes the activity of a state, and the arrows of its own events."""

    def __init__(self, hands: Hands, arrows: Arrows, names: dict[str, str], root: Scope) -> None:
        self._hands, self._arrows, self._names = hands, arrows, names
        self._links = [link for scope in scopes_of(root) for link in scope.links]
        self.lanes: tuple[Lane, ...] = root.lanes

    def add(self, node: Node, draft: Draft, box: Box) -> None:
        """Write what is done in the state of a node; a choice where it is a gateway."""
        kind = node.kind
        asks = kind == "task" and bool(node.people.groups or node.people.users or node.form)
        if kind in ("userTask", "manualTask") or asks:
            self._task(node, draft, box)
        elif kind in STEPS or kind == "intermediateThrowEvent":
            self._steps(node, draft, box)
            draft.events["done"] = self._arrows.out_of(node.id, box)
        elif kind in ("intermediateCatchEvent", "receiveTask"):
            draft.body["wait"] = True
            self._caught(node, node, draft, box)
        elif kind == "eventBasedGateway":
            self._first_of(node, draft, box)
        elif kind == "endEvent":
            self._end(node, draft, box)
        elif kind == "callActivity":
            self._call(node, draft, box)
        else:
            self._choice(node, draft, box)

    def interrupts(self, node: Node, draft: Draft) -> None:
        """Let a state end by the event that a sub-process of its own begins with."""
        inner = node.scope.nodes if node.scope else ()
        event = next(each for each in inner if each.kind == "startEvent")
        arrows = [Arrow(self._names[node.id], stands_for=(event.element,))]
        if event.trigger.kind == "error":
            draft.events |= {"refused": arrows, "failed": arrows}
            return
        if event.trigger.kind == "timer":
            timing = times.timing_of(event.trigger, once=True)
            name = draft.timer(slug(event.element.name, "overdue", before="after"), timing.says)
            told(self._hands, event, timing, (*draft.path, "timers", name))
        else:
            name = draft.signal(signal_name(self._hands, event))
        draft.events[name] = arrows

    def _choice(self, node: Node, draft: Draft, box: Box) -> None:
        """Write a gateway that is a state: it chooses as soon as it is entered."""
        draft.body["timers"] = {"now": {"after": NOW}}
        arrows = self._arrows.choices(node, box)
        draft.events["now"] = arrows or self._arrows.out_of(node.id, box)
        if node.kind == "complexGateway":
            self._hands.by_hand(node, draft.path, "a complex gateway: say when each way is gone")

    def _task(self, node: Node, draft: Draft, box: Box) -> None:
        folded: Folded | None = fold(node, box.graph, self._hands.variables)
        outcomes = [way.outcome for way in folded.ways] if folded else ["complete"]
        draft.body["task"] = task_of(
            self._hands, node, self.lanes, outcomes, folded.field if folded else "", draft.path
        )
        if folded is None:
            draft.events["complete"] = self._arrows.out_of(node.id, box)
            return
        for way in folded.ways:
            draft.events[way.outcome] = [
                arrow.behind(None, *folded.elements, *way.elements)
                for arrow in self._arrows.follow(way.flow, box)
            ]
        first = folded.ways[0]
        self._hands.report.note(
            node.element,
            f"its field {folded.field!r} became the outcomes; {first.outcome!r} approves",
        )

    def _steps(self, node: Node, draft: Draft, box: Box) -> None:
        path = (*draft.path, "steps", 0)
        name = self._names[node.id]
        if node.trigger.kind == "signal":
            step: dict[str, Any] = {"use": "signal.send", "with": {"name": signal_name(
                self._hands, node, "signal")}}  # fmt: skip
            note = "there it reaches every process; here the runs of this snapshot and service"
            self._hands.report.note(node.element, note)
        else:
            step = step_of(self._hands, node, name, path)
        for event in box.graph.boundary.get(node.id, ()):
            if event.trigger.kind == "compensate":
                self._undo(event, step, path, box)
        draft.body["steps"] = [step]

    def _undo(self, event: Node, step: dict[str, Any], path: YamlPath, box: Box) -> None:
        """Write the handler of a compensation as the undo of a step."""
        target = next((b for a, b in self._links if a == event.id), "")
        handler = box.graph.nodes.get(target)
        if handler is None:
            self._hands.by_hand(event, path, "its handler is not in the file: write it as undo:")
            return
        undo = step_of(self._hands, handler, "", path)
        step["undo"] = {key: undo[key] for key in ("use", "with") if key in undo}
        for each in (event.element, handler.element):
            self._hands.report.mapped(each, (*path, "undo"))

    def _caught(self, event: Node, out: Node, draft: Draft, box: Box) -> None:
        """Let a state wait for what an event catches."""
        arrows = self._arrows.out_of(out.id, box)
        if event.trigger.kind == "timer":
            timing = times.timing_of(event.trigger, once=True)
            name = draft.timer(slug(event.element.name, "waited", before="after"), timing.says)
            told(self._hands, event, timing, (*draft.path, "timers", name))
        else:
            if event.trigger.kind not in ("message", "signal"):
                what = f"it waits for a {event.trigger.kind} event: say which signal that is"
                self._hands.by_hand(event, draft.path, what)
            name = draft.signal(signal_name(self._hands, event))
        if event is not out or draft.path[-1] != self._names[event.id]:
            arrows = [arrow.behind(None, event.element) for arrow in arrows]
        draft.events[name] = arrows

    def _first_of(self, node: Node, draft: Draft, box: Box) -> None:
        draft.body["wait"] = True
        for flow in box.graph.out[node.id]:
            event = box.graph.nodes[flow.target]
            if event.kind not in ("intermediateCatchEvent", "receiveTask"):
                what = f"{flow.element} leads to {event.element}, which is no event"
                self._hands.by_hand(node, draft.path, what)
                continue
            self._hands.report.mapped(flow.element, draft.path)
            for extra in event.extras:
                if extra.needed:
                    self._hands.by_hand(event, draft.path, f"{extra.what} has no like here")
            self._caught(event, event, draft, box)

    def _end(self, node: Node, draft: Draft, box: Box) -> None:
        kind = node.trigger.kind
        if kind in ("message", "signal"):
            self._steps(node, draft, box)
            box.ends = True
            draft.events["done"] = [Arrow(box.ended)]
            return
        draft.body["final"] = True
        if kind in ("error", "escalation", "cancel"):
            draft.body["outcome"] = outcome_of(node)
        elif kind == "terminate" and "branches" in box.path:
            draft.body["outcome"] = outcome_of(node)
            what = "it ends the other ways at once there; here they are waited for"
            self._hands.by_hand(node, draft.path, what)
        elif kind in ("compensate", "multiple"):
            self._hands.by_hand(node, draft.path, f"a {kind} event: only the end of it is here")

    def _call(self, node: Node, draft: Draft, box: Box) -> None:
        name = slug(node.called, "unnamed", joined="-")
        call: dict[str, Any] = {"lifecycle": name}
        values = {each.name: each.value for each in node.inputs if each.name not in ("", "all")}
        if values:
            call["with"] = {
                slug(key, "value"): self._hands.text(node, draft.path, value)
                for key, value in values.items()
            }
        draft.body["call"] = call
        if any(each.name == "all" for each in node.inputs):
            self._hands.by_hand(node, draft.path, "all variables went into it: say which in with:")
        draft.events["done"] = self._arrows.out_of(node.id, box)
        what = f"it calls {one_line(node.called, 60)!r}: import that process as lifecycle {name!r}"
        self._hands.by_hand(node, draft.path, what)
        for each in node.outputs:
            what = f"{each.name!r} comes out of it: read steps.{self._names[node.id]} instead"
            self._hands.report.hand(node.element, what)
