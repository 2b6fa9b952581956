"""Rebuilding a run from its history: the same events through the same kernel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from waystage.errors import WaystageError
from waystage.kernel.advance import advance
from waystage.kernel.definition import Definition
from waystage.kernel.events import Event
from waystage.kernel.migration import MIGRATED
from waystage.kernel.run import Run


class HistoryUnfit(WaystageError):
    """A history that does not begin with the opening of its run."""

    code = "E-HISTORY"


def rebuild(
    definition: Definition,
    history: Iterable[tuple[Event, datetime]],
    others: Callable[[str], Definition] | None = None,
) -> Run:
    """Give the run that the events lead to, the first of which opened it.

    `others` gives the definitions, by hash, that the run was migrated to.
    """
    last = deque(retrace(definition, history, others), maxlen=1)
    if not last:
        raise HistoryUnfit
    return last[0][0]


def retrace(
    definition: Definition,
    history: Iterable[tuple[Event, datetime]],
    others: Callable[[str], Definition] | None = None,
) -> Iterator[tuple[Run, datetime]]:
    """Give the run after each of its events, as `rebuild` takes them, and when that was."""
    run: Run | None = None
    for event, at in history:
        if run is None:
            if event.kind != "start" or "opened" not in event.data:
                raise HistoryUnfit
            run = Run.from_json(event.data["opened"])
        if event.kind == MIGRATED and others is not None:
            later = others(event.data["to"])
            run = advance(later, run, event, at).run
            definition = later if run.definition == later.hash else definition
        else:
            run = advance(definition, run, event, at).run
        yield run, at
