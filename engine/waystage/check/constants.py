"""Guards and monitors that always come to the same.

- W-GUARD-CONSTANT: a guard reads nothing but variables that no arrow sets, or nothing at all.
- W-MONITOR-CONSTANT: a threshold lies where the monitor's value never is, or always.

Why it hurts: it looks as if something were measured and judged, and every model passes, or
none. To mend it, let `set:` write what a step has found, read the step or the monitor itself,
or move the threshold to where values are.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.monitors import limits
from waystage.check.subject import Subject
from waystage.check.texts import conditions
from waystage.errors import Problem
from waystage.expressions import BadExpression, compile_expression
from waystage.spec.lifecycle import Monitor


def check(subject: Subject) -> Iterator[Problem]:
    """Look for what cannot come out another way."""
    yield from _guards(subject)
    for name, monitor in subject.spec.monitors.items():
        yield from _thresholds(subject, name, monitor)


def _guards(subject: Subject) -> Iterator[Problem]:
    written = {
        name
        for place in subject.places
        for arrows in place.spec.next.values()
        for arrow in arrows
        for name in arrow.set
    }
    for condition in conditions(subject):
        try:
            read = compile_expression(condition.text).references
        except BadExpression:
            continue  # told by the check of expressions
        if all(_fixed(subject, path, written) for path in read):
            names = ", ".join(sorted(".".join(path[:2]) for path in read))
            text = "is the same for every run: " + (
                f"nothing ever sets {names}" if names else "it reads nothing"
            )
            hint = "read a step or a monitor, or write the variable by set:"
            yield subject.problem("W-GUARD-CONSTANT", condition.path, text, hint)


def _fixed(subject: Subject, path: tuple[str, ...], written: set[str]) -> bool:
    return len(path) > 1 and path[0] == "data" and path[1] in subject.spec.data.keys() - written


def _thresholds(subject: Subject, name: str, monitor: Monitor) -> Iterator[Problem]:
    low, high = getattr(subject.catalog.get(monitor.use), "values", (None, None))
    for level, side, limit in limits(subject, monitor):
        never = (side == "below" and low is not None and limit <= low) or (
            side == "above" and high is not None and limit >= high
        )
        always = (side == "below" and high is not None and limit > high) or (
            side == "above" and low is not None and limit < low
        )
        if never or always:
            whole = " to ".join("…" if end is None else f"{end:g}" for end in (low, high))
            text = f"a value is {'never' if never else 'always'} {side} {limit:g}: {monitor.use}"
            path = ("monitors", name, level, side)
            hint = "write a limit inside of that"
            yield subject.problem("W-MONITOR-CONSTANT", path, f"{text} has {whole}", hint)
