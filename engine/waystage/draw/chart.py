"""What a picture shows: boxes in boxes, and arrows between them, as the YAML has them.

A state with `stages:` is one box that names its stages; its copies are not drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from waystage.spec.lifecycle import Arrow, Lifecycle, State, Timer
from waystage.spec.values import format_duration

GUARD_WIDTH = 40
DOTTED = re.compile(r"(?<![\w.\"])(?:[a-z_]\w*\.)+(\w+)(?![\w(.\"])")


@dataclass(eq=False)
class Box:
    """One state, or one branch of a state."""

    path: str
    title: str
    kind: str
    lines: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    parent: Box | None = None
    children: list[Box] = field(default_factory=list)
    first: bool = False

    def above(self) -> list[Box]:
        """Give the box and all around it, the innermost first."""
        return [self, *(self.parent.above() if self.parent else [])]


@dataclass(frozen=True)
class Link:
    """All arrows from one box to another."""

    source: Box
    target: Box
    events: tuple[str, ...]
    labels: tuple[str, ...]
    full: str


@dataclass
class Chart:
    """One lifecycle, ready to be drawn."""

    title: str
    root: Box
    boxes: dict[str, Box]
    links: list[Link]


def chart_of(lifecycle: Lifecycle) -> Chart:
    """Read a chart from a lifecycle whose names are right."""
    root = Box("", lifecycle.title or lifecycle.lifecycle, "root")
    chart = Chart(f"{lifecycle.lifecycle}: {root.title}", root, {}, [])
    specs: dict[str, State] = {}
    _add(chart, specs, root, lifecycle.states, lifecycle.initial)
    for path, spec in specs.items():
        chart.links.extend(_links(chart, chart.boxes[path], spec))
    return chart


def _add(
    chart: Chart, specs: dict[str, State], parent: Box, states: Mapping[str, State], initial: str
) -> None:
    for name, spec in states.items():
        box = _box(parent, name, spec)
        box.first = name == initial
        specs[box.path] = spec
        parent.children.append(box)
        chart.boxes[box.path] = box
        if spec.states:
            _add(chart, specs, box, spec.states, spec.initial or next(iter(spec.states)))
        for branch, inner in (spec.branches or {}).items():
            part = Box(f"{box.path}.{branch}", branch, "branch", parent=box)
            box.children.append(part)
            chart.boxes[part.path] = part
            _add(chart, specs, part, inner.states, inner.initial)


def _box(parent: Box, name: str, spec: State) -> Box:
    path = f"{parent.path}.{name}" if parent.path else name
    stages = spec.stages or ((spec.stage,) if spec.stage else ())
    kind = "states" if spec.activity == "stages" else spec.activity
    return Box(path, spec.title or name, kind, tuple(_lines(name, spec)), stages, parent)


def _lines(name: str, spec: State) -> Iterator[str]:
    for step in spec.steps or ():
        yield step.use + (" (if …)" if step.if_ else "")
    if spec.task:
        quorum = f", {spec.task.quorum} of them" if spec.task.quorum > 1 else ""
        yield f"for {', '.join(spec.task.for_)}{quorum}"
        if spec.task.due:
            yield f"due {format_duration(spec.task.due)}"
    for monitor in spec.verify or ():
        yield f"check {monitor}"
    if spec.call:
        yield f"run {spec.call.lifecycle}"
    if spec.final and spec.outcome and spec.outcome != name:
        yield spec.outcome
    for event, timer in spec.timers.items():
        if event not in spec.next:
            yield f"{event}: {when(timer)}"


def when(timer: Timer) -> str:
    """Say in few words when a timer fires."""
    if timer.after is not None:
        return f"after {format_duration(timer.after)}"
    if timer.every is not None:
        return f"every {format_duration(timer.every)}"
    if timer.at is not None:
        return f"at {timer.at.isoformat(timespec='minutes')}"
    return f"cron {timer.cron}"


def _links(chart: Chart, box: Box, spec: State) -> Iterator[Link]:
    found: dict[str, list[tuple[str, Arrow]]] = {}
    for event, arrows in spec.next.items():
        for arrow in arrows:
            target = _resolve(chart, box, arrow.to)
            if target is not None:
                found.setdefault(target.path, []).append((event, arrow))
    for path, each in found.items():
        events = tuple(dict.fromkeys(event for event, _ in each))
        labels = tuple(dict.fromkeys(_label(spec, *one) for one in each))
        full = "; ".join(f"{e} if {a.if_}" if a.if_ else e for e, a in each)
        yield Link(box, chart.boxes[path], events, labels, full)


def _label(spec: State, event: str, arrow: Arrow) -> str:
    timer = f", {when(spec.timers[event])}" if event in spec.timers else ""
    guard = f" [{_short(arrow.if_)}]" if arrow.if_ else ""
    return f"{event}{timer}{guard}"


def _short(text: str) -> str:
    """Say a guard in few words: names by their last part, which is what tells guards apart."""
    plain = " ".join(DOTTED.sub(r"\1", text).split())
    return plain if len(plain) <= GUARD_WIDTH else plain[: GUARD_WIDTH - 1] + "…"


def _resolve(chart: Chart, box: Box, target: str) -> Box | None:
    level = box.parent
    while level is not None:
        path = f"{level.path}.{target}" if level.path else target
        if path in chart.boxes:
            return chart.boxes[path]
        if (named := chart.boxes.get(unstaged(chart, path))) is not None:
            return named
        if level.kind == "branch":
            return None
        level = level.parent
    return None


def unstaged(chart: Chart, path: str) -> str:
    """Give the drawn box of an expanded state: `promote.SIT.deploy` is in `promote.deploy`."""
    known = ""
    for part in path.split("."):
        longer = f"{known}.{part}" if known else part
        if longer in chart.boxes:
            known = longer
        elif known in chart.boxes and part in chart.boxes[known].stages:
            continue
        else:
            return longer
    return known
