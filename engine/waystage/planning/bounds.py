"""What a lifecycle guarantees by its text alone: how soon, after whose yes, and how fast back.

- A stage is reached by the first step that promotes into it. The soonest time sums the delays
  of timers on the shortest way; steps, people, cron lines and dates count as nothing.
- The approvals are the fewest that any way there asks for; each counts with its quorum.
- The way back is followed from every `breach` to the first step that takes something back. Its
  longest time sums what steps may take with all their tries, delays, and tasks that end by
  themselves. What has no bound says why.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from waystage.check.flow import END, Flow, Raised
from waystage.kernel import Definition
from waystage.planning.longest import Back, Longest
from waystage.plugin import Plugin

MOST_LOOKS = 20_000
ZERO = timedelta()
Entries = tuple[tuple[str, timedelta], ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """A stage: how soon it can be reached, and what approvals every way there needs."""

    stage: str
    soonest: timedelta
    approvals: int
    tasks: tuple[str, ...]  # of the way with the fewest


@dataclass(frozen=True, slots=True)
class Bounds:
    """The stages in the order in which they are reached, and the ways back from breaches."""

    reaches: tuple[Reach, ...]
    back: tuple[Back, ...]


def bounds_of(definition: Definition, catalog: Mapping[str, type[Plugin]]) -> Bounds:
    """Give the bounds of a lifecycle that has passed `validate`."""
    flow = Flow(definition, lambda _: None)
    promoting = {
        leaf: definition.nodes[leaf].stage
        for leaf in flow.leaves
        if any(getattr(catalog.get(w.spec.use), "promotes", False)
               for w in definition.nodes[leaf].works)
    }  # fmt: skip
    soonest = _soonest(flow, promoting)
    fewest = _fewest(flow, promoting)
    reaches = [
        Reach(stage, at, fewest[stage][0], fewest[stage][1]) for stage, at in soonest.items()
    ]
    return Bounds(tuple(reaches), tuple(Longest(flow, catalog).backs()))


def _soonest(flow: Flow, promoting: Mapping[str, str]) -> dict[str, timedelta]:
    found: dict[str, timedelta] = {}
    number = itertools.count()
    begin = _entered(flow, flow.start, (), ZERO)
    todo: list[tuple[timedelta, int, str, Entries]] = [(ZERO, next(number), flow.start, begin)]
    seen: set[tuple[str, Entries]] = set()
    while todo and next(number) < MOST_LOOKS:
        now, _, leaf, entries = heapq.heappop(todo)
        if (leaf, entries) in seen:
            continue
        seen.add((leaf, entries))
        if leaf in promoting:
            found.setdefault(promoting[leaf], now)
        for raised, target in _ways(flow, leaf):
            at = max(now, _fires(flow, raised, dict(entries)))
            after = _entered(flow, target, entries, at)
            heapq.heappush(todo, (at, next(number), target, after))
    return found


def _ways(flow: Flow, leaf: str) -> Iterator[tuple[Raised | None, str]]:
    """Give every way on with the event that opens it; joins of branches have none."""
    told = set()
    for raised in flow.raised_at(leaf):
        for target in flow.targets(raised):
            rest = flow.definition.leaf_of(target)
            told.add((raised.event, rest))
            yield raised, rest
    for edge in flow.edges[leaf]:
        if edge.target != END and (edge.event, edge.target) not in told:
            yield None, edge.target


def _fires(flow: Flow, raised: Raised | None, entries: Mapping[str, timedelta]) -> timedelta:
    if raised is None or raised.kind != "timer":
        return ZERO
    timer = flow.definition.nodes[raised.owner].spec.timers[raised.event]
    return entries.get(raised.owner, ZERO) + (timer.after or timer.every or ZERO)


def _entered(flow: Flow, leaf: str, before: Entries, now: timedelta) -> Entries:
    """Give when each state around the leaf was entered; those that are not left keep their time."""
    known = dict(before)
    lineage = flow.definition.lineage(leaf)
    kept = {state: known[state] for state in lineage[:-1] if state in known}
    return tuple((state, kept.get(state, now)) for state in lineage)


def _fewest(flow: Flow, promoting: Mapping[str, str]) -> dict[str, tuple[int, tuple[str, ...]]]:
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    number = itertools.count()
    todo: list[tuple[int, int, str, tuple[str, ...]]] = [(0, 0, flow.start, ())]
    seen: set[str] = set()
    while todo:
        count, _, leaf, tasks = heapq.heappop(todo)
        if leaf in seen:
            continue
        seen.add(leaf)
        if leaf in promoting:
            found.setdefault(promoting[leaf], (count, tasks))
        task = flow.definition.nodes[leaf].spec.task
        for raised, target in _ways(flow, leaf):
            approves = task is not None and raised is not None and raised.event in task.approvals
            asked = task.quorum if task is not None and approves else 0
            more = (*tasks, leaf) if asked else tasks
            heapq.heappush(todo, (count + asked, next(number), target, more))
    return found
