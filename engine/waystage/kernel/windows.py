"""Whether a stage may be changed at an instant, and if not, until when and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from waystage.spec.windows import ChangeWindow

SHOWN = timedelta(weeks=4)  # a week of every zone, with a change of the hour between


@dataclass(frozen=True, slots=True)
class Stop:
    """A stage that a person closed until a person opens it."""

    by: str
    reason: str
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Closed:
    """Why nothing may change, and until when; None when no end is known."""

    why: str
    until: datetime | None


def closed(
    windows: Sequence[ChangeWindow], stops: Sequence[Stop], change: str, now: datetime
) -> Closed | None:
    """Say why the stage is closed for a change (`forward` or `back`); None when it is open.

    Open is: no deny is active, and there is no allow or one is active. Going back is held up
    by strict denies alone.
    """
    back = change == "back"
    holding = [stop for stop in stops if stop.strict or not back]
    if holding:
        return Closed(f"{holding[0].by} stopped the line: {holding[0].reason}", None)
    why = _why(windows, now, back=back)
    if why is None:
        return None
    opens = (edge for edge in _edges(windows, now) if _why(windows, edge, back=back) is None)
    return Closed(why, next(opens, None))


def _edges(windows: Sequence[ChangeWindow], at: datetime) -> Iterator[datetime]:
    """Give all instants after `at` at which some span begins or ends, as long as they differ.

    What comes every week goes on for ever; once all that comes only once is over, some weeks
    have shown everything.
    """
    end = None
    while found := [edge for window in windows if (edge := window.span.next_edge(at))]:
        at = min(found)
        if any(not window.span.weekly and window.span.next_edge(at) for window in windows):
            end = None
        elif end is None:
            end = at + SHOWN
        if end is not None and at > end:
            return
        yield at


def _why(windows: Sequence[ChangeWindow], at: datetime, *, back: bool) -> str | None:
    for window in windows:
        if window.deny and window.deny.holds(at) and (window.deny.strict or not back):
            return window.deny.why or "a change freeze"
    allows = [window.allow for window in windows if window.allow]
    if back or not allows or any(allow.holds(at) for allow in allows):
        return None
    return "no window for changes is open"
