"""History said with a variable: each way out of a state notes where it was, an arrow asks it.

The history of a parallel state, and of a state with branches below, would need a variable for
each branch; it is not said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from scxml_chart import Action, CannotSay, Chart, History, Node, Transition


def without_history(chart: Chart) -> Chart:
    """Give the chart with its history states made variables; changes its nodes."""
    for number, history in enumerate(chart.histories.values(), 1):
        _note_on_exit(chart, history, f"was_{number}")
        for node in chart.nodes.values():
            if history.id in node.initial:
                raise CannotSay("a state that begins in a history state")
            led = (_asking(each, history, f"was_{number}") for each in node.transitions)
            node.transitions = [each for found in led for each in found]
    return chart


def _note_on_exit(chart: Chart, history: History, name: str) -> None:
    if history.parent.kind == "parallel" or history.default is None or history.default.actions:
        raise CannotSay("history of a parallel state, or with content of its own")
    if name in chart.data:
        raise CannotSay(f"a variable called {name}")
    chart.data[name] = "''"
    for node in _remembered(history):
        noted = Action("assign", {"location": name, "expr": f"'{node.id}'"})
        node.onexit = (*node.onexit, noted)


def _remembered(history: History) -> list[Node]:
    if not history.deep:
        return list(history.parent.children)
    below = list(history.parent.below())
    if any(node.kind == "parallel" for node in below):
        raise CannotSay("deep history of a state with branches")
    return [node for node in below if not node.children]


def _asking(transition: Transition, history: History, name: str) -> Iterator[Transition]:
    if history.id not in transition.targets:
        yield transition
        return
    if len(transition.targets) > 1 or transition.source.is_in(history.parent):
        raise CannotSay("history beside other targets, or asked from inside")
    for node in _remembered(history):
        asked = f"{name} == '{node.id}'"
        cond = f"({transition.cond}) && {asked}" if transition.cond else asked
        yield replace(transition, cond=cond, targets=(node.id,))
    assert history.default is not None
    yield replace(transition, targets=history.default.targets)
