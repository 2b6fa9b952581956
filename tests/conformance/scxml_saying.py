"""A chart of SCXML said in our language, or the reason why it cannot be.

What our language has no single word for is said with several, as an author would. What is done
on entry, and arrows without an event, become states that end at once (`now`), whose `done` leads
on by guards and sets what is assigned. A raised event is the outcome of such a state. A delayed
event is a timer of the state that sends it. A state without an arrow for some case gets one to
itself where our language wants every case answered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scxml_actions import column, courses, is_timer
from scxml_arrows import EVENTLESS, Arrow, Arrows, actions_on, chain, first_of, hears, region_of
from scxml_chart import CannotSay, Chart, Node
from scxml_history import without_history
from scxml_sharing import hold_apart
from scxml_timers import Timers
from scxml_values import TYPES, literal
from scxml_ways import NOTHING, Ways, at_once, enters

from waystage.spec.values import format_duration

RESERVED = ("done", "refused", "failed", "error", "ok", "warn", "breach", "insufficient")
MACHINE = "machine"


@dataclass
class Said:
    """A lifecycle, and how its names read in the chart."""

    lifecycle: dict[str, Any]
    states: dict[str, str]  # path of a leaf, or `=` and an outcome: id of the chart's state
    events: dict[str, str]  # name in the chart: name in the lifecycle


def say(chart: Chart, sent: list[str]) -> Said:
    """Say a chart to which these events are sent; raises `CannotSay` or `Differs`."""
    if chart.odd:
        raise CannotSay(chart.odd[0])
    return _Sayer(without_history(chart), sent).say()


class _Sayer:
    def __init__(self, chart: Chart, sent: list[str]) -> None:
        self.chart, self.sent = chart, sent
        self.variables = list(chart.data)
        self.timers = Timers(chart, self.variables)
        alphabet = list(dict.fromkeys([*sent, *self.timers.events(), *self.timers.raised()]))
        self.arrows = Arrows(chart, alphabet)
        self.timers.place(self.arrows)
        hold_apart(self.arrows.states, self.variables)
        self.events: dict[str, str] = {}
        for name in alphabet:
            self.events[name] = self._event(name)
        self.ways = Ways(self.arrows, self.timers, self.events, self._local)
        self.pushed = {event for event in alphabet if not self._is_natural(event)}
        self.paths: dict[Node, str] = {}
        self.places: dict[str, str] = {}
        self.unfolded: dict[Node, dict[str, Any]] = {}
        self.begun: dict[Node, list[dict[str, Any]]] = {}
        self.told = self._told()
        self.ends = self._ends()

    # --- names ---

    def _event(self, name: str) -> str:
        words = [re.sub(r"[^a-z0-9_]", "_", word.lower()) for word in name.split(".") if word]
        said = ".".join(word if word[0].isalpha() else f"e_{word}" for word in words)
        while said in RESERVED or said in self.events.values():
            said += "_"
        return said

    def _name(self, node: Node) -> str:
        name = re.sub(r"[^a-z0-9_]", "_", node.id.lower())
        same = [each for each in self.chart.nodes if each.lower() == node.id.lower()]
        return f"s_{name}" if len(same) == 1 else f"s_{name}_{node.order}"

    def _branch(self, child: Node) -> str:
        return f"in{self._name(child)[1:]}"

    def _local(self, node: Node) -> str:
        """Give a state's path from the top of its region."""
        top = region_of(node)
        if top.kind == "scxml":
            return self.paths[node]
        return self.paths[node].removeprefix(f"{self.paths[top].rpartition('.')[0]}.")

    def _layout(self, node: Node, prefix: str) -> None:
        path = self.paths[node] = f"{prefix}{self._name(node)}"
        if node.kind == "parallel":
            inner = f"{path}.rest" if enters(node) else path
            for child in node.children:
                self._layout(child, f"{inner}.{self._branch(child)}.")
        else:
            for child in node.children:
                self._layout(child, f"{path}.")

    # --- what may be said where ---

    def _is_natural(self, event: str) -> bool:
        """Whether each arrow for the event can stay at its state; else it goes to the leaves."""
        for (home, name), found in self.arrows.at.items():
            if name != event:
                continue
            inner = [n for child in home.children for n in child.below()]
            if home.kind == "state" and any(n.onexit for n in inner):
                return False
            if inner and any(arrow.target is None for arrow in found):
                return False
            if all(arrow.transition.cond for arrow in found):
                return False
        return True

    def _told(self) -> set[Node]:
        """Give the branches that an arrow or a state begins elsewhere than they say."""
        found = {branch for arrows in self.arrows.at.values() for arrow in arrows
                 for branch, _ in arrow.starts}  # fmt: skip
        for node in [self.chart.root, *self.arrows.states]:
            if node.kind != "parallel" and node.children:
                targets = [self.arrows.node(name) for name in first_of(node)]
                found |= {branch for branch, _ in self.arrows.entered(targets, node, node)[1]}
        return found

    def _ends(self) -> dict[Node, list[Arrow]]:
        """Give the compound and parallel states whose end is heard, with the arrows."""
        found = {}
        for node in self.arrows.states:
            event = f"done.state.{node.id}"
            if node.kind != "parallel" and not any(c.kind == "final" for c in node.children):
                continue
            arrows = Arrows(self.chart, [event])
            if any(arrow.lifted for arrow in arrows.of(event)):
                raise CannotSay("the end of a branch as an event")
            if heard := arrows.from_leaf(node, event):
                found[node] = heard
            if region_of(node).kind != "scxml":
                self._unheard_outside(node, event)
        return found

    def _unheard_outside(self, node: Node, event: str) -> None:
        inside = list(chain(node))
        around = [each for each in node.ancestors() if each not in inside]
        others = [each for each in self.arrows.states if each not in inside]
        named = any(event in t.events for each in others for t in each.transitions)
        if named or any(hears(t, event) for each in around for t in each.transitions):
            raise CannotSay("the end of a branch as an event")

    # --- the whole ---

    def say(self) -> Said:
        root = self.chart.root
        outside = f"{MACHINE}." if self.timers.outer else ""
        for child in root.children:
            self._layout(child, "" if child.kind == "final" else outside)
        states = {self._name(child): self._state(child) for child in root.children}
        first, more = self._start(root)
        states = {**more, **states}
        if self.timers.outer:
            first, states = MACHINE, self._within_machine(first, states)
        for branch in {branch for branch, _ in self.ways.starts}:
            self.begun[branch].extend(self.ways.beginning(branch, self._name(branch)))
        for leaf, made in self.ways.made.items():
            self.unfolded[leaf].update(made)
        lifecycle: dict[str, Any] = {"lifecycle": "chart", "services": ["s"]}
        data = {**self._data(), **{self.ways.note(branch): {"type": "string", "default": ""}
                                   for branch in self.told}}  # fmt: skip
        if data:
            lifecycle["data"] = data
        return Said({**lifecycle, "initial": first, "states": states}, self.places, self.events)

    def _within_machine(self, first: str, states: dict[str, Any]) -> dict[str, Any]:
        """Put all but the ends into one state, whose timers outlive each of theirs."""
        ends = [self._name(child) for child in self.chart.root.children if child.kind == "final"]
        inner = {name: state for name, state in states.items() if name not in ends}
        machine = {"initial": first, "states": inner, "timers": self._timers(self.timers.outer)}
        return {MACHINE: machine, **{name: states[name] for name in ends}}

    def _data(self) -> dict[str, Any]:
        found = {}
        for name, text in self.chart.data.items():
            value = literal(text) if text is not None else self._first_value(name)
            found[column(name)] = {"type": TYPES[type(value)], "default": value}
        if len(found) < len(self.chart.data):
            raise CannotSay("two variables whose names differ by case only")
        return found

    def _first_value(self, name: str) -> object:
        """Give an empty value of the type of what is assigned."""
        for text in self.timers.assigned(name):
            try:
                return type(literal(text))()
            except CannotSay:
                continue
        raise CannotSay("a variable that never has a value of its own")

    # --- states ---

    def _state(self, node: Node) -> dict[str, Any]:
        if node.kind == "final":
            return self._final(node)
        if node.kind == "parallel":
            said = self._parallel(node)
        elif node.children:
            said = self._compound(node)
        else:
            said = self._atomic(node)
        if node in self.timers.at:
            said["timers"] = self._timers(self.timers.at[node])
        return said

    def _timers(self, timers: list[tuple[str, float]]) -> dict[str, Any]:
        return {
            self.events[event]: {"after": format_duration(timedelta(seconds=delay))}
            for event, delay in timers
        }

    def _final(self, node: Node) -> dict[str, Any]:
        parent = node.parent
        assert parent is not None
        if parent.kind == "scxml":
            self.places[f"={self._name(node)}"] = node.id
            return {"final": True, "outcome": self._name(node)}
        if parent not in self.ends and (parent.parent not in self.ends or not _is_top(parent)):
            return self._atomic(node)  # nobody hears that it is final: it is a state that waits
        if self.arrows.from_leaf(node, EVENTLESS):
            raise CannotSay("eventless transitions around a final state")
        if self.ways.heard:
            raise CannotSay("internal raise ordering: the end of a state beside raised events")
        if node.onexit:
            raise CannotSay("what is done when a final state is left")
        self.places[self.paths[node]] = node.id
        return self._entered_end(node) if enters(node) else {"final": True}

    def _entered_end(self, node: Node) -> dict[str, Any]:
        """Give the state before a final one that does something on entry."""
        self.places[f"{self.paths[node]}_over"] = node.id
        return at_once(self.ways.led(node.onentry, None, lambda _: f"{self._local(node)}_over"))

    def _compound(self, node: Node) -> dict[str, Any]:
        first, more = self._start(node)
        states = {**more, **{self._name(child): self._state(child) for child in node.children}}
        for child in node.children:
            if f"{self.paths[child]}_over" in self.places:
                states[f"{self._name(child)}_over"] = {"final": True}
        said: dict[str, Any] = {"initial": first, "states": states}
        self._answer(node, said)
        if node in self.ends:
            said.setdefault("next", {})["done"] = self.ways.natural(node, self.ends[node])
        return said

    def _start(self, node: Node) -> tuple[str, dict[str, Any]]:
        """Give where a compound state begins; what it does on entry comes before."""
        targets = [self.arrows.node(name) for name in first_of(node)]
        first, starts = self.arrows.entered(targets, node, node)
        if first.parent is node and not enters(node) and not starts:
            return self._name(first), {}
        arrow = Arrow(node, EVENTLESS, first, node, NOTHING, lifted=False, starts=starts)
        actions = tuple(action for action in actions_on(node) if not is_timer(action))
        to = self.ways.entering(actions, None, arrow, node)
        return "at_entry", {"at_entry": at_once(to)}

    def _parallel(self, node: Node) -> dict[str, Any]:
        if self.arrows.from_leaf(node, EVENTLESS):
            raise CannotSay("an eventless transition of a parallel state")
        branches = {self._branch(child): self._region(child) for child in node.children}
        # without finals it never ends, but our language wants to know what then
        ended = self.ends.get(node)
        done = self.ways.natural(node, ended) if ended else [{"to": self._local(node)}]
        said: dict[str, Any] = {"branches": branches, "next": {"done": done}}
        if enters(node):
            if any(set(c.raises) & self.ways.heard for c in courses(node.onentry, self.variables)):
                raise CannotSay("an event raised while branches are entered")
            to = self.ways.led(node.onentry, None, lambda _: f"{self._local(node)}.rest")
            said = {"initial": "at_entry", "states": {"at_entry": at_once(to), "rest": said}}
        self._answer(node, said)
        return said

    def _region(self, top: Node) -> dict[str, Any]:
        states = {self._name(top): self._state(top)}
        if top.parent in self.ends:
            finals = [child for child in top.children if child.kind == "final"]
            if top.kind != "state" or not finals:
                raise CannotSay("a branch that never ends in a state whose end is heard")
            if len(finals) > 1 or top in self.ends:
                raise CannotSay("a branch with several ends")
            self.places[f"{self.paths[top].rpartition('.')[0]}.over"] = finals[0].id
            states[self._name(top)].setdefault("next", {})["done"] = [{"to": "over"}]
            states["over"] = {"final": True}
        if top not in self.told:
            return {"initial": self._name(top), "states": states}
        self.begun[top] = []
        return {"initial": "at_start", "states": {"at_start": at_once(self.begun[top]), **states}}

    def _atomic(self, node: Node) -> dict[str, Any]:
        path = self.paths[node]
        said: dict[str, Any] = {}
        self._answer(node, said)
        if not self.ways.unfolds(node):
            self.places[path] = node.id
            return {"wait": True, **said}
        self.places[f"{path}.rest"] = node.id
        states: dict[str, Any] = {}
        if enters(node):
            to = self.ways.led(node.onentry, None, lambda raised: self.ways.resting(node, raised))
            states["at_entry"] = at_once(to)
        if self.arrows.from_leaf(node, EVENTLESS):
            to = self.ways.of_leaf(node, EVENTLESS, last=f"{self._local(node)}.rest")
            states["at_once"] = at_once(to)
        states["rest"] = {"wait": True}
        self.unfolded[node] = states
        return {"initial": next(iter(states)), "states": states, **said}

    def _stays(self, leaf: Node, event: str) -> bool:
        """Whether a leaf must say that an event leaves it as it is."""
        return (leaf, event) in self.arrows.held or self.timers.owner_around(leaf, event)

    def _answer(self, node: Node, said: dict[str, Any]) -> None:
        """Add the arrows that a state has for events, and what it listens to."""
        found: dict[str, list[dict[str, Any]]] = {}
        leaf = not node.children or node.kind == "parallel"
        for event in dict.fromkeys([*self.sent, *self.timers.events()]):
            name = self.events[event]
            heard = self.arrows.from_leaf(node, event)
            if leaf and not heard and self._stays(node, event):
                found[name] = [{"to": self.ways.resting(node)}]
            elif leaf and heard and event in self.pushed:
                found[name] = self.ways.of_leaf(node, event)
            elif event not in self.pushed and (arrows := self.arrows.at.get((node, event))):
                found[name] = self.ways.natural(node, arrows)
        if found:
            said.setdefault("next", {}).update(found)
        signals = [self.events[event] for event in self.sent if self.events[event] in found]
        if signals:
            said["signals"] = list(dict.fromkeys(signals))


def _is_top(node: Node) -> bool:
    return node.parent is not None and node.parent.kind == "parallel"
