"""`/metrics` in Prometheus' text format, and `/v1/ready`.

The number of series is bounded: plugins and answers are those of the catalog, and of labels
that come from lifecycles the biggest are kept and the others added up as `other`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.responses import JSONResponse, PlainTextResponse

from waystage import __version__
from waystage.daemon.health import unfit
from waystage.daemon.meter import Histogram
from waystage.store.codec import micros
from waystage.store.figures import Figures, Labelled, figures

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon

TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_SERIES = 200  # per family
MOST_STAYS = 100  # states whose histograms are shown, the busiest
OTHER = "other"

# field of Figures, name, labels, meaning
GAUGES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("runs", "runs", ("lifecycle", "status"), "Runs that are kept."),
    ("paused", "runs_paused", ("lifecycle",), "Runs that a person has paused."),
    ("state_runs", "state_runs", ("lifecycle", "state"), "Open runs by where they are."),
    ("state_oldest", "state_oldest_seconds", ("lifecycle", "state"),
     "For how long the run that came there first is there."),
    ("incidents", "incidents_open", ("lifecycle", "kind"), "Incidents that wait for a person."),
    ("tasks", "tasks_open", ("lifecycle",), "Tasks that wait for a person."),
    ("task_oldest", "task_oldest_seconds", ("lifecycle",), "Age of the oldest open task."),
    ("queued", "queue_due", ("queue",), "What is due and not taken yet."),
    ("queue_oldest", "queue_oldest_seconds", ("queue",), "For how long the oldest of it waits."),
    ("deployed", "deployments", ("stage", "state"),
     "What runs, by ok, degraded, drifted, unknown; new before the first look."),
    ("leads", "promotions_30d", ("stage",), "Champions of the last 30 days."),
    ("lead_seconds", "lead_seconds_30d", ("stage",),
     "From the opening of their runs to their promotion, added up."),
)  # fmt: skip
SUMMED = frozenset({"deployed", "runs", "paused", "state_runs", "incidents", "tasks"})


def metrics_routes(app: FastAPI, daemon: Daemon) -> None:
    """Add the routes."""

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics")
    def metrics() -> Any:
        found = figures(daemon.store, micros(daemon.clock.now()))
        return PlainTextResponse("\n".join(_lines(daemon, found)) + "\n", media_type=TYPE)

    @app.head("/v1/ready", include_in_schema=False)  # what load balancers ask
    @app.get("/v1/ready")
    def ready() -> Any:
        why = unfit(daemon)
        return JSONResponse({"ready": not why, "why": why}, 503 if why else 200)


def _lines(daemon: Daemon, found: Figures) -> Iterator[str]:
    yield from _family("info", "gauge", "Which Waystage runs for which project.")
    yield _series("info", ("version", "project"),
                  (__version__, daemon.files.project.spec.project), 1)  # fmt: skip
    alive = float(daemon.engine.failure is None and not daemon.engine.fault)
    yield from _family("writer_up", "gauge", "Whether the writer is alive and can write.")
    yield _series("writer_up", (), (), alive)
    yield from _family("events_waiting", "gauge", "Events that the writer has not committed yet.")
    yield _series("events_waiting", (), (), daemon.engine.under_way())
    for name, shown, labels, meaning in GAUGES:
        yield from _family(shown, "gauge", meaning)
        values: Labelled = getattr(found, name)
        for label, value in bounded(values, summed=name in SUMMED).items():
            yield _series(shown, labels, label, value)
    yield from _counted(daemon)
    yield from _intake(daemon)


def _intake(daemon: Daemon) -> Iterator[str]:
    counted = daemon.intake.counted
    yield from _family("intake_total", "counter", "Rows and labels for the scoring log.")
    for answer, value in (("taken", counted.taken), ("refused", counted.refused)):
        yield _series("intake_total", ("answer",), (answer,), value)
    yield from _family("intake_waiting", "gauge", "Rows and labels that are not written yet.")
    yield _series("intake_waiting", (), (), counted.waiting)


def _counted(daemon: Daemon) -> Iterator[str]:
    counted = daemon.engine.meter.counted()
    yield from _family("events_total", "counter", "Events that were committed.")
    yield _series("events_total", (), (), counted.events)
    yield from _family("commit_seconds", "histogram", "How long a commit took.")
    yield from _histogram("commit_seconds", (), (), counted.commits)
    yield from _family("step_seconds", "histogram", "How long a call of a step or monitor took.")
    for labels, histogram in sorted(counted.calls.items()):
        yield from _histogram("step_seconds", ("use", "answer"), labels, histogram)
    yield from _family("state_seconds", "histogram", "How long runs were in the state they left.")
    most = sorted(counted.stays.items(), key=lambda item: -sum(item[1].counts))[:MOST_STAYS]
    for labels, histogram in sorted(most):
        yield from _histogram("state_seconds", ("lifecycle", "state"), labels, histogram)


def bounded(values: Labelled, *, summed: bool) -> Labelled:
    """Keep the biggest values; the others are added up, or the biggest of them is shown."""
    if len(values) <= MOST_SERIES:
        return values
    ordered = sorted(values.items(), key=lambda item: -item[1])
    kept, rest = ordered[: MOST_SERIES - 1], [value for _, value in ordered[MOST_SERIES - 1 :]]
    other = (OTHER,) * len(ordered[0][0])
    return dict(kept) | {other: sum(rest) if summed else max(rest)}


def _family(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP waystage_{name} {meaning}", f"# TYPE waystage_{name} {kind}"


def _histogram(
    name: str, labels: Sequence[str], values: Sequence[str], found: Histogram
) -> Iterator[str]:
    count = 0
    for edge, more in zip([*map(repr, found.edges), "+Inf"], found.counts, strict=True):
        count += more
        yield _series(f"{name}_bucket", (*labels, "le"), (*values, edge), count)
    yield _series(f"{name}_sum", labels, values, found.total)
    yield _series(f"{name}_count", labels, values, count)


def _series(name: str, labels: Sequence[str], values: Sequence[str], value: float) -> str:
    told = ",".join(
        f'{label}="{_escaped(text)}"' for label, text in zip(labels, values, strict=True)
    )
    return f"waystage_{name}{{{told}}} {value!r}" if told else f"waystage_{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
