"""The monitor `quality.log`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from waystage.errors import Retryable
from waystage.plugin import Column, Context, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.columns import SCORE, input_faults, score_fault
from waystage_plugins.monitors.labelled import insufficient, slice_of
from waystage_plugins.monitors.statistics.shares import LEVEL, wilson

LOOK_EVERY = 10_000  # rows between two looks at whether the answer is still wanted


class QualityMonitor(Monitor):
    """Measure the share of scored requests with something wrong in them.

        - use: quality.log
          with: {score: [0, 1], optional: [middle_name]}

    Wrong are: a score that is missing, not finite or outside `score`; an input that is
    missing (absent or null, unless it is `optional`), of another type than the snapshot's
    schema says, or unknown to it. Of a snapshot without a schema the scores alone are looked
    at. The notes name the worst column. The interval is Wilson's. Labels are not needed.
    """

    use: ClassVar[str] = "quality.log"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "lower"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    score: tuple[float, float] = Field(default=(0.0, 1.0), description="lowest, highest score")
    optional: frozenset[str] = Field(default=frozenset(), description="inputs that may be null")

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Look at every row that the run's snapshot scored as champion in the run's stage."""
        columns = ctx.snapshot.inputs
        faults: Counter[tuple[str, str]] = Counter()
        rows = bad = 0
        for rows, (_, _, score, inputs, _) in enumerate(
            ctx.scoring_log.rows(slice_of(ctx, window)), start=1
        ):
            found = list(self._faults(score, inputs, columns))
            bad += bool(found)
            faults.update(found)
            if rows % LOOK_EVERY == 0 and ctx.cancelled:
                raise Retryable("the measurement was cancelled")
        if rows < max(minimum.rows, 1):
            why = f"{rows} scored requests are fewer than the {max(minimum.rows, 1)} needed"
            return insufficient(ctx, window, {"rows": rows}, why)
        return _measurement(rows, bad, faults, len(columns))

    def _faults(
        self, score: object, inputs: object, columns: tuple[Column, ...]
    ) -> Iterator[tuple[str, str]]:
        if fault := score_fault(score, *self.score):
            yield SCORE, fault
        if columns and isinstance(inputs, dict):
            yield from input_faults(inputs, columns, self.optional)


def _measurement(
    rows: int, bad: int, faults: Counter[tuple[str, str]], columns: int
) -> Measurement:
    low, high = wilson(bad, rows, LEVEL)
    kinds = Counter[str]()
    for (place, fault), count in faults.items():
        kinds[f"score_{fault}" if place == SCORE else f"input_{fault}"] += count
    notes: dict[str, str | float | bool] = {"columns_checked": columns}
    if faults:
        # the first by name among equals, so that the same rows give the same note
        (place, fault), count = min(faults.items(), key=lambda item: (-item[1], item[0]))
        notes |= {"worst_column": place, "worst_fault": fault, "worst_share": count / rows}
    return Measurement(
        value=bad / rows,
        low=low,
        high=high,
        level=LEVEL,
        method="wilson",
        counts={"rows": rows, "bad": bad, **kinds},
        notes=notes,
    )
