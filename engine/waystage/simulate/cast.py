"""Who and what a simulated run is about when nobody says it: snapshot, service, people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from waystage.errors import ExpressionError
from waystage.expressions import Expression, compile_expression
from waystage.expressions.ast import Binary, ListOf, Literal, Node, dotted, walk
from waystage.kernel import Run
from waystage.simulate.prepared import Prepared
from waystage.simulate.sample import sample
from waystage.simulate.world import World
from waystage.spec.project import Person, Project

STARTER, AUTHOR, ENOUGH = "starter", "author", 6
MOST_TAGS = 1000


def open_run(
    prepared: Prepared, world: World, service: str, tags: Mapping[str, str],
    params: Mapping[str, Any],
) -> Run:  # fmt: skip
    """Give a run that has not begun, on a made-up snapshot with these tags."""
    snapshot = {
        "name": "example", "version": "1", "author": AUTHOR, "tags": dict(tags),
        "digest": f"sha256:{hashlib.sha256(b'example/1').hexdigest()}",
        "services": [service], "format": _format(world), "inputs": [], "outputs": [],
        "example": [], "metrics": {}, "lineage": {}, "files": {}, "repository": "",
    }  # fmt: skip
    given = prepared.params(_made_up(prepared), world.params_of(service), params)
    return Run(
        "simulated-1", prepared.spec.lifecycle, prepared.definition.hash, service, snapshot, given,
        STARTER, data=dict(prepared.data),
    )  # fmt: skip


def _made_up(prepared: Prepared) -> dict[str, Any]:
    """Give the parameters that a service must say, for one that says nothing."""
    fields = prepared.spec.params.items()
    return {name: sample(field.json_schema(), name) for name, field in fields
            if field.required and field.default is None}  # fmt: skip


def _format(world: World) -> str:
    wanted = [each for stage in world.stages.values() for each in stage.requires.formats]
    return wanted[0] if wanted else "onnx"


def service_of(prepared: Prepared, world: World) -> str:
    """Give a service that the lifecycle is for: one of the project's, or a made-up one."""
    from fnmatch import fnmatchcase

    globs = prepared.spec.services
    known = world.project.services if world.project else {}
    met = [name for name in known if any(fnmatchcase(name, glob) for glob in globs)]
    return met[0] if met else globs[0].replace("*", "example").replace("?", "x")


def people_of(prepared: Prepared, world: World) -> Project:
    """Give the project's people, or enough made-up ones of every role that a task is for."""
    if world.project is not None and world.project.people:
        return world.project
    people: dict[str, Person] = {}
    for who in sorted(set(_wanted(prepared, world))):
        role = who.removeprefix("role:")
        names = [who] if role == who else [f"{role}-{n}" for n in range(1, ENOUGH)]
        people |= {name: Person(roles=(role,)) for name in names if name}
    return Project(project="simulated", people=people)


def _wanted(prepared: Prepared, world: World, *seen: str) -> Iterator[str]:
    """Give who tasks are for, also those of lifecycles that are called."""
    for node in prepared.definition.nodes.values():
        called = node.spec.call.lifecycle if node.spec.call else ""
        if called in world.lifecycles and called not in seen:
            yield from _wanted(world.lifecycles[called], world, *seen, called)
        if task := node.spec.task:
            yield from (*task.for_, *task.required)
            yield from task.escalate.to if task.escalate else ()


def tags_of(prepared: Prepared) -> list[dict[str, str]]:
    """Give sets of tags that make a difference to the lifecycle and that would open a run."""
    said: dict[str, list[str]] = {}
    for expression in _expressions(prepared):
        for node in walk(expression.ast):
            for tag, value in _compared(node):
                values = said.setdefault(tag, [])
                if value not in values:
                    values.append(value)
    every = product(*([(tag, value) for value in values] for tag, values in said.items()))
    found = [dict(each) for each in islice(every, MOST_TAGS)]
    return [tags for tags in found if _opens(prepared, tags)] or found


def _compared(node: Node) -> Iterator[tuple[str, str]]:
    if isinstance(node, Binary) and node.operator in ("==", "!=", "in"):
        path = dotted(node.left)
        if path is not None and len(path) == 3 and path[:2] == ("snapshot", "tags"):
            right = node.right.items if isinstance(node.right, ListOf) else (node.right,)
            for each in right:
                if isinstance(each, Literal) and isinstance(each.value, str):
                    yield path[2], each.value


def _expressions(prepared: Prepared) -> Iterator[Expression]:
    for trigger in prepared.spec.start:
        if trigger.if_:
            yield compile_expression(trigger.if_)
    for node in prepared.definition.nodes.values():
        yield from (way.guard for ways in node.ways.values() for way in ways if way.guard)
        yield from (work.guard for work in node.works if work.guard)


def _opens(prepared: Prepared, tags: Mapping[str, str]) -> bool:
    triggers = [each.if_ for each in prepared.spec.start]
    if not triggers:
        return True
    names = {"snapshot": {"tags": dict(tags)}, "service": "", "params": {}, "data": {}}
    return any(trigger is None or _holds(trigger, names) for trigger in triggers)


def _holds(trigger: str, names: dict[str, Any]) -> bool:
    try:
        return compile_expression(trigger).evaluate(names) is True
    except ExpressionError:
        return False
