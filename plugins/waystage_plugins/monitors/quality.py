"""The monitor `quality.log`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from waystage.errors import Retryable
from waystage.plugin import Column, Context, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors import columns as look
from waystage_plugins.monitors.labelled import insufficient, slice_of
from waystage_plugins.monitors.statistics.shares import LEVEL, wilson

LOOK_EVERY = 10_000  # rows between two looks at whether the answer is still wanted
FEWEST = 100  # rows that tell of constants
PREFIX = {look.SCORE: "score", look.SUM: "probabilities", look.CLASS: "class"}

Faults = Counter[tuple[str, str]]


class ClassRule(BaseModel):
    """Where the class is logged, and which class a score from `threshold` on stands for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    column: str
    event: str = "1"
    threshold: float = 0.5


class QualityMonitor(Monitor):
    """Measure the share of scored requests with something wrong in them.

        - use: quality.log
          with:
            score: [0, 1]
            optional: [middle_name]
            ranges: {age: [18, 120]}
            categories: {channel: [branch, web]}
            varying: [age]
            probabilities: [p_bad, p_good]
            class: {column: decision, event: reject, threshold: 0.4}

    Wrong are: a score that is missing, not finite or outside `score`; an input that is missing
    (absent or null, unless it is `optional`), of another type than the snapshot's schema says,
    unknown to it, outside its range or none of its categories; probabilities, logged beside the
    inputs, that do not sum to one; a class, logged there too, that contradicts the score. An
    input of `varying` that has one value in all requests makes all of them wrong; other constant
    inputs are told in the note `constant`. Of a snapshot without a schema types are not looked
    at. The notes name the worst column. The interval is Wilson's. Labels are not needed.
    """

    use: ClassVar[str] = "quality.log"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "lower"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    score: tuple[float, float] = Field(default=(0.0, 1.0), description="lowest, highest score")
    optional: frozenset[str] = Field(default=frozenset(), description="inputs that may be null")
    ranges: dict[str, tuple[float, float]] = Field(default={}, description="lowest, highest value")
    categories: dict[str, frozenset[str]] = Field(default={}, description="values of an input")
    varying: frozenset[str] = Field(
        default=frozenset(), description="inputs that are never the same in all requests"
    )
    probabilities: tuple[str, ...] = Field(default=(), description="logged beside the inputs")
    tolerance: float = Field(default=1e-6, ge=0, description="of the sum of probabilities")
    class_: ClassRule | None = Field(default=None, alias="class")

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Look at every row that the run's snapshot scored as champion in the run's stage."""
        columns = ctx.snapshot.inputs
        faults: Faults = Counter()
        constants = Constants()
        rows = bad = 0
        for rows, (_, _, score, inputs, _) in enumerate(
            ctx.scoring_log.rows(slice_of(ctx, window)), start=1
        ):
            given = inputs if isinstance(inputs, dict) else {}
            found = list(self._faults(score, given, columns))
            constants.see(given)
            bad += bool(found)
            faults.update(found)
            if rows % LOOK_EVERY == 0 and ctx.cancelled:
                raise Retryable("the measurement was cancelled")
        if rows < max(minimum.rows, 1):
            why = f"{rows} scored requests are fewer than the {max(minimum.rows, 1)} needed"
            return insufficient(ctx, window, {"rows": rows}, why)
        same = constants.names(rows)
        for name in sorted(self.varying & {*same}):
            faults[name, "constant"] = bad = rows
        return _measurement(rows, bad, faults, len(columns), same)

    def _faults(
        self, score: object, inputs: dict[str, object], columns: tuple[Column, ...]
    ) -> Iterator[tuple[str, str]]:
        if fault := look.score_fault(score, *self.score):
            yield look.SCORE, fault
        if columns:
            besides = (*self.probabilities, *([self.class_.column] if self.class_ else ()))
            yield from look.input_faults(inputs, columns, self.optional, besides)
        yield from look.range_faults(inputs, self.ranges)
        yield from look.category_faults(inputs, self.categories)
        names = self.probabilities
        if names and (fault := look.sum_fault(inputs, names, self.tolerance)):
            yield look.SUM, fault
        if rule := self.class_:
            said = inputs.get(rule.column)
            if fault := look.class_fault(score, said, rule.threshold, rule.event):
                yield look.CLASS, fault


class Constants:
    """The inputs that have had one value so far; every other one is forgotten at once."""

    def __init__(self) -> None:
        self._values: dict[str, object] | None = None

    def see(self, inputs: dict[str, object]) -> None:
        """Take one more request."""
        if self._values is None:
            self._values = dict(inputs)
            return
        other = [name for name, value in self._values.items() if inputs.get(name) != value]
        for name in other:
            del self._values[name]

    def names(self, rows: int) -> list[str]:
        """Give their names; a few requests may be the same by chance."""
        return sorted(self._values or ()) if rows >= FEWEST else []


def _measurement(
    rows: int, bad: int, faults: Faults, columns: int, constant: list[str]
) -> Measurement:
    low, high = wilson(bad, rows, LEVEL)
    kinds = Counter[str]()
    for (place, fault), count in faults.items():
        kinds[f"{PREFIX.get(place, 'input')}_{fault}"] += count
    notes: dict[str, str | float | bool] = {"columns_checked": columns}
    if constant:
        notes["constant"] = ", ".join(constant)[:500]
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
