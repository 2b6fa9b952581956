"""Whether an open run can follow another version of its lifecycle, and how it would come there.

A run fits as it is (`auto`) if each state that it is in, with its open task, its timers and the
work that is under way, is there unchanged; what lies elsewhere may change freely. Otherwise a
person says by a mapping which state it goes to (`map`). Some things no mapping may take away
(`blocked`): an open task whose form changed, a step that is being called, a child run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from waystage.kernel import Definition, Node, Run
from waystage.kernel.migration import Migration, Shift
from waystage.planning.carry import carried
from waystage.spec.lifecycle import Task

Verdict: TypeAlias = Literal["same", "auto", "map", "blocked"]


@dataclass(frozen=True, slots=True)
class Fit:
    """What a change means for one run; with `migration` it can be made as it is."""

    run: str
    verdict: Verdict
    places: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    migration: Migration | None = None
    homeless: tuple[str, ...] = ()  # states that the mapping must find a place for


@dataclass(frozen=True, slots=True)
class Change:
    """A change of definitions, and what a person says about it."""

    old: Definition
    new: Definition
    mapping: Mapping[str, str]
    given: Mapping[str, Any]  # what the service sets for parameters


def fit_of(
    old: Definition,
    new: Definition,
    run: Run,
    mapping: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> Fit:
    """Say what the new definition means for the run; paths in the mapping are expanded ones."""
    places = tuple(run.places)
    if run.definition == new.hash:
        return Fit(run.id, "same", places)
    if run.paused:  # what was kept while it is paused is for the states that it is in
        why = f"it is paused by {run.paused['by']}; waystage resume {run.id}"
        return Fit(run.id, "blocked", places, (why,))
    change = Change(old, new, mapping or {}, given or {})
    shifts: list[Shift] = []
    blocked, homeless = [], {}
    for region in sorted(run.regions):
        leaf = run.regions[region]
        if any(leaf.startswith(f"{shift.leaf}.") for shift in shifts):
            continue  # left together with the state that the branches belong to
        why, target = _unlike(change, run, leaf), change.mapping.get(leaf)
        if not why and target is None:
            continue
        blocked += list(_held(change, run, leaf, target))
        if target is None:
            homeless[leaf] = why
        else:
            shifts.append(Shift(region, leaf, target, _kept(change, run, leaf, target)))
    values = carried(change.old.spec, change.new.spec, run.params, run.data, change.given)
    blocked += values.unfit
    if blocked:
        return Fit(run.id, "blocked", places, tuple(dict.fromkeys(blocked)))
    if homeless:
        return Fit(run.id, "map", places, tuple(homeless.values()), homeless=tuple(homeless))
    move = Migration(old.hash, new.hash, tuple(shifts), values.params, values.data)
    notes = (*values.notes, *_voided(run, shifts))
    verdict: Verdict = "map" if shifts else "auto"
    reasons = tuple(f"{shift.leaf} → {shift.to}" for shift in shifts)
    return Fit(run.id, verdict, places, reasons, notes, move)


def _unlike(change: Change, run: Run, leaf: str) -> str:
    """Say what of the states that the run is in is not there unchanged; empty if all is."""
    for node in change.old.chain(leaf):
        other = change.new.nodes.get(node.path)
        if other is None:
            return f"{node.path} is gone"
        if why := _surroundings(node, other):
            return f"{node.path}: {why}"
    node, other = change.old.nodes[leaf], change.new.nodes[leaf]
    why = _activity(change, node, other, run.activities.get(leaf, {}), run)
    return f"{leaf}: {why}" if why else ""


def _surroundings(node: Node, other: Node) -> str:
    if node.activity != other.activity:
        return f"it had {node.activity}, now {other.activity}"
    if node.region != other.region or node.stage != other.stage:
        return "it lies elsewhere"
    if node.spec.lease != other.spec.lease:
        return "its lease changed"
    for name in {**node.spec.timers, **other.spec.timers}:
        if node.spec.timers.get(name) != other.spec.timers.get(name):
            return f"its timer {name} changed"
    return ""


def _activity(change: Change, node: Node, other: Node, activity: dict[str, Any], run: Run) -> str:
    begun = activity.get("index", -1) + 1
    if set(_names(node)) != set(_names(other)):
        return "its branches changed"
    if activity.get("task") and node.spec.task != other.spec.task:
        return "its task changed"
    if node.works and [w.spec for w in node.works[:begun]] != [w.spec for w in other.works[:begun]]:
        return "a step that has begun changed"
    if activity.get("child") and node.spec.call != other.spec.call:
        return "what it calls changed"
    return _measuring(change, node, other, begun) if activity.get("busy") else ""


def _names(node: Node) -> list[str]:
    return [branch.rpartition(".")[2] for branch in node.branches]


def _measuring(change: Change, node: Node, other: Node, begun: int) -> str:
    if not node.spec.verify or not other.spec.verify:
        return ""
    if node.spec.verify[:begun] != other.spec.verify[:begun]:
        return "the monitors that it measures changed"
    name = node.spec.verify[begun - 1]
    was, now = change.old.spec.monitors[name], change.new.spec.monitors[name]
    alike = (was.use, was.with_, was.window, was.minimum)
    return "" if alike == (now.use, now.with_, now.window, now.minimum) else f"{name} changed"


def _held(change: Change, run: Run, leaf: str, target: str | None) -> Iterator[str]:
    """Say what may not be taken away where the run would leave this leaf."""
    there = change.new.nodes.get(target) if target else None
    if target and (there is None or there.region != change.old.nodes[leaf].region):
        yield f"{leaf}: there is no state {target} that it could go to"
    for state, activity in run.activities.items():
        if state != leaf and not state.startswith(f"{leaf}."):
            continue
        if activity.get("task"):
            if why := _task_held(change, state, leaf, target):
                title = activity["body"]["title"]
                yield f"{state}: its task “{title}” is open and {why}; have it answered first"
        elif activity.get("busy"):
            yield f"{state}: its work is under way; wait for its answer"
        elif activity.get("child"):
            yield f"{state}: its child run is not over; wait for it"


def _task_held(change: Change, state: str, leaf: str, target: str | None) -> str:
    spec = change.old.nodes[state].spec.task
    there = change.new.nodes.get(target or state)
    if spec is None or (there is None and target is None):
        return ""  # a mapping may yet name a state that asks for the same
    return _form(spec, there.spec.task if there and state == leaf else None)


def _form(old: Task, new: Task | None) -> str:
    """Say why an answer that people are working on would not fit; empty if it does."""
    if new is None:
        return "would be closed without an answer"
    fields = {name for name in {**old.form, **new.form} if old.form.get(name) != new.form.get(name)}
    if fields:
        return f"its form changed ({', '.join(sorted(fields))})"
    if (old.outcomes, old.approvals) != (new.outcomes, new.approvals):
        return "its outcomes changed"
    return ""


def _kept(change: Change, run: Run, leaf: str, target: str) -> str:
    """Give the innermost state around the leaf that the run need not leave."""
    if target not in change.new.nodes:
        return ""
    kept = ""
    rest = change.new.leaf_of(target)
    pairs = zip(change.old.lineage(leaf), change.new.lineage(rest), strict=False)
    for state, other in pairs:
        if state != other or state in (leaf, target) or state in run.waiting:
            break
        if state not in run.entered or _surroundings(
            change.old.nodes[state], change.new.nodes[state]
        ):
            break
        kept = state
    return kept


def _voided(run: Run, shifts: list[Shift]) -> Iterator[str]:
    gone = {shift.leaf for shift in shifts}
    for state, activity in run.activities.items():
        if activity.get("task") and state not in gone and activity["body"]["votes"]:
            yield f"{state}: {len(activity['body']['votes'])} votes are void, they are asked anew"
