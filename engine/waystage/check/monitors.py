"""Monitors that are missing, unused, or whose thresholds contradict each other.

- E-MONITOR-UNKNOWN: `verify` names a monitor that `monitors` does not have.
- W-MONITOR-UNUSED: no state verifies it, so that it is never measured.
- W-MONITOR-BLIND: it has neither `warn` nor `breach`, so that it is always `ok`.
- E-THRESHOLD: a threshold looks at the side on which the value is good; `warn` and `breach`
  look at different sides; or a breach would be no warning, with the numbers as written or
  with the parameters of one of the services; `clear` lies on the bad side of its threshold, so
  that an alarm would end while the value is still bad.
- E-SCORING-LOG: the project has no `scoring_log`, which monitors read.

Why it hurts: it would alarm on good values or never. To mend it, see the message; `breach`
lies beyond `warn`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from waystage.check.subject import Subject, did_you_mean
from waystage.errors import ExpressionError, Problem
from waystage.expressions import compile_template
from waystage.spec.lifecycle import Monitor, Threshold


def check(subject: Subject) -> Iterator[Problem]:
    """Look at every monitor and at who verifies it."""
    verified: set[str] = set()
    for place in subject.places:
        for number, name in enumerate(place.spec.verify or ()):
            verified.add(name)
            if name not in subject.spec.monitors:
                text = f"there is no monitor {name!r}"
                hint = did_you_mean(name, subject.spec.monitors)
                yield subject.problem("E-MONITOR-UNKNOWN", place.at("verify", number), text, hint)
    for name, monitor in subject.spec.monitors.items():
        yield from _monitor(subject, name, monitor, used=name in verified)
    if subject.spec.monitors and subject.project and subject.project.scoring_log is None:
        text, hint = "the project has no scoring_log:", "name one in waystage.yaml"
        yield subject.problem("E-SCORING-LOG", ("monitors",), text, hint)


def _monitor(subject: Subject, name: str, monitor: Monitor, *, used: bool) -> Iterator[Problem]:
    path = ("monitors", name)
    if not used:
        text, hint = "no state verifies this monitor", "add it to a verify:, or take it away"
        yield subject.problem("W-MONITOR-UNUSED", path, text, hint)
    if monitor.warn is None and monitor.breach is None:
        text = "has neither warn: nor breach:, so its verdict is always ok"
        yield subject.problem("W-MONITOR-BLIND", path, text)
    wrong = list(_sides(subject, name, monitor))
    yield from wrong
    if not wrong:
        yield from _order(subject, name, monitor)
    yield from _clears(subject, name, monitor)


def _sides(subject: Subject, name: str, monitor: Monitor) -> Iterator[Problem]:
    better = getattr(subject.catalog.get(monitor.use), "better", "neither")
    wrong = {"higher": "above", "lower": "below"}.get(better, "")
    for level in ("warn", "breach"):
        threshold = getattr(monitor, level)
        if threshold is not None and wrong and getattr(threshold, wrong) is not None:
            text = (
                f"{monitor.use}: {better} is better, so no value is bad for being {wrong} another"
            )
            path = ("monitors", name, level, wrong)
            yield subject.problem("E-THRESHOLD", path, text)
    warn, breach = monitor.warn, monitor.breach
    if warn and breach and (warn.below is None) != (breach.below is None):
        text = "warn and breach look at different sides"
        yield subject.problem("E-THRESHOLD", ("monitors", name, "breach"), text)


def _order(subject: Subject, name: str, monitor: Monitor) -> Iterator[Problem]:
    if monitor.warn is None or monitor.breach is None:
        return
    told: set[tuple[float, float]] = set()
    for service, params in _parameters(subject):
        near, far = _limit(monitor.warn, params), _limit(monitor.breach, params)
        if near is None or far is None or (near, far) in told:
            continue
        told.add((near, far))
        if far > near if monitor.warn.below is not None else far < near:
            whose = f" for {service}" if service else ""
            text = f"breach ({far:g}){whose} does not imply warn ({near:g})"
            path = ("monitors", name, "breach")
            yield subject.problem("E-THRESHOLD", path, text, "the pair is swapped")


def _clears(subject: Subject, name: str, monitor: Monitor) -> Iterator[Problem]:
    for level in ("warn", "breach"):
        threshold: Threshold | None = getattr(monitor, level)
        for _, params in _parameters(subject) if threshold and threshold.clear else ():
            assert threshold is not None
            limit, clear = _limit(threshold, params), _number(threshold.clear, params)
            if limit is None or clear is None:
                continue
            if clear < limit if threshold.below is not None else clear > limit:
                text = f"clear ({clear:g}) is on the bad side of {level} ({limit:g})"
                yield subject.problem("E-THRESHOLD", ("monitors", name, level, "clear"), text)
                break


def _parameters(subject: Subject) -> Iterator[tuple[str, dict[str, Any]]]:
    defaults = {name: field.default for name, field in subject.spec.params.items()}
    yield "", defaults
    services = subject.project.services if subject.project else {}
    for service in subject.services:
        if service in services:
            yield service, defaults | services[service].params


def limits(subject: Subject, monitor: Monitor) -> Iterator[tuple[str, str, float]]:
    """Give the numbers that thresholds may be, each with its level (`warn`) and side (`below`)."""
    told: set[tuple[str, float]] = set()
    for level in ("warn", "breach"):
        threshold: Threshold | None = getattr(monitor, level)
        for _, params in _parameters(subject) if threshold else ():
            limit = _limit(threshold, params) if threshold else None
            if threshold and limit is not None and (level, limit) not in told:
                told.add((level, limit))
                yield level, "below" if threshold.below is not None else "above", limit


def _limit(threshold: Threshold, params: dict[str, Any]) -> float | None:
    return _number(threshold.below if threshold.below is not None else threshold.above, params)


def _number(said: float | str | None, params: dict[str, Any]) -> float | None:
    try:
        value = compile_template(said).render({"params": params})
    except ExpressionError:
        return None
    except KeyError:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else None
