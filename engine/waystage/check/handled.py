"""Events that nothing answers, and answers to events that never come.

Why it hurts: a verdict, an outcome or a refusal that nobody handles leaves the run where it
is. To mend it, add the event to `next` of the state or of one around it. `failed` and `error`
may stay open: they park the run as an incident. `done` is answered by the state itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.subject import Subject, did_you_mean
from waystage.errors import Problem
from waystage.kernel import Definition, Node

SAFE = frozenset({"failed", "error"})
VERDICTS = ("ok", "warn", "insufficient", "breach", "error")


def check(subject: Subject) -> Iterator[Problem]:
    """Hold every state's events against the answers that reach it."""
    definition = subject.definition
    if definition is None:
        return
    seen: set[tuple[object, str]] = set()
    for path, place in subject.nodes.items():
        node = definition.nodes[path]
        for event in sorted(own_events(definition, node)):
            if event in SAFE or (place.path, event) in seen or answered(definition, node, event):
                continue
            seen.add((place.path, event))
            quiet = event in place.spec.signals
            code = "W-SIGNAL-UNANSWERED" if quiet else "E-EVENT-UNHANDLED"
            text = f"nothing answers {event!r}"
            hint = "add it to next: here" + ("" if event == "done" else " or in a state around it")
            yield subject.problem(code, place.path, text, hint, warning=quiet)
    yield from _useless(subject, definition)


def own_events(definition: Definition, node: Node) -> set[str]:
    """Give the events that the state itself can raise."""
    spec = node.spec
    events = set(spec.timers) | set(spec.signals)
    if spec.steps:
        events |= {"done", "refused", "failed"}
    elif spec.task:
        events |= set(spec.task.outcomes)
    elif spec.verify:
        events |= set(VERDICTS)
    elif spec.call:
        events |= {"done", "refused", "failed"}
    elif node.activity == "states":
        events |= _outcomes(definition, node)
    elif node.branches:
        finals = {o for branch in node.branches for o in _branch_outcomes(definition, branch)}
        events |= {"done"} | {f"any_{outcome}" for outcome in finals - {"done"}}
    return events


def _outcomes(definition: Definition, node: Node) -> set[str]:
    if not node.children or not definition.nodes[node.children[0]].is_stage:
        return {
            definition.nodes[child].spec.outcome or "done"
            for child in node.children
            if definition.nodes[child].activity == "final"
        }
    stages = [_outcomes(definition, definition.nodes[child]) for child in node.children]
    return set().union(*stages)


def _branch_outcomes(definition: Definition, branch: str) -> set[str]:
    tops = [n for n in definition.nodes.values() if n.parent == branch and n.activity == "final"]
    return {node.spec.outcome or "done" for node in tops}


def answered(definition: Definition, node: Node, event: str) -> bool:
    """Whether the state, or one around it, has an answer."""
    for each in definition.chain(node.path):
        if event in each.ways:
            return True
        if event == "done":
            return False
    outer = node.region.rpartition(".")[0] if node.region else ""
    return bool(outer) and answered(definition, definition.nodes[outer], event)


def _useless(subject: Subject, definition: Definition) -> Iterator[Problem]:
    raised: dict[int, set[str]] = {}
    for node in definition.nodes.values():
        events = own_events(definition, node)
        around: Node | None = node
        while around is not None:
            raised.setdefault(id(around.spec), set()).update(events)
            around = _around(definition, around)
    for place in subject.places:
        known = raised.get(id(place.spec), set())
        for event in place.spec.next:
            if event not in known:
                text = f"{event!r} can never happen here"
                hint = did_you_mean(event, known)
                yield subject.problem("E-EVENT-NEVER", (*place.path, "next", event), text, hint)


def _around(definition: Definition, node: Node) -> Node | None:
    parent = node.parent
    if parent is not None and parent not in definition.nodes:
        parent = parent.rpartition(".")[0]
    return definition.nodes.get(parent) if parent else None
