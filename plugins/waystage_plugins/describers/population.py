"""The describer `describe.population`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from waystage.plugin import Context, Describer, Section, Table, Watched, Window
from waystage_plugins.describers.moved import Moved, figure, moved, shares_table
from waystage_plugins.monitors import baseline as base
from waystage_plugins.monitors.columns import SCORE
from waystage_plugins.monitors.labelled import day, slice_of

if TYPE_CHECKING:
    from waystage_plugins.monitors.baseline import Source
    from waystage_plugins.monitors.profile import Cells

PARTS = (("score", "Distribution of the score"), ("inputs", "Distribution of the inputs"))
REFERENCE = "reference.csv"  # as the monitors of drift have it
ENOUGH = 200  # requests of a baseline, as monitors of drift want it
LOOK, ACT = 0.1, 0.25  # custom, as the how-to says


class PopulationDescriber(Describer):
    """Show how the score and every input lie now, beside the baseline, with PSI bin by bin.

        - use: describe.population
          with: {bins: 10}

    The baseline is the one that a monitor of drift froze with the run. Where there is none it is
    `reference.csv` of the snapshot, or else the first window of the same length since the snapshot
    came to the stage, by the same rules; the section says which.
    """

    use: ClassVar[str] = "describe.population"
    place: ClassVar[int] = 30

    bins: int = Field(default=10, ge=2, le=30)
    shown: int = Field(default=40, ge=1, description="inputs that are drawn, the farthest ones")

    def describe(
        self, ctx: Context, window: Window, watched: Sequence[Watched]
    ) -> Sequence[Section]:
        """Compare the requests of the window with the baseline, column by column."""
        try:
            then, source = self._baseline(ctx, window, watched)
        except base.NotYet as reason:
            return _missing(f"There is no baseline to compare with: {reason}.")
        now = {name: cells.empty() for name, cells in then.items()}
        rows = _fill(now, ctx, window)
        if rows == 0:
            span = f"{day(window.start)} to {day(window.end)} (UTC)"
            return _missing(f"No request was scored by {ctx.snapshot.id} in {ctx.stage}, {span}.")
        found = [moved(name, then[name], now[name], self.bins) for name in then]
        told = f"{rows:,} requests are compared with the baseline: {source}."
        scores = [each for each in found if each.name == SCORE]
        others = sorted((each for each in found if each.name != SCORE),
                        key=lambda each: (-each.psi, each.name))  # fmt: skip
        return [_score(scores, told), self._inputs(others, told)]

    def _baseline(
        self, ctx: Context, window: Window, watched: Sequence[Watched]
    ) -> tuple[dict[str, Cells], str]:
        """Give the cells of the baseline and where it comes from; raises `NotYet`."""
        if kept := _kept(ctx, watched):
            return kept
        kinds = {SCORE: "number"}
        for column in ctx.snapshot.inputs:
            kinds[column.name] = "number" if column.type in base.NUMBERS else "category"
        source = self._source(ctx, window, kinds)
        frozen = base.freeze(ctx, source, kinds, self.bins, "", ENOUGH)
        counted = "none is kept with the run, so it was counted for this report"
        return frozen.columns, f"{source.name}, {frozen.rows:,} requests; {counted}"

    def _source(self, ctx: Context, window: Window, kinds: dict[str, str]) -> Source:
        if REFERENCE in ctx.snapshot.files:
            return base.reference_file(ctx, REFERENCE, kinds)
        first, name = base.first_days(ctx, window, None, None)
        if window.start < first.end:
            raise base.NotYet(
                f"the first window of that length ({name}) is not over when this one begins, and "
                "no monitor of drift keeps another"
            )
        which = slice_of(ctx, first)
        return base.Source(name, lambda: base.logged(ctx, which), first.end)

    def _inputs(self, found: Sequence[Moved], told: str) -> Section:
        name, title = PARTS[1]
        if not found:
            why = "The baseline has no input column: a drift monitor that names them keeps some."
            return Section(id=name, title=title, missing=why)
        far = sum(each.psi >= ACT for each in found)
        about = f"{told} {_counted(far, found)}"
        rows = tuple((each.name, each.psi, each.noise, _words(each)) for each in found)
        names = ("input", "PSI", "PSI by chance alone", "in words")
        drawn = found[: self.shown]
        tables = (Table(title="Inputs, the farthest first", columns=names, rows=rows),)
        facts = {f"psi {each.name}": each.psi for each in found}
        return Section(id=name, title=title, about=about, facts=facts,
                       figures=tuple(figure(each) for each in drawn),
                       tables=(*tables, *(shares_table(each) for each in drawn)))  # fmt: skip


def _score(found: Sequence[Moved], told: str) -> Section:
    name, title = PARTS[0]
    if not found:
        why = "The baseline has no scores: have a monitor of drift look at the column (score)."
        return Section(id=name, title=title, missing=why)
    (score,) = found
    about = f"{told} PSI is {score.psi:.3f}: {_words(score)}."
    facts = {"psi": score.psi, "noise": score.noise}
    return Section(id=name, title=title, about=about, facts=facts, figures=(figure(score),),
                   tables=(shares_table(score),))  # fmt: skip


def _missing(why: str) -> list[Section]:
    return [Section(id=name, title=title, missing=why) for name, title in PARTS]


def _kept(ctx: Context, watched: Sequence[Watched]) -> tuple[dict[str, Cells], str] | None:
    """Give the baseline of this version with the most columns that a monitor has kept."""
    from waystage_plugins.monitors.profile import Cells

    mine = [each for each in watched
            if isinstance(each.kept.get("columns"), dict)
            and each.kept.get("version") == ctx.snapshot.id
            and each.kept.get("digest") == ctx.snapshot.digest]  # fmt: skip
    if not mine:
        return None
    best = max(mine, key=lambda each: len(each.kept["columns"]))  # type: ignore[arg-type]  # a mapping, as was asked above
    columns = {name: Cells.from_json(kept) for name, kept in best.kept["columns"].items()}  # type: ignore[union-attr,arg-type]  # written by `freeze`
    told = (
        f"{best.kept['source']}, {best.kept['rows']:,} requests, frozen by the monitor {best.name}"
    )
    return columns, told


def _fill(now: dict[str, Cells], ctx: Context, window: Window) -> int:
    return base.fill_from_log(now, ctx, slice_of(ctx, window))


def _words(each: Moved) -> str:
    if each.psi < LOOK:
        return "stable"
    if each.psi <= each.noise:
        return "within what chance makes with this few requests"
    return "moved far" if each.psi >= ACT else "moved"


def _counted(far: int, found: Sequence[Moved]) -> str:
    if not far:
        return f"None of {len(found)} inputs has moved far (PSI {ACT} or more)."
    verb = "has" if far == 1 else "have"
    return f"{far} of {len(found)} inputs {verb} moved far (PSI {ACT} or more)."
