"""A lifecycle made ready to run: a tree of nodes, names resolved, guards compiled.

Nested states become leaves named by their path; a `stages:` state becomes one state per stage;
a state with branches is a leaf of its own region, and each branch is a region below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from waystage.errors import WaystageError
from waystage.expressions import (
    Expression,
    Template,
    Type,
    compile_expression,
    compile_template,
    type_from_json_schema,
)
from waystage.kernel.machine import RegionMachine, build_machines
from waystage.spec.lifecycle import Arrow, FieldSpec, Lifecycle, State, Step

ROOT = ""
CHANGES = ("none", "back", "forward")


class DefinitionError(WaystageError):
    """The lifecycle cannot be run; `waystage validate` says why."""

    code = "E-DEFINITION"


@dataclass(frozen=True, slots=True)
class Way:
    """One compiled arrow: the target node, its guard, what it sets, and whose `next` has it."""

    event: str
    source: str
    target: str
    guard: Expression | None
    set: tuple[tuple[str, Template], ...]


@dataclass(frozen=True, slots=True)
class Work:
    """One compiled step of a state."""

    index: int
    spec: Step
    slot: str  # the step's id, or its number: the last part of its key
    guard: Expression | None
    config: Template
    undo: Template | None


@dataclass(slots=True)
class Node:
    """One state of the expanded tree."""

    path: str
    name: str
    spec: State
    parent: str | None
    region: str
    stage: str
    activity: str
    children: list[str] = field(default_factory=list)
    initial: str = ""
    next_stage: str | None = None  # for the state of one stage: the state of the next
    is_stage: bool = False
    ways: dict[str, list[Way]] = field(default_factory=dict)
    works: tuple[Work, ...] = ()
    lease: Template | None = None
    task: Template | None = None
    call: Template | None = None  # the parameters of the child run
    branches: tuple[str, ...] = ()
    change: str = "none"  # what its steps do to its stage: none, back, forward

    @property
    def leaf(self) -> bool:
        """Whether a region can rest here: it has no states below in its own region."""
        return self.activity != "states"


@dataclass
class Definition:
    """A lifecycle ready to run; `hash` is its version."""

    hash: str
    spec: Lifecycle
    nodes: dict[str, Node]
    region_initial: dict[str, str]
    _lineages: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def data_types(self) -> dict[str, Type]:
        """The type of each variable."""
        return _types(self.spec.data)

    @cached_property
    def param_types(self) -> dict[str, Type]:
        """The type of each parameter."""
        return _types(self.spec.params)

    @cached_property
    def machines(self) -> dict[str, RegionMachine]:
        """One flat state machine per region."""
        return build_machines(self)

    def chain(self, path: str) -> Iterator[Node]:
        """Give the node and its ancestors, the nearest first, up to the region's root."""
        node: Node | None = self.nodes.get(path)
        region = node.region if node else ROOT
        while node is not None and node.region == region:
            yield node
            node = self.nodes.get(node.parent) if node.parent else None

    def lineage(self, path: str) -> tuple[str, ...]:
        """Give the paths from the region's root down to the node itself."""
        found = self._lineages.get(path)
        if found is None:
            found = tuple(node.path for node in self.chain(path))[::-1]
            self._lineages[path] = found
        return found

    def domain(self, source: str, target: str) -> str | None:
        """Give the state within which an arrow moves, None for the region itself.

        A state that names itself, or one that it lies in, is left and entered anew.
        """
        pairs = zip(self.lineage(source), self.lineage(target), strict=False)
        shared = [a for a, b in pairs if a == b]
        if shared and shared[-1] == target:
            shared.pop()
        return shared[-1] if shared else None

    def leaf_of(self, path: str) -> str:
        """Follow `initial` down to where the region comes to rest."""
        while not self.nodes[path].leaf:
            path = self.nodes[path].initial
        return path

    def ways_from(self, leaf: str, event: str) -> list[Way]:
        """Give the arrows that may answer the event in this leaf: child before parent."""
        for node in self._answering(leaf, event):
            if event in node.ways:
                return node.ways[event]
            if event == "done" and node.next_stage:
                return [Way("done", node.path, node.next_stage, None, ())]
        return []

    def _answering(self, leaf: str, event: str) -> Iterator[Node]:
        chain = list(self.chain(leaf))
        if chain[0].activity == "final":
            chain = chain[1:]
        if event != "done":
            yield from chain
            return
        # `done` never bubbles, except from the last stage to the state that lists the stages
        for node in chain:
            yield node
            if not node.is_stage or node.next_stage:
                return


def nothing_changes(use: str) -> str:
    """Know of no step that changes a stage."""
    del use
    return CHANGES[0]


def compile_lifecycle(
    spec: Lifecycle, digest: str, changes: Callable[[str], str] = nothing_changes
) -> Definition:
    """Expand, resolve and compile; raises `DefinitionError` or `ExpressionError`.

    `changes` gives what a step does to its stage: `none`, `back` or `forward`.
    """
    definition = Definition(digest, spec, {}, {ROOT: spec.initial})
    _add_states(definition, spec.states, parent=None, region=ROOT, stage="")
    if spec.initial not in definition.nodes:
        raise DefinitionError(f"{spec.lifecycle}: initial: there is no state {spec.initial!r}")
    for node in definition.nodes.values():
        _compile_node(definition, node)
        found = [changes(step.use) for step in node.spec.steps or ()]
        node.change = max(found, key=CHANGES.index, default=CHANGES[0])
    return definition


def _add_states(
    d: Definition, states: dict[str, State], *, parent: str | None, region: str, stage: str
) -> list[str]:
    paths = []
    for name, spec in states.items():
        path = f"{parent}.{name}" if parent else name
        paths.append(path)
        own_stage = spec.stage or stage
        node = Node(path, name, spec, parent, region, own_stage, spec.activity)
        d.nodes[path] = node
        if spec.stages:
            _add_stages(d, node, spec, region)
        elif spec.states:
            node.activity = "states"
            node.children = _add_states(d, spec.states, parent=path, region=region, stage=own_stage)
            node.initial = f"{path}.{spec.initial or next(iter(spec.states))}"
        elif spec.branches:
            node.branches = tuple(_add_branches(d, node, spec))
    return paths


def _add_stages(d: Definition, node: Node, spec: State, region: str) -> None:
    assert spec.stages
    assert spec.states
    node.activity = "states"
    names = [f"{node.path}.{stage}" for stage in spec.stages]
    node.children, node.initial = names, names[0]
    for stage, path, following in zip(spec.stages, names, [*names[1:], None], strict=True):
        inner = State.model_construct(lease=spec.lease, states=spec.states, next={}, timers={})
        each = Node(path, stage, inner, node.path, region, stage, "states")
        each.is_stage, each.next_stage = True, following
        d.nodes[path] = each
        each.children = _add_states(d, spec.states, parent=path, region=region, stage=stage)
        each.initial = f"{path}.{spec.initial or next(iter(spec.states))}"


def _add_branches(d: Definition, node: Node, spec: State) -> Iterator[str]:
    assert spec.branches
    for name, branch in spec.branches.items():
        region = f"{node.path}.{name}"
        _add_states(d, branch.states, parent=region, region=region, stage=node.stage)
        d.region_initial[region] = f"{region}.{branch.initial}"
        yield region


def resolve(d: Definition, node: Node, target: str) -> str | None:
    """Find the state that `target` names, from the node's own level outward."""
    level = node.parent
    while True:
        path = f"{level}.{target}" if level else target
        if path in d.nodes:
            return path
        if not level or (level in d.region_initial and level != ROOT):
            return None
        level = level.rpartition(".")[0]


def _compile_node(d: Definition, node: Node) -> None:
    spec = node.spec
    node.ways = {
        event: [_way(d, node, event, a) for a in arrows] for event, arrows in spec.next.items()
    }
    if spec.lease and (node.is_stage or not spec.stages):
        node.lease = compile_template(spec.lease)
    if spec.steps:
        node.works = tuple(_work(index, step) for index, step in enumerate(spec.steps))
    if spec.task:
        node.task = compile_template(_task_body(spec))
    if spec.call:
        node.call = compile_template(spec.call.with_)
    if node.initial and node.initial not in d.nodes:
        raise DefinitionError(f"{node.path}: initial: there is no state {node.initial!r}")


def _way(d: Definition, node: Node, event: str, arrow: Arrow) -> Way:
    target = resolve(d, node, arrow.to)
    if target is None:
        raise DefinitionError(f"{node.path}: next: {event}: there is no state {arrow.to!r}")
    guard = compile_expression(arrow.if_) if arrow.if_ else None
    sets = tuple((name, compile_template(value)) for name, value in arrow.set.items())
    return Way(event, node.path, target, guard, sets)


def _work(index: int, step: Step) -> Work:
    guard = compile_expression(step.if_) if step.if_ else None
    undo = compile_template(step.undo.with_) if step.undo else None
    return Work(index, step, step.id or str(index), guard, compile_template(step.with_), undo)


def _task_body(spec: State) -> dict[str, Any]:
    assert spec.task
    task = spec.task
    return {
        "title": task.title,
        "text": task.text,
        "for": list(task.for_),
        "exclude": list(task.exclude),
        "quorum": task.quorum,
        "required": list(task.required),
        "form": {
            name: field.json_schema() | {"required": field.required}
            for name, field in task.form.items()
        },
        "outcomes": list(task.outcomes),
        "approvals": list(task.approvals),
    }


def _types(fields: dict[str, FieldSpec]) -> dict[str, Type]:
    return {name: type_from_json_schema(field.json_schema()) for name, field in fields.items()}
