"""What all monitors of drift have in common: columns, baseline, many tests, and one answer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import AwareDatetime, Field

from waystage.errors import Hopeless
from waystage.plugin import Context, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors import baseline as base
from waystage_plugins.monitors.columns import SCORE
from waystage_plugins.monitors.labelled import insufficient, slice_of
from waystage_plugins.monitors.statistics.multiple import Correction, adjusted
from waystage_plugins.monitors.statistics.shares import LEVEL

if TYPE_CHECKING:
    from waystage_plugins.monitors.baseline import Baseline, Source
    from waystage_plugins.monitors.profile import Cells

ENOUGH = 200  # requests that are needed where the minimum says no number of rows
SHOWN = 20  # columns whose distance is in the notes, the farthest ones
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Found:
    """What one column says: its distance, the p-value, and the distance that noise reaches."""

    distance: float
    p: float
    noise: float


class DriftMonitor(Monitor):
    """The base of the monitors of drift: the farthest column is the value.

    `columns` are inputs of the model, and `(score)`; unsaid, all of them. The baseline is the
    first window after the snapshot came to the stage (`first`; `length` and `since` may say
    which), or a CSV file of the snapshot (`snapshot`, with a column `score`). It is frozen
    with the run. The distances are effect sizes, and thresholds act on them; p-values,
    adjusted for the number of columns (`correction`), are shown. `noise` is the distance that
    the farthest column exceeds in 5 of 100 windows though nothing has changed.
    """

    better: ClassVar[Literal["higher", "lower", "neither"]] = "lower"
    values: ClassVar[tuple[float | None, float | None]] = (0, None)
    numbers_only: ClassVar[bool] = False

    columns: tuple[str, ...] = Field(default=(), description="inputs and (score); unsaid, all")
    baseline: Literal["first", "snapshot"] = "first"
    length: timedelta | None = Field(
        default=None, gt=timedelta(), description="of the first window; unsaid, as the window's"
    )
    since: AwareDatetime | None = Field(
        default=None, description="when the first window begins; unsaid, when it was deployed"
    )
    reference: str = Field(default="reference.csv", description="the file of baseline: snapshot")
    correction: Correction = "holm"

    @property
    @abstractmethod
    def cells(self) -> int:
        """How many cells a column of numbers has."""

    @abstractmethod
    def compare(self, base: Cells, now: Cells, level: float) -> Found:
        """Compare one column; `level` is that of the noise."""

    @abstractmethod
    def reach(self, base: Cells, now: Cells) -> tuple[float, float]:
        """Give the interval of one column's distance."""

    def comparable(self, base: Cells, now: Cells) -> bool:
        """Say whether a column can be compared: where numbers are, both samples need some."""
        return not self.numbers_only or bool(base.seen.sum() and now.seen.sum())

    def more_notes(self, base: Cells, now: Cells) -> dict[str, str | float | bool]:
        """Say more about the farthest column."""
        return {}

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Compare the requests of the window with the baseline, column by column."""
        least = minimum.rows or ENOUGH
        kinds = self._kinds(ctx)
        try:
            frozen = self._frozen(ctx, window, kinds, least)
        except base.NotYet as reason:
            return insufficient(ctx, window, {"rows": 0}, str(reason))
        if frozen.end and window.start < frozen.end:
            why = f"the window begins before the baseline ({frozen.source}) ends"
            return self._nothing(ctx, window, 0, why, frozen)
        now, rows = self._counted(ctx, window, frozen)
        if rows < least:
            why = f"{rows} scored requests are fewer than the {least} needed"
            return self._nothing(ctx, window, rows, why, frozen)
        alike = {n: each for n, each in now.items() if self.comparable(frozen.columns[n], each)}
        left_out = sorted({*now} - {*alike})
        lost = [name for name in left_out if frozen.columns[name].seen.sum()]
        if lost or not alike:
            return self._nothing(ctx, window, rows, _without_numbers(lost or left_out), frozen)
        return self._measured(frozen, alike, rows, left_out)

    def _nothing(
        self, ctx: Context, window: Window, rows: int, why: str, frozen: Baseline
    ) -> Measurement:
        counts = {"rows": rows, "baseline": frozen.rows}
        return insufficient(ctx, window, counts, why).model_copy(update={"keep": frozen.keep})

    def _kinds(self, ctx: Context) -> dict[str, str]:
        """Give the columns to look at, each `number` or `category`."""
        known = {SCORE: "number"}
        for column in ctx.snapshot.inputs:
            known[column.name] = "number" if column.type in base.NUMBERS else "category"
        if lost := sorted({*self.columns} - {*known}):
            raise Hopeless(
                f"{ctx.snapshot.id} has no input {', '.join(lost)}; it has {', '.join(known)}"
            )
        wanted = {name: known[name] for name in self.columns or known}
        if not self.numbers_only:
            return wanted
        numbers = {name: kind for name, kind in wanted.items() if kind == "number"}
        if self.columns and (texts := sorted({*wanted} - {*numbers})):
            raise Hopeless(f"{self.use} compares numbers, and {', '.join(texts)} holds none")
        return numbers

    def _frozen(self, ctx: Context, window: Window, kinds: dict[str, str], least: int) -> Baseline:
        settings = base.settings_of(
            kinds=kinds, cells=self.cells, baseline=self.baseline, length=self.length,
            since=self.since, reference=self.reference,
        )  # fmt: skip
        if known := base.recall(ctx, settings):
            return known
        source = self._source(ctx, window, kinds)
        return base.freeze(ctx, source, kinds, self.cells, settings, least)

    def _source(self, ctx: Context, window: Window, kinds: dict[str, str]) -> Source:
        if self.baseline == "snapshot":
            return base.reference_file(ctx, self.reference, kinds)
        return base.first_window(ctx, window, self.length, self.since)

    def _counted(
        self, ctx: Context, window: Window, frozen: Baseline
    ) -> tuple[dict[str, Cells], int]:
        now = {name: cells.empty() for name, cells in frozen.columns.items()}
        return now, base.fill_from_log(now, ctx, slice_of(ctx, window))

    def _measured(
        self, frozen: Baseline, now: dict[str, Cells], rows: int, left_out: list[str]
    ) -> Measurement:
        # Bonferroni's share of the error for each, so that the farthest of all stays below
        level = 1 - (1 - LEVEL) / len(now)
        found = {name: self.compare(frozen.columns[name], now[name], level) for name in now}
        p_values = dict(
            zip(found, adjusted([each.p for each in found.values()], self.correction), strict=True)
        )
        # the first by name among equals, so that the same rows give the same answer
        ranked = sorted(found, key=lambda name: (-found[name].distance, name))
        worst = ranked[0]
        low, high = self.reach(frozen.columns[worst], now[worst])
        notes: dict[str, str | float | bool] = {
            "worst": worst,
            "p": found[worst].p,
            "adjusted_p": p_values[worst],
            "drifted": sum(p < SIGNIFICANT for p in p_values.values()),
            "correction": self.correction,
            "columns": len(found),
            "baseline": f"{frozen.source}, {frozen.rows} requests",
        }
        notes |= {"without_numbers": ", ".join(left_out)[:500]} if left_out else {}
        notes |= self.more_notes(frozen.columns[worst], now[worst])
        notes |= {f"column {name}": found[name].distance for name in ranked[:SHOWN]}
        return Measurement(
            value=found[worst].distance,
            low=low,
            high=high,
            method="bootstrap",
            counts={"rows": rows, "baseline": frozen.rows},
            notes=notes,
            noise=max(each.noise for each in found.values()),
            keep=frozen.keep,
        )


def _without_numbers(columns: list[str]) -> str:
    """Say that columns of numbers hold none, and who sees that."""
    return (
        f"{', '.join(columns[:SHOWN])} {'holds' if len(columns) == 1 else 'hold'} no number that "
        "could be compared; drift.psi and quality.log tell what is missing or of another type"
    )
