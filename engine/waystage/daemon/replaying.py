"""Replays against a project's database, read-only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from waystage.check import check_lifecycle
from waystage.daemon.definitions import Definitions
from waystage.daemon.plans import reader_of
from waystage.errors import Invalid, NotFound
from waystage.kernel import Event
from waystage.planning.rejudge import Judged, Measured, changed, rejudged
from waystage.planning.rerun import Recorded, Rerun, rerun
from waystage.registry import load_catalog
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import Loaded, ProjectFiles
from waystage.store import MeasurementRow, Reader
from waystage.timers import next_fire

MOST = 100_000


def rerun_of(files: ProjectFiles, run: str, loaded: Loaded[Lifecycle] | None) -> Rerun:
    """Play a run's history through a changed lifecycle, or through the project's present one.

    Raises `NotFound` for an unknown run, `Invalid` for a lifecycle with problems.
    """
    catalog = load_catalog(files.project.spec.plugins)
    with _reading(files) as store:
        row = store.run(run)
        if row is None:
            raise NotFound(f"there is no run {run!r}")
        new = loaded or files.lifecycles.get(row.lifecycle)
        if new is None:
            raise NotFound(f"the project has no lifecycle {row.lifecycle!r}; say --with FILE")
        problems = check_lifecycle(new, files, catalog)
        if errors := [each for each in problems if each.severity == "error"]:
            raise Invalid(errors)
        definitions = Definitions(store, catalog)
        history = [
            Recorded(each.seq, each.at, Event.from_json(each.event, each.actor))
            for each in store.history(run, limit=MOST)
        ]
        return rerun(definitions.by_hash, definitions.of(new), history, next_fire)


def rejudged_of(
    files: ProjectFiles,
    lifecycle: str,
    monitor: str,
    service: str | None,
    settings: tuple[str, ...],
) -> list[Judged]:
    """Judge a monitor's stored measurements anew; raises `NotFound` for an unknown monitor."""
    monitors = files.lifecycles[lifecycle].spec.monitors
    if monitor not in monitors:
        known = ", ".join(monitors) or "none"
        raise NotFound(f"{lifecycle} has no monitor {monitor!r}; it has {known}")
    spec, params = changed(monitors[monitor], settings)
    with _reading(files) as store:
        rows = store.measurements(service=service, monitor=monitor, limit=MOST)
        found = [row for row in rows if not row.by_hand]
        measured = list(_measured(store, lifecycle, found))
    return rejudged(monitors[monitor], spec, measured, params)


def _measured(store: Reader, lifecycle: str, rows: list[MeasurementRow]) -> Iterator[Measured]:
    bodies = lru_cache(maxsize=None)(store.run_body)
    for row in rows:
        body: dict[str, Any] = bodies(row.run) or {}
        if body.get("lifecycle") != lifecycle:
            continue
        names = {name: body.get(name, {}) for name in ("params", "data", "snapshot", "service")}
        window = (row.start.isoformat(), row.end.isoformat())
        yield Measured(row.run, row.snapshot, window, row.at, row.verdict, row.body,
                       names | {"stage": row.stage})  # fmt: skip


@contextmanager
def _reading(files: ProjectFiles) -> Iterator[Reader]:
    store = reader_of(files)
    if store is None:
        raise NotFound("the project has no database yet: nothing was recorded")
    try:
        yield store
    finally:
        store.close()
