"""Gathering a report: the inventory, the monitors, the decisions, and what describers show."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from waystage import __version__
from waystage.daemon.decided import decisions
from waystage.daemon.measured import limits_of
from waystage.daemon.subject import Subject, Which, beside, subject_of
from waystage.errors import Hopeless
from waystage.plugin import Describer, Section, Watched, Window
from waystage.report.model import Measured, Report, Version, Watching
from waystage.report.words import summary
from waystage.spec.lifecycle import Monitor
from waystage.spec.spans import parse_span

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.store import MeasurementRow

MOST = 100_000  # rows of one kind that a report reads
UNSAID = "P30D"


def report_of(
    daemon: Daemon, which: Which, window: str = "", now: datetime | None = None
) -> Report:
    """Give the report; raises `NotFound` where there is nothing to report about."""
    subject, now = subject_of(daemon, which), now or daemon.clock.now()
    row, spec = subject.placement, subject.definition.spec
    measured = tuple(_measured(daemon, row.service, row.stage))
    span, chosen = _window(subject, measured, window, now)
    # a run that has not measured anything may be about something else, as a review is
    asked = [subject, *(other for other in beside(daemon, subject)
                        if any(each.run == other.by for each in measured))]  # fmt: skip
    monitors = tuple(_watching(daemon, asked))
    sections = tuple(_sections(daemon, asked, span))
    known = daemon.files.project.spec.services.get(row.service)
    run = daemon.store.run(row.run)
    return Report(
        made_at=now, made_by=__version__,
        project=daemon.files.project.spec.project, service=row.service,
        title=known.title if known else "", owner=known.owner if known else "",
        stage=row.stage, window=span, chosen=chosen, run=row.run,
        status=run.status if run else "", lifecycle=spec.lifecycle,
        definition=f"sha256:{subject.definition.hash}", data=_digest(sections),
        version=_version(row), snapshot=subject.snapshot.model_copy(update={"example": ()}),
        versions=tuple(_versions(daemon, row.service, row.stage)),
        monitors=monitors, measurements=measured,
        decisions=tuple(_decisions(daemon, row.service, row.stage)), sections=sections,
        summary=summary(monitors, measured, row.snapshot, row.stage, sections),
    )  # fmt: skip


def _window(
    subject: Subject, measured: Sequence[Measured], said: str, now: datetime
) -> tuple[Window, str]:
    """Give the window that was asked for, or that of the newest measurement."""
    row = subject.placement
    if said:
        start, end = parse_span(said, now)
        return Window(start=start, end=end), "as asked for"
    mine = [each for each in measured if each.snapshot == row.snapshot and not each.by_hand]
    if mine:
        last = max(mine, key=lambda each: (each.window.end, each.window.end - each.window.start))
        return last.window, "that of the newest measurement"
    start, end = parse_span(UNSAID, row.until or max(now, row.since))
    return Window(start=start, end=end), "the last 30 days, as nothing has been measured yet"


def _measured(daemon: Daemon, service: str, stage: str) -> Iterator[Measured]:
    """Give the measurements of the stage, the oldest window first; of a window the newest.

    What was made by hand stands beside what the run measured and takes nothing's place.
    """
    rows = [row for row in daemon.store.measurements(service=service, limit=MOST)
            if row.stage == stage]  # fmt: skip
    kept: dict[tuple[Any, ...], MeasurementRow] = {}
    for row in rows:
        kept[row.monitor, row.snapshot, row.start, row.end, row.by_hand != ""] = row
    for row in sorted(kept.values(), key=lambda each: (each.end, each.monitor, each.at)):
        kept_limits = row.body.get("limits")
        limits = _limits(daemon, row) if kept_limits is None else kept_limits
        yield Measured(
            monitor=row.monitor, use=row.use, snapshot=row.snapshot, run=row.run, at=row.at,
            window=Window(start=row.start, end=row.end), verdict=row.verdict,
            by_hand=row.by_hand, body=row.body, limits=limits,
        )  # fmt: skip


def _limits(daemon: Daemon, row: MeasurementRow) -> dict[str, dict[str, float]]:
    """Give the thresholds of a measurement that was kept without them."""
    body = daemon.store.run_body(row.run) or {}
    if "definition" not in body:
        return {}
    spec = daemon.definitions.by_hash(body["definition"]).spec.monitors.get(row.monitor)
    names = {name: body.get(name, {}) for name in ("params", "data", "snapshot", "service")}
    return limits_of(spec, names | {"stage": row.stage}) if spec else {}


def _watching(daemon: Daemon, asked: Sequence[Subject]) -> Iterator[Watching]:
    """Give the monitors of the runs, each name once: those of the first run come first."""
    seen: set[str] = set()
    for subject in asked:
        for name, each in _here(subject):
            if name in seen:
                continue
            seen.add(name)
            better = getattr(daemon.catalog.get(each.use), "better", "neither")
            yield Watching(
                name=name, use=each.use, better=better, settings=each.with_,
                minimum=each.minimum.model_dump(mode="json"),
                limits=limits_of(each, subject.names()),
            )  # fmt: skip


def _here(subject: Subject) -> Iterator[tuple[str, Monitor]]:
    """Give the monitors that the lifecycle looks at in this stage, or has at all."""
    spec, stage = subject.definition.spec, subject.placement.stage
    here = {name for node in subject.definition.nodes.values() if node.stage == stage
            for name in node.spec.verify or ()}  # fmt: skip
    yield from ((name, each) for name, each in spec.monitors.items() if name in here or not here)


def _versions(daemon: Daemon, service: str, stage: str) -> Iterator[Version]:
    for row in reversed(daemon.store.placements(service=service, history=True)):
        if row.stage == stage:
            yield _version(row)


def _version(row: Any) -> Version:
    return Version(snapshot=row.snapshot, digest=row.digest, run=row.run, role=row.role,
                   runtime=row.runtime, since=row.since, until=row.until)  # fmt: skip


def _decisions(daemon: Daemon, service: str, stage: str) -> Iterator[Any]:
    """Give what people decided about the runs that brought versions to the stage."""
    runs = {row.run: row.snapshot for row in daemon.store.placements(service=service, history=True)
            if row.stage == stage}  # fmt: skip
    found = [
        each
        for run, snapshot in runs.items()
        for each in decisions(daemon.store.history(run, limit=MOST), run, snapshot)
    ]
    yield from sorted(found, key=lambda each: (each.at, each.run, each.seq))


def _sections(daemon: Daemon, asked: Sequence[Subject], window: Window) -> Iterator[Section]:
    kinds = [kind for kind in daemon.catalog.values() if issubclass(kind, Describer)]
    watched = [
        Watched(name=name, use=each.use, settings=each.with_,
                kept=subject.run.get("monitors", {}).get(name, {}).get("kept") or {})
        for subject in asked for name, each in subject.definition.spec.monitors.items()
    ]  # fmt: skip
    for kind in sorted(kinds, key=lambda each: (each.place, each.use)):
        yield from _described(daemon, kind, asked[0], window, watched)


def _described(
    daemon: Daemon, kind: type[Describer], subject: Subject, window: Window,
    watched: Sequence[Watched],
) -> Sequence[Section]:  # fmt: skip
    ctx = subject.context(daemon, f"{subject.placement.run}/report/{kind.use}")
    masks = daemon.connections.masks
    try:
        found = daemon.connections.build(kind.use, {}, kind).describe(ctx, window, watched)
    except Exception as error:  # noqa: BLE001  # a plugin may raise anything: the rest is shown
        why = masks.cover(f"It could not be made: {error or type(error).__name__}")
        name = kind.use.replace(".", "-").replace("_", "-")
        return [Section(id=name, title=kind.use, missing=why, by=kind.use)]
    if told := masks.found_in([each.model_dump(mode="json") for each in found]):
        raise Hopeless(f"what {kind.use} describes tells {told}, a secret; no report is made")
    return [each.model_copy(update={"by": kind.use}) for each in found]


def _digest(sections: Sequence[Section]) -> str:
    """Give one digest for the data of all sections."""
    lines = [f"{each.id} {each.digest}" for each in sections if each.digest]
    return f"sha256:{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}" if lines else ""
