"""Results that are read where they may not be there yet.

- W-RESULT-MISSING: an expression reads a step, a task or a monitor, and a way leads there on
  which it has not run, was refused, or was left out by its `if`.

Why it hurts: on that way the run would be parked. To mend it, ask `has(…)` first, or let no
such way lead there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from waystage.check.flow import END
from waystage.check.places import Place, YamlPath
from waystage.check.subject import Subject
from waystage.check.texts import compiled, conditions, texts
from waystage.errors import Problem
from waystage.expressions import BadExpression, Expression, compile_expression
from waystage.expressions.ast import Has, dotted, walk
from waystage.kernel import Node

Result: TypeAlias = tuple[str, str]  # ("steps", "training")
Results: TypeAlias = frozenset[Result]
NOTHING: Results = frozenset()


def check(subject: Subject) -> Iterator[Problem]:
    """Follow what is there on every way to every state."""
    if subject.skeleton.nowhere:
        return
    there = _there(subject)
    leaves = _leaves(subject, there)
    known = NOTHING.union(*(_made(n) for n in subject.skeleton.definition.nodes.values()))
    for place, path, expression in _expressions(subject):
        read = _read(expression) & known
        at = _at(subject, place, path, there, leaves) if read else None
        if at is None:
            continue
        for kind, name in sorted(read - at):
            text = f"`{kind}.{name}` may not be there yet: a way leads here without it"
            hint = f"ask has({kind}.{name}) first, or lead the run past it"
            yield subject.problem("W-RESULT-MISSING", path, text, hint)


def _expressions(subject: Subject) -> Iterator[tuple[Place, YamlPath, Expression]]:
    try:
        for condition in conditions(subject):
            if condition.place:
                yield condition.place, condition.path, compile_expression(condition.text)
        for text in texts(subject):
            if text.place:
                for inner, expression in compiled(text.value).expressions:
                    yield text.place, (*text.path, *inner), expression
    except BadExpression:
        return  # told by the check of expressions


def _read(expression: Expression) -> Results:
    asked = {dotted(node.base) for node in walk(expression.ast) if isinstance(node, Has)}
    asked |= {(*(dotted(node.base) or ()), node.field)
              for node in walk(expression.ast) if isinstance(node, Has)}  # fmt: skip
    read = {path[:2] for path in expression.references if len(path) > 1}
    return frozenset((a, b) for a, b in read if not any(p and p[:2] == (a, b) for p in asked))


def _made(node: Node) -> Results:
    """Give what a state leaves behind when its activity ends well."""
    spec = node.spec
    found = {("steps", step.id) for step in spec.steps or () if step.id and step.if_ is None}
    found |= {("monitors", name) for name in spec.verify or ()}
    if spec.task:
        found.add(("tasks", node.name))
    if spec.call:
        found.add(("steps", node.name))
    return frozenset(found)


def _after(node: Node, event: str) -> Results:
    work = {"steps": ("done",), "call": None}.get(node.activity)
    made = event in work if work is not None else node.activity in ("task", "verify", "call")
    timed = event in node.spec.timers or event in node.spec.signals
    return _made(node) if made and not timed else NOTHING


def _there(subject: Subject) -> dict[str, Results]:
    """Give what is certainly there when a leaf is entered: what all ways to it bring."""
    nodes, edges = subject.skeleton.definition.nodes, subject.flow.edges
    there: dict[str, Results] = {subject.flow.start: NOTHING}
    todo = [subject.flow.start]
    while todo:
        leaf = todo.pop()
        joined = _joined(nodes[leaf], nodes)
        for edge in edges[leaf]:
            if edge.target == END:
                continue
            brought = there[leaf] | _after(nodes[leaf], edge.event) | joined
            before = there.get(edge.target)
            now = brought if before is None else before & brought
            if now != before:
                there[edge.target] = now
                todo.append(edge.target)
    return there


def _joined(node: Node, nodes: dict[str, Node]) -> Results:
    """Give what the branches that end together may have left; each of them counts as run."""
    if node.activity != "final" or node.parent != node.region or not node.region:
        return NOTHING
    owner = node.region.rpartition(".")[0]
    inside = [each for path, each in nodes.items() if path.startswith(f"{owner}.")]
    return NOTHING.union(*(_made(each) for each in inside))


def _leaves(subject: Subject, there: dict[str, Results]) -> dict[YamlPath, list[str]]:
    """Give the leaves below each state as it is written, less those that no way leads to."""
    found: dict[YamlPath, list[str]] = {}
    for leaf in there:
        for node in subject.skeleton.definition.chain(leaf):
            if place := subject.skeleton.places.get(node.path):
                found.setdefault(place.path, []).append(leaf)
    return found


def _at(
    subject: Subject, place: Place, path: YamlPath, there: dict[str, Results],
    leaves: dict[YamlPath, list[str]],
) -> Results | None:  # fmt: skip
    """Give what is there where an expression of a state is evaluated; None where never."""
    nodes = subject.skeleton.definition.nodes
    ways = [there[leaf] | _inside(place, path, nodes[leaf]) for leaf in leaves.get(place.path, ())]
    return ways[0].intersection(*ways[1:]) if ways else None


def _inside(place: Place, path: YamlPath, leaf: Node) -> Results:
    """Give what the state's own work has brought by then."""
    key, *rest = path[len(place.path) :]
    if key == "next":
        return _after(leaf, str(rest[0]))
    if key != "steps" or place.spec.steps is None:
        return NOTHING
    undone = len(rest) > 1 and rest[1] == "undo"
    before = place.spec.steps[: int(rest[0]) + undone]
    return frozenset(("steps", step.id) for step in before if step.id and step.if_ is None)
