"""States that nothing leads to, states that nothing leads out of, and loops without a wait.

Why it hurts: the first are dead text that reviewers believe in; in the second a run stands for
ever; in the third it would spin until it is parked. To mend it, lead an arrow there, add a way
on (a timer, a signal, a task), or put a wait into the loop.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.handled import own_events
from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.kernel import Definition, Node

WAITS = frozenset({"task", "wait", "call"})


def check(subject: Subject) -> Iterator[Problem]:
    """Follow every arrow."""
    definition = subject.definition
    if definition is None:
        return
    edges = {path: _onward(definition, node) for path, node in definition.nodes.items()}
    reached = _closure(edges, [definition.region_initial[""]], definition)
    told: set[object] = set()
    for path, place in subject.nodes.items():
        if path not in reached and place.path not in told:
            told.add(place.path)
            yield subject.problem("E-STATE-UNREACHABLE", place.path, "no arrow leads to this state")
    yield from _dead_ends(subject, definition, edges)
    yield from _loops(subject, definition, edges)


def _onward(definition: Definition, node: Node) -> set[str]:
    targets = {way.target for ways in node.ways.values() for way in ways}
    if node.next_stage:
        targets.add(node.next_stage)
    return targets


def _closure(edges: dict[str, set[str]], start: list[str], definition: Definition) -> set[str]:
    reached: set[str] = set()
    todo = list(start)
    while todo:
        path = todo.pop()
        if path in reached:
            continue
        node = definition.nodes[path]
        reached.add(path)
        todo.extend(edges[path])
        if node.initial:
            todo.append(node.initial)
        todo.extend(definition.region_initial[branch] for branch in node.branches)
        if node.parent and node.parent in definition.nodes:
            todo.append(node.parent)
    return reached


def _dead_ends(
    subject: Subject, definition: Definition, edges: dict[str, set[str]]
) -> Iterator[Problem]:
    for place in {id(p): p for p in subject.nodes.values()}.values():
        node = next(definition.nodes[n] for n, p in subject.nodes.items() if p is place)
        if node.activity != "wait":
            continue
        around = [
            own_events(definition, each)
            for each in definition.chain(node.path)
            if each.activity in ("wait", "states")
        ]
        if not own_events(definition, node) and not any(a - {"done"} for a in around):
            text = "nothing ever happens in this state"
            hint = "give it an activity, a timer, a signal, or final: true"
            yield subject.problem("E-STATE-DEAD-END", place.path, text, hint)


def _loops(
    subject: Subject, definition: Definition, edges: dict[str, set[str]]
) -> Iterator[Problem]:
    quick = {
        path
        for path, node in definition.nodes.items()
        if node.leaf and not _waits(definition, node)
    }
    told: set[frozenset[str]] = set()
    for start in sorted(quick):
        loop = _loop_from(start, quick, edges, definition)
        if loop and frozenset(loop) not in told and start in subject.nodes:
            told.add(frozenset(loop))
            text = f"the loop {' → '.join([*loop, start])} never waits"
            hint = "put a timer, a task or a signal into it"
            yield subject.problem("E-LOOP-WITHOUT-WAIT", subject.nodes[start].path, text, hint)


def _waits(definition: Definition, node: Node) -> bool:
    return node.activity in WAITS or bool(node.branches)


def _loop_from(
    start: str, quick: set[str], edges: dict[str, set[str]], definition: Definition
) -> list[str]:
    stack: list[tuple[str, list[str]]] = [(start, [start])]
    seen: set[str] = set()
    while stack:
        path, way = stack.pop()
        for target in edges[path]:
            leaf = definition.leaf_of(target)
            if leaf == start:
                return way
            if leaf in quick and leaf not in seen and definition.nodes[leaf].activity != "final":
                seen.add(leaf)
                stack.append((leaf, [*way, leaf]))
    return []
