"""The states of a lifecycle, made from the graph of a process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from waystage.bpmn.activities import Hands
from waystage.bpmn.arrows import Arrow, Arrows, Box, both_of, written
from waystage.bpmn.borders import Borders, Draft, absorbed_of
from waystage.bpmn.doing import NOW, Doing, handled
from waystage.bpmn.graph import OR, Graph, graph_of
from waystage.bpmn.model import Element, Node, Scope
from waystage.bpmn.names import add_implied
from waystage.bpmn.parallel import Arm, Fork, forks_of
from waystage.bpmn.report import YamlPath
from waystage.bpmn.text import one_line, slug, unused
from waystage.bpmn.variables import scopes_of
from waystage.errors import Invalid, Problem

MOST_NESTED = 6
States = dict[str, Any]


class Builder:
    """Makes states; what it makes of each element is written to the report on the way."""

    def __init__(self, hands: Hands, names: dict[str, str], root: Scope) -> None:
        self._hands, self._names = hands, names
        self._graphs: dict[int, Graph] = {}
        self._forks: dict[int, dict[str, Fork]] = {}
        self._absorbed: set[str] = set()
        self._handled: set[str] = set()
        problems: list[Problem] = []
        for scope in scopes_of(root):
            graph = graph_of(scope)
            add_implied(graph, names)
            self._graphs[id(scope)] = graph
            self._forks[id(scope)], wrong = forks_of(graph, hands.file)
            problems += wrong
            self._absorbed |= absorbed_of(graph)
        if problems:
            raise Invalid(problems)
        self._arrows = Arrows(hands, names)
        self._doing = Doing(hands, self._arrows, names, root)
        self._borders = Borders(hands, self._arrows, self._absorbed)

    def states(self, scope: Scope, path: YamlPath) -> tuple[str, States]:
        """Give the initial state of a scope and all its states.

        What events in sub-processes of their own may interrupt is one state with the rest inside.
        """
        handlers = [node for node in scope.nodes if handled(node)]
        if not handlers:
            return self._plain(scope, path)
        self._handled |= {node.id for node in handlers}
        main = unused("main", set(self._names.values()))
        at = (*path, "states", main)
        initial, inner = self._plain(scope, at)
        box = Box(self._graphs[id(scope)], {}, (*path, "states"))
        box.ended = unused("closed", set(self._names.values()))
        box.ends = True
        draft = Draft({"initial": initial, "states": inner}, {"done": [Arrow(box.ended)]}, at)
        found: States = {main: draft.body}
        for node in handlers:
            self._doing.interrupts(node, draft)
            found[self._names[node.id]] = self._state(node, box)
        for outcome in sorted(_outcomes(inner)):
            name = unused(f"{outcome}_end", set(found))
            draft.events.setdefault(outcome, [Arrow(name)])
            found[name] = {"final": True, "outcome": outcome}
        self._finished(draft)
        self._close(box, found)
        return main, found

    def _plain(self, scope: Scope, path: YamlPath) -> tuple[str, States]:
        graph = self._graphs[id(scope)]
        box = Box(graph, self._forks[id(scope)], (*path, "states"))
        box.ended = unused("ended", set(self._names.values()))
        start = self._start(scope, graph)
        found: States = {}
        initial = ""
        if start is not None:
            self._hands.report.mapped(start.element, (*path, "initial"))
            if start.kind == "startEvent":
                arrows = self._arrows.out_of(start.id, box)
            else:
                arrows = self._arrows.arrive(start.id, box)
            initial = self._begin(arrows, box, found, (*path, "initial"))
        order = graph.reach([start.id] if start else [])
        order += [each for each in graph.nodes if each not in set(order)]
        self._fill(box, order, found)
        if not initial:
            box.ends, initial = True, box.ended
        self._close(box, found)
        return initial, found

    def _start(self, scope: Scope, graph: Graph) -> Node | None:
        starts = [node for node in scope.nodes if node.kind == "startEvent"]
        plain = [node for node in starts if node.trigger.kind == "none"]
        for other in starts:
            if other is not (plain or starts)[0]:
                what = "another start: a run begins in one state; what only it leads to is lost"
                self._hands.report.hand(other.element, what)
        if starts:
            return (plain or starts)[0]
        first = [
            n for n in scope.nodes if not graph.into[n.id] and n.kind != "boundaryEvent"
            and not n.by_event and not n.compensates
        ]  # fmt: skip
        return first[0] if first else None

    def _begin(self, arrows: list[Arrow], box: Box, found: States, path: YamlPath) -> str:
        """Give the state that is begun with; a choice at the beginning is a state of its own."""
        if len(arrows) == 1 and arrows[0].guard is None:
            for element in arrows[0].stands_for:
                self._hands.report.mapped(element, path)
            return arrows[0].to
        name = unused("begin", {*found, *self._names.values()})
        draft = Draft({"timers": {"now": {"after": NOW}}}, {"now": arrows}, box.at(name))
        found[name] = self._finished(draft)
        return name

    def _fill(self, box: Box, order: Iterable[str], found: States) -> None:
        """Write the states of the nodes that lie in no arm of a fork."""
        if sum(part == "branches" for part in box.path) > MOST_NESTED:
            raise self._too_deep(box, order)
        ids = list(order)
        inside = {n for each in ids if each in box.forks for n in box.forks[each].inside}
        light = self._arrows.light(box.graph)
        for each in ids:
            node = box.graph.nodes[each]
            if each not in inside and each not in light and self._is_state(node, box):
                found[self._names[each]] = self._state(node, box)

    def _too_deep(self, box: Box, order: Iterable[str]) -> Invalid:
        element = box.graph.nodes[next(iter(order))].element
        text = f"{element}: forks are nested deeper than {MOST_NESTED} levels"
        spot = element.spot
        hint = "put the inner ones into a process of their own and call it"
        return Invalid([Problem("E-BPMN-SIZE", text, self._hands.file, spot.line, spot.column,
                                suggestion=hint)])  # fmt: skip

    def _is_state(self, node: Node, box: Box) -> bool:
        if node.kind in ("startEvent", "boundaryEvent") or node.id in self._absorbed:
            return False
        if node.id in self._handled:
            return False
        if node.compensates or node.by_event:
            self._set_aside(node)
            return False
        sources = [box.graph.nodes[flow.source].kind for flow in box.graph.into[node.id]]
        caught = node.kind in ("intermediateCatchEvent", "receiveTask")
        return not (caught and sources and set(sources) == {"eventBasedGateway"})

    def _set_aside(self, node: Node) -> None:
        """Say of what only an engine of BPMN starts that a person must find it a place."""
        report = self._hands.report
        if not report.entries[node.id].became:
            how = "undo: of a step" if node.compensates else "signals:, timers: or next: around"
            report.hand(node.element, f"beside the flow, and left out: write it as {how}")
        for scope in scopes_of(node.scope) if node.scope else ():
            for element in (*(n.element for n in scope.nodes), *(f.element for f in scope.flows)):
                report.hand(element, f"inside of {node.element}, which was left out")

    def _state(self, node: Node, box: Box) -> dict[str, Any]:
        path = box.at(self._names[node.id])
        self._hands.report.mapped(node.element, path)
        line = f"{self._hands.file}:{node.element.spot.line} {node.kind} {node.id}"
        self._hands.comments.beside[path] = line
        draft = Draft({}, {}, path)
        title = one_line(node.element.name)
        if title and slug(title).replace("_", " ") != title.lower() and node.kind != "userTask":
            draft.body["title"] = self._hands.text(node, path, title)
        if stage := self._hands.mapping.stage(node):
            draft.body["stage"] = stage
        if node.scope is not None:
            self._nested(node, node.scope, draft, box)
        elif node.id in box.forks:
            self._branches(box.forks[node.id], draft, box)
        else:
            self._doing.add(node, draft, box)
        self._borders.add(node, draft, box)
        self._besides(node, path)
        if node.loop is not None and node.kind not in ("userTask", "manualTask"):
            self._hands.by_hand(node, path, "it is repeated there, and done once here")
        return self._finished(draft, self._hands.variables.sets.get(node.id, {}), node)

    def _besides(self, node: Node, path: YamlPath) -> None:
        """Say what else an element says: its dialect's own, and its documentation."""
        for extra in node.extras:
            if extra.needed:
                self._hands.by_hand(node, path, f"{extra.what} has no like here")
            else:
                self._hands.report.note(node.element, extra.what)
        if node.documentation and node.kind not in ("userTask", "manualTask"):
            self._hands.comments.add(path, one_line(node.documentation, 400))

    def _nested(self, node: Node, scope: Scope, draft: Draft, box: Box) -> None:
        outer = self._doing.lanes
        self._doing.lanes = (*outer, *scope.lanes)
        initial, states = self.states(scope, draft.path)
        self._doing.lanes = outer
        draft.body |= {"initial": initial, "states": states}
        draft.events["done"] = self._arrows.out_of(node.id, box)
        if node.kind == "adHocSubProcess":
            self._hands.by_hand(node, draft.path, "its activities come in any order there")
        if node.kind == "transaction":
            self._hands.report.note(node.element, "what it undoes is undo: of its steps")

    def _branches(self, fork: Fork, draft: Draft, box: Box) -> None:
        branches: States = {}
        otherwise = _otherwise(fork, self._arrows)
        for arm in fork.arms:
            first = self._names.get(arm.flow.target, "") if arm.nodes else "nothing"
            name = unused(slug(arm.flow.element.name or first, "way"), branches)
            branches[name] = self._arm(fork, arm, otherwise, (*draft.path, "branches", name), box)
        draft.body["branches"] = branches
        joined = [arm for arm in fork.arms if not arm.nodes or self._joins(arm, fork, box)]
        if fork.join:
            draft.events["done"] = self._arrows.arrive(fork.join, box)
            if fork.join not in self._arrows.light(box.graph) and not box.graph.out[fork.join]:
                box.ends = True
                draft.events["done"] = [Arrow(box.ended)]
            self._hands.report.mapped(box.graph.nodes[fork.join].element, draft.path)
        else:
            box.ends = True
            draft.events["done"] = [Arrow(box.ended)]
        if fork.join and len(joined) < len(fork.arms):
            what = "one of its ways ends by itself there; here what follows waits for it too"
            self._hands.by_hand(fork.node, draft.path, what)
        for outcome in sorted({o for b in branches.values() for o in _outcomes(b["states"])}):
            box.ends = True
            draft.events[f"any_{outcome}"] = [Arrow(box.ended)]
            what = f"{outcome!r} of one way ends all there; here it counts when all ways have ended"
            self._hands.by_hand(fork.node, draft.path, what)

    def _joins(self, arm: Arm, fork: Fork, box: Box) -> bool:
        return any(fork.join in box.graph.after(each) for each in arm.nodes)

    def _arm(
        self, fork: Fork, arm: Arm, otherwise: str | None, path: YamlPath, box: Box
    ) -> dict[str, Any]:  # fmt: skip
        inner = Box(box.graph, box.forks, (*path, "states"), exit=fork.join or "/")
        inner.finish = unused("joined", set(self._names.values()))
        inner.ended = unused("ended", set(self._names.values()))
        arrows = self._arrows.follow(arm.flow, inner)
        self._hands.report.mapped(arm.flow.element, path)
        guard = otherwise if arm.flow.element.id == fork.node.default else None
        if fork.node.kind in OR and arm.flow.condition and guard is None:
            guard = self._arrows.guard(arm.flow)
        if guard is not None:
            inner.finished = True
            arrows = [arrow.behind(guard) for arrow in arrows] + [Arrow(inner.finish)]
        states: States = {}
        initial = self._begin(arrows, inner, states, (*path, "initial"))
        order = [each for each in box.graph.reach([arm.flow.target], fork.join)
                 if each in arm.nodes]  # fmt: skip
        self._fill(inner, order, states)
        self._close(inner, states)
        return {"initial": initial, "states": states}

    def _close(self, box: Box, found: States) -> None:
        if box.finished:
            found[box.finish] = {"final": True}
        if box.ends:
            found[box.ended] = {"final": True}

    def _finished(
        self, draft: Draft, sets: dict[str, str] | None = None, node: Node | None = None
    ) -> dict[str, Any]:
        """Add the arrows to a state, and say which elements they stand for."""
        report, body = self._hands.report, draft.body
        said: dict[str, Any] = {}
        for event, arrows in draft.events.items():
            own = sets if sets and event not in ("failed", "refused") else {}
            value = said[event] = written(arrows, own or {})
            at = (*draft.path, "next", event)
            if isinstance(value, list) and (gateway := _gateway(arrows)):
                report.origins.setdefault(at, gateway)
            for number, arrow in enumerate(arrows):
                path = (*at, number) if isinstance(value, list) else at
                for element in arrow.stands_for:
                    report.mapped(element, path)
                if isinstance(value, list) and arrow.stands_for:
                    first = arrow.stands_for[-1]
                    report.origins[path] = self._of_flow(arrow) or first
                for guess, line in self._arrows.guesses.items():
                    if arrow.guard and guess in arrow.guard:
                        self._hands.comments.add(path, line)
        if said:
            body["next"] = said
        return body

    def _of_flow(self, arrow: Arrow) -> Element | None:
        """Give the flow that decides an arrow: the last one out of a choice."""
        flows = [each for each in arrow.stands_for if each.kind == "sequenceFlow"]
        return flows[-1] if flows else None


def _gateway(arrows: list[Arrow]) -> Element | None:
    """Give the gateway that a choice came from."""
    found = (
        each for arrow in arrows[:1] for each in arrow.stands_for if each.kind.endswith("Gateway")
    )
    return next(found, None)


def _otherwise(fork: Fork, arrows: Arrows) -> str | None:
    """Give when the default way of an inclusive gateway is gone: if no other is."""
    if fork.node.kind not in OR or not fork.node.default:
        return None
    others = [
        arrows.guard(arm.flow) for arm in fork.arms
        if arm.flow.condition and arm.flow.element.id != fork.node.default
    ]  # fmt: skip
    found: str | None = None
    for other in others:
        found = both_of(found, f"!({other})")
    return found


def _outcomes(states: States) -> set[str]:
    return {s["outcome"] for s in states.values() if s.get("final") and "outcome" in s}
