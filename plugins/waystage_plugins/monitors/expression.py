"""The monitor `expression`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from waystage.errors import Hopeless
from waystage.plugin import Context, JsonObject, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.parts import Part, for_part

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class ExpressionMonitor(Monitor):
    """Measure several metrics, and say by 1 or 0 whether a condition over them holds.

        - use: expression
          with:
            metrics:
              lift5_decay: {use: decay, with: {metric: {use: performance.lift, with: {at: 0.05}}}}
              lift10_decay: {use: decay, with: {metric: {use: performance.lift, with: {at: 0.1}}}}
            when: lift5_decay > 0.15 && lift10_decay > 0.12

    `when` is an expression as in guards, over the values of the metrics, `NAME_low` and
    `NAME_high` of their intervals; `breach: {above: 0}` breaches when it holds. Where one of
    the metrics is insufficient the whole is. The values are in the notes. The interval is the
    value: the condition holds for these data, or not.
    """

    use: ClassVar[str] = "expression"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "lower"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    metrics: dict[Name, Part] = Field(min_length=1, max_length=20)
    when: str = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _flat(self) -> ExpressionMonitor:
        if any(part.use == self.use for part in self.metrics.values()):
            raise ValueError("metrics: an expression is none; write it into when:")
        return self

    def conditions(self) -> Mapping[str, Collection[str]]:
        """Give `when` with the names of the metrics and their bounds."""
        return {self.when: {f"{name}{end}" for name in self.metrics for end in ENDS}}

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure every metric, and evaluate the condition."""
        kept = ctx.memo.get("parts")
        before = kept if isinstance(kept, dict) else {}
        found = {
            name: part.monitor().measure(for_part(ctx, before.get(name)), window, minimum)
            for name, part in self.metrics.items()
        }
        keep = _keep(found, before)
        lacking = [f"{name}: {each.insufficient}" for name, each in found.items()
                   if each.insufficient]  # fmt: skip
        counts = {f"{name}_{what}": number for name, each in found.items()
                  for what, number in each.counts.items()}  # fmt: skip
        if lacking:
            return Measurement(counts=counts, insufficient="; ".join(lacking), keep=keep)
        numbers = _numbers(found)
        holds = ctx.evaluate(self.when, numbers)
        if not isinstance(holds, bool):
            raise Hopeless(f"when: `{self.when}` gives {holds!r}, and a condition gives yes or no")
        value = float(holds)
        notes: dict[str, str | float | bool] = {"when": self.when, **numbers}
        return Measurement(value=value, low=value, high=value, method="expression", counts=counts,
                           notes=notes, keep=keep)  # fmt: skip


ENDS = ("", "_low", "_high")


def _numbers(found: Mapping[str, Measurement]) -> dict[str, float]:
    """Give what the condition may name; a metric without an interval has no bounds to name."""
    numbers = {}
    for name, each in found.items():
        for end, value in zip(ENDS, (each.value, each.low, each.high), strict=True):
            if value is not None:
                numbers[f"{name}{end}"] = float(value)
    return numbers


def _keep(found: Mapping[str, Measurement], before: JsonObject) -> JsonObject | None:
    fresh: JsonObject = {n: each.keep for n, each in found.items() if each.keep is not None}
    return {"parts": before | fresh} if fresh else None
