"""Promotions that leave a stage out.

- E-STAGE-SKIP: on some way through the lifecycle a step promotes into a stage, and nothing was
  promoted before into a stage that this one comes after.

Why it hurts: what the earlier stage proves would be missing, on that way at least. To mend it,
promote into every stage that `after` names, or lead the way through them. Where the earlier
promotion is the work of another lifecycle, let the stage demand it: `requires: {verified_in:
[UAT]}` is held when the run comes there. A lifecycle that others call is proved in none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from waystage.check.places import YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.kernel import Node

Passed = Mapping[str, frozenset[str]]
SHOWN = 6  # states of a way


def check(subject: Subject) -> Iterator[Problem]:
    """Ask of each step that promotes what every way to it has passed."""
    called = subject.spec.lifecycle in subject.called
    if subject.files is None or subject.skeleton.nowhere or called:
        return
    told = set[tuple[YamlPath, str]]()
    for leaf, found in _passed(subject).items():
        stage = _promoted_into(subject, subject.flow.definition.nodes[leaf])
        path, listed = _named_at(subject, leaf, stage)
        for skipped in sorted(_demanded(subject, stage) - found - listed):
            if (path, skipped) not in told:
                told.add((path, skipped))
                way = " → ".join(_way(subject, leaf, skipped))
                text = f"{stage} comes after {skipped}, and a way leads here without it: {way}"
                hint = f"promote into {skipped} on this way too"
                yield subject.problem("E-STAGE-SKIP", path, text, hint)


def _way(subject: Subject, goal: str, skipped: str) -> list[str]:
    """Give a shortest way to a leaf on which nothing is promoted into a stage."""
    flow = subject.flow
    came, todo = {flow.start: ""}, [flow.start]
    for leaf in todo:
        brings = _promoted_into(subject, flow.definition.nodes[leaf]) == skipped
        for edge in flow.edges.get(leaf, ()):
            known = edge.target in came or edge.target not in flow.edges
            if not known and not (brings and edge.event == "done"):
                came[edge.target] = leaf
                todo.append(edge.target)
    way = [goal]
    while came.get(way[-1]):
        way.append(came[way[-1]])
    way.reverse()
    return way if len(way) <= SHOWN else [*way[:1], "…", *way[2 - SHOWN :]]


def _demanded(subject: Subject, stage: str) -> set[str]:
    """Give the stages that must have been passed, without what the stage itself asks for."""
    loaded = subject.files.stages.get(stage) if subject.files else None
    if loaded is None:
        return set()
    return {*loaded.spec.after} - {*loaded.spec.requires.verified_in}


def _promoted_into(subject: Subject, node: Node) -> str:
    """Give the stage that the state's steps promote into; empty if they promote nowhere."""
    steps = node.spec.steps or ()
    promotes = any(getattr(subject.catalog.get(s.use), "promotes", False) for s in steps)
    return node.stage if promotes else ""


def _passed(subject: Subject) -> Passed:
    """Give what every way to a leaf has promoted into, for each leaf that can be reached.

    The greatest solution of: what a leaf is entered with is common to all arrows that lead to it;
    its own stage is added where its work is done.
    """
    flow = subject.flow
    nodes = flow.definition.nodes
    beside = _beside(subject)
    entered: dict[str, frozenset[str]] = {flow.start: frozenset()}
    todo = [flow.start]
    while todo:
        leaf = todo.pop()
        for edge in flow.edges.get(leaf, ()):
            if edge.target not in flow.edges:
                continue
            own = _promoted_into(subject, nodes[leaf]) if edge.event == "done" else ""
            brought = entered[leaf] | {own} | beside.get(leaf, frozenset())
            known = entered.get(edge.target)
            common = brought if known is None else known & brought
            if common != known:
                entered[edge.target] = common
                todo.append(edge.target)
    return entered


def _beside(subject: Subject) -> Passed:
    """Give what the other branches promoted into when the last state of a branch joins them."""
    nodes = subject.flow.definition.nodes
    of_region: dict[str, set[str]] = {}
    for node in nodes.values():
        owner, _, _ = node.region.rpartition(".")
        of_region.setdefault(owner, set()).add(_promoted_into(subject, node))
    return {
        path: frozenset(of_region[node.region.rpartition(".")[0]])
        for path, node in nodes.items()
        if node.activity == "final" and node.region and node.parent == node.region
    }


def _named_at(subject: Subject, leaf: str, stage: str) -> tuple[YamlPath, set[str]]:
    """Give where the stage is named, and what is listed behind it, which is told elsewhere."""
    place = subject.skeleton.places[leaf]
    while place.parent is not None and not (place.spec.stage or place.spec.stages):
        place = place.parent
    listed = place.spec.stages or ()
    if stage in listed:
        number = listed.index(stage)
        return place.at("stages", number), {*listed[number + 1 :]}
    return (place.at("stage") if place.spec.stage else place.path), set()
