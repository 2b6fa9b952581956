"""Which snapshot of a service, in which stage, a question from outside of its run is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waystage.daemon.context import StepContext, placement_from
from waystage.errors import Conflict, NotFound
from waystage.kernel import Definition
from waystage.plugin import Placement, Snapshot

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.store import PlacementRow


@dataclass(frozen=True, slots=True)
class Which:
    """What was asked for; what is empty is found out: the stage, and its champion of now."""

    service: str
    stage: str = ""
    version: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """A snapshot that runs in a stage, or ran there, and the run that it is asked of.

    That is the one that brought it there, or another open run of the snapshot that has the monitor.
    """

    placement: PlacementRow
    run: dict[str, Any]
    definition: Definition

    @property
    def by(self) -> str:
        """The run's id."""
        return str(self.run["id"])

    @property
    def snapshot(self) -> Snapshot:
        """Give the snapshot with its manifest."""
        return Snapshot.model_validate(self.run["snapshot"])

    def names(self) -> dict[str, Any]:
        """Give what thresholds may name."""
        parts = ("params", "data", "snapshot", "service", "steps", "tasks")
        return {part: self.run.get(part, {}) for part in parts} | {"stage": self.placement.stage}

    def context(self, daemon: Daemon, key: str, memo: dict[str, Any] | None = None) -> StepContext:
        """Give the context in which plugins are asked about it, outside of its run."""
        row = self.placement
        return StepContext(
            daemon.connections, lambda service: _placed(daemon, service, row), key, self.by,
            "by hand", row.service, row.stage, self.snapshot, self.run.get("params", {}), 1,
            memo or {},
        )  # fmt: skip


def subject_of(daemon: Daemon, which: Which, monitor: str = "") -> Subject:
    """Find the placement that is meant; raises `NotFound` or `Conflict` saying what there is."""
    rows = daemon.store.placements(service=which.service, history=True)
    if which.run:
        rows = [row for row in rows if row.run == which.run]
    if not rows:
        raise NotFound(_nowhere(daemon, which))
    if which.version:
        rows = _of_version(rows, which)
    stage = which.stage or _stage_of(daemon, rows, monitor)
    here = [row for row in rows if row.stage == stage]
    if not here:
        known = ", ".join(dict.fromkeys(row.stage for row in rows))
        raise NotFound(f"{which.service} was never in {stage}; it was in {known}")
    # the champion of now; else what is there now; else what was there last
    row = min(here, key=lambda each: (each.until is not None, each.role != "champion"))
    body = daemon.store.run_body(row.run)
    if body is None:
        raise NotFound(f"there is no run {row.run!r} any more")
    found = Subject(row, body, daemon.definitions.by_hash(body["definition"]))
    if not monitor or which.run or monitor in found.definition.spec.monitors:
        return found
    others = (o for o in beside(daemon, found) if monitor in o.definition.spec.monitors)
    return next(others, found)


def beside(daemon: Daemon, known: Subject) -> Iterator[Subject]:
    """Give what other open runs of the same service and snapshot are asked of, the newest first."""
    row = known.placement
    for run in daemon.store.runs(service=row.service, status="open"):
        if run.snapshot != row.snapshot or run.id == known.by:
            continue
        if (body := daemon.store.run_body(run.id)) is not None:
            yield Subject(row, body, daemon.definitions.by_hash(run.definition))


def _of_version(rows: list[PlacementRow], which: Which) -> list[PlacementRow]:
    found = [row for row in rows if which.version in (row.snapshot, row.snapshot.split("/")[-1])]
    names = dict.fromkeys(row.snapshot for row in found)
    if len(names) > 1:
        raise Conflict(f"version {which.version} is {' or '.join(names)}: say name/version")
    if not found:
        known = ", ".join(dict.fromkeys(row.snapshot for row in rows))
        raise NotFound(f"{which.service} never had {which.version}; it had {known}")
    return found


def _stage_of(daemon: Daemon, rows: list[PlacementRow], monitor: str) -> str:
    """Give the stage that is meant when none was named.

    That is the only one; or the one in which the run's lifecycle measures; or the last one, by the
    stages' `after:`.
    """
    stages = list(dict.fromkeys(row.stage for row in rows))
    if len(stages) == 1:
        return stages[0]
    for row in rows:
        body = daemon.store.run_body(row.run)
        if body is None:
            continue
        nodes = daemon.definitions.by_hash(body["definition"]).nodes.values()
        for node in nodes:
            verified = node.spec.verify or ()
            if node.stage in stages and (monitor in verified if monitor else verified):
                return node.stage
    return max(stages, key=lambda name: _depth(daemon, name))


def _depth(daemon: Daemon, stage: str, seen: frozenset[str] = frozenset()) -> int:
    found = daemon.definitions.stage(stage)
    before = [each for each in found.after if each not in seen] if found else []
    return 1 + max((_depth(daemon, each, seen | {stage}) for each in before), default=0)


def _placed(daemon: Daemon, service: str, mine: PlacementRow) -> list[Placement]:
    """Give what runs now, and where the snapshot ran that is asked about."""
    rows = [row for row in daemon.store.placements(service=service, history=True)
            if row.until is None or row.snapshot == mine.snapshot]  # fmt: skip
    return [placement_from(row.body, row.run, row.service, row.since) for row in rows]


def _nowhere(daemon: Daemon, which: Which) -> str:
    if which.run:
        return f"{which.run} has put nothing anywhere yet; `waystage show {which.run}` says why"
    known = sorted({row.service for row in daemon.store.placements(history=True)})
    there = f"there is {', '.join(known)}" if known else "no service runs anywhere yet"
    return f"{which.service} runs nowhere and never did; {there}"
