"""Measuring by hand: a look at a monitor that moves no run, kept only if it is asked for.

What is kept so is marked `by_hand`. It is no part of the run's memory, so that it neither counts
for `datapoints:` nor starts anything, and it stands beside what the run itself measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from waystage.daemon.calls import as_output
from waystage.daemon.connections import describe
from waystage.daemon.measured import Question, limits_of, query_of
from waystage.daemon.subject import Subject, Which, subject_of
from waystage.errors import Hopeless, NotFound, WaystageError
from waystage.kernel.judge import PRIVATE, judge, window_at
from waystage.people import Caller, need_right
from waystage.plugin import Minimum, Window
from waystage.plugin import Monitor as MonitorPlugin
from waystage.spec.lifecycle import Monitor
from waystage.spec.spans import parse_span
from waystage.store import rare
from waystage.store.codec import micros

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.daemon.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Asked:
    """A monitor by its name in the lifecycle, of which snapshot, over which window.

    Without a window it is the newest one that the monitor itself would take.
    """

    monitor: str
    which: Which
    window: str = ""


def measure(daemon: Daemon, asked: Asked) -> dict[str, Any]:
    """Measure now and judge this window alone; nothing is kept."""
    subject = subject_of(daemon, asked.which, asked.monitor)
    spec = _spec(subject, asked.monitor)
    start, end = _window(spec, asked.window, daemon.clock.now())
    window = [start.isoformat(), end.isoformat()]
    found = _measured(daemon, subject, spec, asked.monitor, Window(start=start, end=end))
    judged = judge(_alone(spec), found, None, window, subject.names(), daemon.clock.now())
    row = subject.placement
    question = Question(asked.monitor, row.service, row.stage, row.snapshot, (window[0], window[1]))
    body = {key: value for key, value in judged.items() if key not in (*PRIVATE, "breached")}
    body |= {"query": query_of(spec, question), "limits": limits_of(spec, subject.names())}
    return {
        "monitor": asked.monitor, "use": spec.use, "service": row.service, "stage": row.stage,
        "snapshot": row.snapshot, "run": subject.by, "start": start, "end": end,
        "verdict": body.pop("verdict"), "body": body, "recorded": False,
    }  # fmt: skip


def record(daemon: Daemon, asked: Asked, caller: Caller) -> dict[str, Any]:
    """Measure and keep it, marked as made by hand; raises `Forbidden` without the right."""
    need_right(daemon.files.project.spec, caller.person, "operate")
    found = measure(daemon, asked)
    body = found["body"] | {"by_hand": {"by": caller.person, "via": caller.via}}
    row = {name: found[name] for name in ("monitor", "use", "service", "stage", "snapshot")}
    row |= {"start": micros(found["start"]), "end": micros(found["end"])}
    known = daemon.store.run(found["run"])
    if known is None:
        raise NotFound(f"there is no run {found['run']!r} any more")

    def act(tx: Transaction) -> None:
        tx.batch.rest.append(
            rare.keep_measurement(
                body,
                run=known.no,
                number=-micros(tx.now),
                verdict=found["verdict"],
                at=micros(tx.now),
                **row,
            )
        )

    daemon.engine.act(act).result(timeout=60)
    return found | {"body": body, "recorded": True}


def _spec(subject: Subject, monitor: str) -> Monitor:
    monitors = subject.definition.spec.monitors
    if monitor not in monitors:
        known = ", ".join(monitors) or "none"
        name = subject.definition.spec.lifecycle
        raise NotFound(f"{name}, by which {subject.by} goes, has no monitor "
                       f"{monitor!r}; it has {known}")  # fmt: skip
    return monitors[monitor]


def _window(spec: Monitor, said: str, now: datetime) -> tuple[datetime, datetime]:
    if not said:
        return window_at(spec.window, now)
    return parse_span(said, now, delay=spec.window.label_delay + spec.window.grace)


def _alone(spec: Monitor) -> Monitor:
    """Give the monitor as it judges one window that knows of no other."""
    once = {
        level: threshold.model_copy(update={"datapoints": 1, "of": None, "clear": None})
        for level in ("warn", "breach")
        if (threshold := getattr(spec, level)) is not None
    }
    return spec.model_copy(update={**once, "cooldown": None})


def _measured(
    daemon: Daemon, subject: Subject, spec: Monitor, monitor: str, window: Window
) -> dict[str, Any]:
    if window.start >= (now := daemon.clock.now()):
        return {"insufficient": f"the window begins {window.start:%Y-%m-%d %H:%M} UTC and lies in "
                f"the future: here it is {now:%Y-%m-%d %H:%M} UTC"}  # fmt: skip
    kept = subject.run.get("monitors", {}).get(monitor, {}).get("kept")
    ctx = subject.context(daemon, f"{subject.by}/by-hand/{monitor}", kept)
    masks = daemon.connections.masks
    try:
        plugin = daemon.connections.build(spec.use, spec.with_, MonitorPlugin)  # type: ignore[type-abstract]  # asked for by its kind, made by its plugin
        minimum = Minimum.model_validate(spec.minimum.model_dump())
        found = as_output(plugin.measure(ctx, window, minimum))
    except ValidationError as error:
        return {"error": masks.cover(describe(error))}
    except WaystageError as error:
        return {"error": masks.cover(str(error))}
    except Exception as error:  # noqa: BLE001  # a plugin may raise anything: that is an error, too
        return {"error": masks.cover(f"{type(error).__name__}: {error}")}
    if told := masks.found_in(found):
        raise Hopeless(f"what {spec.use} measured tells {told}, a secret; it is not shown")
    return found
