"""Stored measurements judged anew: what another threshold would have said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from waystage.errors import WaystageError
from waystage.expressions import compile_template
from waystage.kernel.judge import KEPT, judge
from waystage.spec.lifecycle import Monitor, Threshold
from waystage.spec.source import parse_source
from waystage.spec.wording import did_you_mean, known_keys


class SettingUnfit(WaystageError):
    """A setting that the monitor cannot have."""

    code = "E-SETTING"


@dataclass(frozen=True, slots=True)
class Measured:
    """One stored measurement, of which run, and what was said about it."""

    run: str
    snapshot: str
    window: tuple[str, str]
    at: datetime
    verdict: str
    body: Mapping[str, Any]
    names: Mapping[str, Any]  # what expressions of the run may use


@dataclass(frozen=True, slots=True)
class Judged:
    """The same, judged anew, with the breach thresholds of then and now."""

    measured: Measured
    verdict: str
    reason: str
    limit_was: float | None
    limit: float | None

    @property
    def value(self) -> float | None:
        """The measured value, if there was one."""
        value = self.measured.body.get("value")
        return None if value is None else float(value)


def changed(spec: Monitor, settings: Iterable[str]) -> tuple[Monitor, dict[str, Any]]:
    """Give the monitor with settings such as `breach.below=0.2`, and those of `params.NAME`."""
    body, params = spec.model_dump(mode="json", by_alias=True, exclude_none=True), dict[str, Any]()
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise SettingUnfit(f"{setting!r}: say NAME=VALUE, as in breach.below=0.2")
        value = parse_source(f"value: {text}").data["value"]
        if path.startswith("params."):
            params[path.removeprefix("params.")] = value
        else:
            _put(body, path, value)
    try:
        return Monitor.model_validate(body), params
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingUnfit(f"{where or 'the monitor'}: {first['msg']}") from None


def _put(body: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for number, part in enumerate(above):
        known = known_keys(Monitor, tuple(above[:number]))
        if part not in known:
            raise SettingUnfit(f"{path}: a monitor has no {part!r}; {did_you_mean(part, known)}")
        body = body.setdefault(part, {})
    known = known_keys(Monitor, tuple(above))
    if last not in known:
        raise SettingUnfit(f"{path}: there is no {last!r} here; {did_you_mean(last, known)}")
    other = {"below": "above", "above": "below"}.get(last)
    if other and above:
        body.pop(other, None)  # a threshold has one side
    body[last] = value


def rejudged(
    was: Monitor, spec: Monitor, found: Iterable[Measured], params: Mapping[str, Any]
) -> list[Judged]:
    """Judge measurements, the oldest window first, each run with its own memory."""
    memory: dict[str, dict[str, Any]] = {}
    judged: dict[int, Judged] = {}
    # by window, so that the order of arrival changes nothing; told in the order of arrival
    for number, each in sorted(enumerate(found), key=lambda one: (one[1].window[1], one[1].at)):
        names = {**each.names, "params": {**each.names.get("params", {}), **params}}
        answer = judge(spec, _measurement(each), memory.get(each.run), list(each.window),
                       names, each.at)  # fmt: skip
        memory[each.run] = answer
        limits = (_limit(was.breach, each.names), _limit(spec.breach, names))
        judged[number] = Judged(each, answer["verdict"], answer["reason"], *limits)
    return [judged[number] for number in sorted(judged)]


def _measurement(each: Measured) -> dict[str, Any]:
    shown = {key: each.body[key] for key in KEPT if key in each.body}
    if each.verdict == "error":
        return {"error": str(each.body.get("reason", "it could not be measured"))}
    return shown


def _limit(threshold: Threshold | None, names: Mapping[str, Any]) -> float | None:
    if threshold is None:
        return None
    said = threshold.below if threshold.below is not None else threshold.above
    try:
        value = compile_template(said).render(dict(names))
    except WaystageError:
        return None
    return float(value) if isinstance(value, int | float) else None
