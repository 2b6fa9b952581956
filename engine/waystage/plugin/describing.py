"""What a describer says of a model: sections of figures, tables and facts that the engine draws."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field, model_validator

from waystage.plugin.base import Plugin
from waystage.plugin.context import Context
from waystage.plugin.kinds import Window
from waystage.plugin.values import JsonObject, Value

Tone: TypeAlias = Literal["main", "other", "reference", "ok", "warn", "breach", "unknown"]
Form: TypeAlias = Literal["line", "steps", "points", "bars"]
Cell: TypeAlias = str | float | int | None


class Axis(Value):
    """One axis; without ends they follow from the data. `labels` name the places 0, 1, 2, …

    `time` counts seconds since 1970 in UTC.
    """

    title: str = ""
    low: float | None = None
    high: float | None = None
    labels: tuple[str, ...] = ()
    unit: Literal["number", "share", "time"] = "number"


class Series(Value):
    """What belongs together in a figure: as many `x` as `y`, and as `low` and `high` if any.

    `bars` begin at 0; where the y axis has labels they lie, and `x` says how long they are.
    `label` of each point, if given, tells a reader more about it.
    """

    name: str
    form: Form = "line"
    tone: Tone = "main"
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    label: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _as_long(self) -> Series:
        for other in (self.y, *filter(None, (self.low, self.high, self.label))):
            if len(other) != len(self.x):
                raise ValueError(f"series {self.name!r} has {len(self.x)} x and {len(other)} more")
        if bool(self.low) != bool(self.high):
            raise ValueError(f"series {self.name!r} has one end of an interval alone")
        return self


class Mark(Value):
    """A straight line with a word beside where it starts, as the gap between two curves."""

    start: tuple[float, float]
    end: tuple[float, float]
    text: str
    tone: Tone = "main"


class Figure(Value):
    """One plot; `about` says what is to be seen, for whoever cannot see it."""

    title: str
    about: str
    x: Axis
    y: Axis
    series: tuple[Series, ...] = Field(min_length=1)
    marks: tuple[Mark, ...] = ()
    square: bool = False  # both axes as long


class Table(Value):
    """Rows of plain values below their names."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @model_validator(mode="after")
    def _as_wide(self) -> Table:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.title!r} has a row that is not as wide as its head")
        return self


class Section(Value):
    """One part of a report. `missing` says why there is nothing to be shown; then no figure is.

    `facts` are its numbers in words of the describer's own (`auc`, `low`, `high`); `digest` is
    that of the counts that all of it stands on. `by` is the describer, as the engine fills it in.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    title: str
    about: str = ""
    missing: str = ""
    facts: Mapping[str, str | float | int | bool | None] = {}
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    digest: str = ""
    by: str = ""

    @model_validator(mode="after")
    def _shows_or_says_why(self) -> Section:
        if self.missing and self.figures:
            raise ValueError(f"section {self.id!r} says that something is missing, and draws it")
        if not (self.missing or self.figures or self.tables):
            raise ValueError(f"section {self.id!r} shows nothing and does not say why")
        return self


class Watched(Value):
    """A monitor of the run's lifecycle, and what it has kept with the run."""

    name: str
    use: str
    settings: JsonObject = {}
    kept: JsonObject = {}


class Describer(Plugin):
    """Shows what numbers alone do not: curves and distributions of one window, for a report.

    Every describer of the project's plugins is asked, with its fields at their defaults, in the
    order of `place`. What it lacks it says in `missing`; it raises for what is technical alone.
    """

    kind: ClassVar[str] = "describer"
    place: ClassVar[int] = 100

    @abstractmethod
    def describe(
        self, ctx: Context, window: Window, watched: Sequence[Watched]
    ) -> Sequence[Section]:
        """Describe the run's service, stage and snapshot in the window."""
