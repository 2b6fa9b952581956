"""What differs between two versions of a lifecycle, in the words that its YAML is written in.

States are compared by their path, as they are written: those of `stages:` once. Steps are
compared by their id, or by the plugin and how often it came before.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from waystage.spec.lifecycle import Arrow, Lifecycle, State, Step, Task
from waystage.spec.values import Spec

Sign: TypeAlias = Literal["+", "-", "~"]
PARTS = ("title", "stage", "stages", "initial", "lease", "verify", "call", "outcome", "signals")
HEAD = ("title", "description", "services", "start", "initial")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that was added, removed or changed: what it is, where, and how."""

    sign: Sign
    what: str
    where: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.what:<8} {self.where}{': ' if self.text else ''}{self.text}"


def differences(old: Lifecycle, new: Lifecycle) -> list[Difference]:
    """Give all differences; none if both say the same."""
    found = list(_fields("file", "", _said(old, HEAD), _said(new, HEAD)))
    for what in ("params", "data", "monitors"):
        found += _members(what.removesuffix("s"), getattr(old, what), getattr(new, what))
    before, after = dict(_states(old.states)), dict(_states(new.states))
    found += [Difference("-", "state", p, _gist(s)) for p, s in before.items() if p not in after]
    for path, state in after.items():
        if path in before:
            found += _state(path, before[path], state)
        else:
            found.append(Difference("+", "state", path, _gist(state)))
    return found


def renames(old: Lifecycle, new: Lifecycle) -> dict[str, str]:
    """Guess which state became which: gone and new ones that do the same, by their path."""
    before, after = dict(_states(old.states)), dict(_states(new.states))
    fresh = {path: state for path, state in after.items() if path not in before}
    found = {}
    for path, state in before.items():
        alike = [p for p, other in fresh.items() if _doing(other) == _doing(state)]
        if path not in after and len(alike) == 1:
            found[path] = alike[0]
    return found


def _doing(state: State) -> str:
    return json.dumps(_dump(state, leave={"next", "title"}), sort_keys=True)


def _states(states: Mapping[str, State], above: str = "") -> Iterator[tuple[str, State]]:
    for name, state in states.items():
        path = f"{above}.{name}" if above else name
        yield path, state
        yield from _states(state.states or {}, path)
        for branch, inner in (state.branches or {}).items():
            yield from _states(inner.states, f"{path}.{branch}")


def _gist(state: State) -> str:
    if state.steps:
        return "calls " + ", ".join(step.use for step in state.steps)
    if state.task:
        return f"asks {', '.join(state.task.for_)}: “{state.task.title}”"
    if state.verify:
        return "measures " + ", ".join(state.verify)
    if state.final:
        return f"ends{f' as {state.outcome}' if state.outcome else ''}"
    return {"states": "has states", "stages": f"once per {', '.join(state.stages or ())}"}.get(
        state.activity, state.activity
    )


def _state(path: str, old: State, new: State) -> Iterator[Difference]:
    if old.activity != new.activity:
        yield Difference("~", "state", path, f"{_gist(old)} → {_gist(new)}")
    else:
        yield from _fields("state", path, _said(old, PARTS), _said(new, PARTS))
        yield from _steps(path, old.steps or (), new.steps or ())
        yield from _task(path, old.task, new.task)
        yield from _branches(path, old, new)
    yield from _members("timer", old.timers, new.timers, path)
    yield from _arrows(path, old.next, new.next)


def _branches(path: str, old: State, new: State) -> Iterator[Difference]:
    before = {name: branch.initial for name, branch in (old.branches or {}).items()}
    after = {name: branch.initial for name, branch in (new.branches or {}).items()}
    yield from _fields("branch", path, before, after)


def _task(path: str, old: Task | None, new: Task | None) -> Iterator[Difference]:
    if old is None or new is None:
        return
    yield from _fields("task", path, _full(old, leave={"form"}), _full(new, leave={"form"}))
    yield from _members("form", old.form, new.form, path)


def _steps(path: str, old: Sequence[Step], new: Sequence[Step]) -> Iterator[Difference]:
    before, after = _numbered(old), _numbered(new)
    yield from _members("step", before, after, path)
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        yield Difference("~", "order", path, f"now {', '.join(after)}")


def _numbered(steps: Sequence[Step]) -> dict[str, Step]:
    seen: Counter[str] = Counter()
    found = {}
    for step in steps:
        seen[step.use] += 1
        name = f"{step.use}#{step.id}" if step.id else step.use
        name = name if name not in found else f"{step.use} ({seen[step.use]})"
        found[name] = step
    return found


def _arrows(
    path: str, old: Mapping[str, Sequence[Arrow]], new: Mapping[str, Sequence[Arrow]]
) -> Iterator[Difference]:
    for event in {**old, **new}:
        before, after = list(old.get(event, ())), list(new.get(event, ()))
        gone = [arrow for arrow in before if arrow not in after]
        fresh = [arrow for arrow in after if arrow not in before]
        for arrow in gone:
            other = _counterpart(arrow, fresh)
            if other is None:
                yield Difference("-", "arrow", path, _arrow(event, arrow))
                continue
            fresh.remove(other)
            yield from _other_way(path, event, arrow, other)
        yield from (Difference("+", "arrow", path, _arrow(event, arrow)) for arrow in fresh)
        order = [arrow for arrow in after if arrow in before]
        if order != [arrow for arrow in before if arrow in after]:
            ways = ", ".join(arrow.to for arrow in after)
            yield Difference("~", "order", path, f"{event} tries {ways}, in this order")


def _counterpart(arrow: Arrow, fresh: list[Arrow]) -> Arrow | None:
    same_end = [each for each in fresh if each.to == arrow.to]
    same_guard = [each for each in fresh if each.if_ == arrow.if_]
    return next(iter(same_end + same_guard), None)


def _other_way(path: str, event: str, old: Arrow, new: Arrow) -> Iterator[Difference]:
    way = f"{event} → {new.to}"
    if old.to != new.to:
        yield Difference("~", "arrow", path, f"{_arrow(event, old)} becomes {way}")
    if old.if_ != new.if_:
        text = f"{way}: if {old.if_ or 'always'} → if {new.if_ or 'always'}"
        yield Difference("~", "guard", path, text)
    if old.set != new.set:
        yield Difference("~", "arrow", path, f"{way}: sets {_short(old.set)} → {_short(new.set)}")


def _arrow(event: str, arrow: Arrow) -> str:
    return f"{event} → {arrow.to}" + (f" if {arrow.if_}" if arrow.if_ else "")


def _members(
    what: str, old: Mapping[str, Spec], new: Mapping[str, Spec], path: str = ""
) -> Iterator[Difference]:
    """Compare named things of one kind."""
    for name in {**old, **new}:
        where = f"{path}: {name}" if path else name
        if name not in new:
            yield Difference("-", what, where)
        elif name not in old:
            yield Difference("+", what, where, _short(_dump(new[name])))
        else:
            yield from _fields(what, where, _full(old[name]), _full(new[name]))


def _fields(
    what: str, where: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Difference]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for key in {**before, **after}:
        if before.get(key) != after.get(key):
            text = f"{key}: {_short(before.get(key))} → {_short(after.get(key))}"
            yield Difference("~", what, where or "lifecycle", text)


def _leaves(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, part in value.items():
        key = f"{above}.{name}" if above else str(name)
        if isinstance(part, Mapping) and part:
            yield from _leaves(part, key)
        else:
            yield key, part


def _said(spec: Spec, names: Sequence[str]) -> dict[str, Any]:
    return {name: part for name, part in _dump(spec).items() if name in names}


def _dump(spec: Spec, leave: set[str] | None = None) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=leave)


def _full(spec: Spec, leave: set[str] | None = None) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=True, exclude=leave)  # a default is a value too


def _short(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
