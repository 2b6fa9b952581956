"""The monitor `decay`."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import isfinite
from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, model_validator

from waystage.errors import Hopeless
from waystage.plugin import Context, JsonObject, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors import baseline as base
from waystage_plugins.monitors.drifting import DriftMonitor
from waystage_plugins.monitors.labelled import insufficient
from waystage_plugins.monitors.parts import Part, for_part
from waystage_plugins.monitors.statistics.mover import Estimate, difference, ratio


class DecayMonitor(Monitor):
    """Measure by how much a metric is worse than it was in the baseline.

        - use: decay
          with:
            metric: {use: performance.lift, with: {at: 0.05}}
            of: relative
            baseline: first

    0 is as good as then, below 0 better. `relative` is the part of the baseline's value that is
    lost (0.15 is 15 %), `absolute` the difference itself. The baseline is the first window with
    enough labels after the snapshot came to the stage (`first`; `length` and `since` may say
    which), or a number among the snapshot's metrics (`snapshot`, named by `key`). It is frozen
    with the run. The interval comes from those of then and now (MOVER; Zou and Donner, 2008).
    """

    use: ClassVar[str] = "decay"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "lower"

    metric: Part
    of: Literal["relative", "absolute"] = "relative"
    baseline: Literal["first", "snapshot"] = "first"
    key: str = Field(default="", description="of the snapshot's metrics; for baseline: snapshot")
    length: timedelta | None = Field(
        default=None, gt=timedelta(), description="of the first window; unsaid, as the window's"
    )
    since: AwareDatetime | None = Field(
        default=None, description="when the first window begins; unsaid, when it was deployed"
    )

    @model_validator(mode="after")
    def _fits(self) -> DecayMonitor:
        inner = self.metric.monitor()
        if inner.better == "neither" or isinstance(inner, DriftMonitor):
            raise ValueError(f"metric: {inner.use} is neither better nor worse than a baseline")
        if (self.baseline == "snapshot") != bool(self.key):
            raise ValueError("key: names the metric of baseline: snapshot, and of nothing else")
        return self

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the metric, and compare it with the frozen one."""
        try:
            kept = self._kept(ctx, window, minimum)
            keep = None if kept is ctx.memo else kept  # what the run has need not be told again
        except base.NotYet as reason:
            return insufficient(ctx, window, {}, str(reason))
        end: Any = kept["end"]
        if end and window.start < datetime.fromisoformat(end):
            why = f"the window begins before the baseline ({kept['source']}) ends"
            return insufficient(ctx, window, {}, why).model_copy(update={"keep": keep})
        now = self.metric.monitor().measure(for_part(ctx, {}), window, minimum)
        if now.insufficient or now.value is None:
            return now.model_copy(update={"keep": keep})
        return self._measured(now, kept).model_copy(update={"keep": keep})

    def _measured(self, now: Measurement, kept: JsonObject) -> Measurement:
        then, today = _estimate(kept), _estimate(now.model_dump())
        bounds: tuple[float, float] | None
        if self.of == "absolute":
            lost, bounds = then.value - today.value, difference(then, today)
        elif then.value <= 0:
            raise Hopeless(
                f"the baseline of {self.metric.use} is {then.value:.6g}, of which no part can be "
                "lost; say of: absolute"
            )
        else:
            lost, found = 1 - today.value / then.value, ratio(today, then)
            bounds = (1 - found[1], 1 - found[0]) if found else None
        low: float | None
        high: float | None
        low, high = bounds or (None, None)
        if self.metric.monitor().better == "lower":
            lost, low, high = -lost, _turned(high), _turned(low)
        return now.model_copy(
            update={
                "value": lost,
                "low": low,
                "high": high,
                "method": "mover",
                "noise": None,
                "notes": now.notes
                | {"now": today.value, "then": then.value, "baseline": str(kept["source"])},
            }
        )

    def _kept(self, ctx: Context, window: Window, minimum: Minimum) -> JsonObject:
        settings = base.settings_of(**self.model_dump(mode="json"))
        known: Any = ctx.memo
        if known and known.get("settings") == settings:
            base.need_version(ctx, known)
            return ctx.memo
        found = self._from_snapshot(ctx) if self.key else self._first(ctx, window, minimum)
        return found | {
            "version": ctx.snapshot.id,
            "digest": ctx.snapshot.digest,
            "settings": settings,
        }

    def _from_snapshot(self, ctx: Context) -> JsonObject:
        value = ctx.snapshot.metrics.get(self.key)
        if value is None or not isfinite(value):
            known = ", ".join(sorted(ctx.snapshot.metrics)) or "none"
            raise Hopeless(f"{ctx.snapshot.id} has no metric {self.key!r}; it has {known}")
        return {"value": value, "source": f"metric {self.key} of {ctx.snapshot.id}", "end": ""}

    def _first(self, ctx: Context, window: Window, minimum: Minimum) -> JsonObject:
        first, name = base.first_days(ctx, window, self.length, self.since)
        if first.end > window.end:  # its labels are not all there yet
            raise base.NotYet(f"the baseline ({name}) is not over yet")
        found = self.metric.monitor().measure(for_part(ctx, {}), first, minimum)
        if found.insufficient or found.value is None:
            raise base.NotYet(f"there is no baseline: {found.insufficient}")
        return {"value": found.value, "low": found.low, "high": found.high, "source": name,
                "end": first.end.isoformat()}  # fmt: skip


def _estimate(found: dict[str, Any]) -> Estimate:
    value, low, high = (found.get(name) for name in ("value", "low", "high"))
    assert value is not None
    return Estimate(value, value if low is None else low, value if high is None else high)


def _turned(bound: float | None) -> float | None:
    return None if bound is None else -bound
