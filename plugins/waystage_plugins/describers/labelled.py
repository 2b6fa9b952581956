"""What describers of labelled requests have in common: their data, or why there are none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from waystage.plugin import Context, Grouped, Section, Slice, Watched, Window
from waystage_plugins.monitors.labelled import by_score, counts_of, day, slice_of

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.counts import Counts, Floats

Facts: TypeAlias = dict[str, str | float | int | bool | None]
TRUE_VALUES = frozenset({"performance.r2", "performance.rmse"})  # monitors that read them
FEW = 200  # events or non-events below which a curve is called rough, as monitors do


@dataclass(frozen=True, slots=True)
class Labelled:
    """Scores of requests whose outcome is known: each score once, ascending."""

    score: Floats
    counts: Counts
    sizes: dict[str, int]
    digest: str

    @property
    def rough(self) -> str:
        """Say that the curves stand on few requests; empty when they do not."""
        events, nonevents = self.sizes["events"], self.sizes["nonevents"]
        if min(events, nonevents) >= FEW:
            return ""
        return f" It stands on {events:,} events and {nonevents:,} non-events only."


def labelled(ctx: Context, window: Window) -> Labelled | str:
    """Give the labelled scores of the window, or say why no curve can be drawn from them."""
    import numpy as np

    which = slice_of(ctx, window)
    found = ctx.scoring_log.grouped(which)
    sizes = counts_of(found)
    if why := _nothing(sizes, which):
        return why
    counts, score = by_score(found), np.asarray(found.score, dtype=np.float64)
    if len(score) > 1 and not (np.diff(score) > 0).all():
        score = np.unique(score)
    return Labelled(score, counts, sizes, digest_of(found))


def of_regression(each: Watched) -> bool:
    """Whether a monitor looks at true values, by itself or in `decay`."""
    return not TRUE_VALUES.isdisjoint(_uses(each))


def of_numbers_alone(watched: Sequence[Watched]) -> bool:
    """Whether a service is watched by its true values, and by nothing that needs events."""
    uses = {use for each in watched for use in _uses(each) if use.startswith("performance.")}
    return bool(uses) and uses <= TRUE_VALUES


def _uses(each: Watched) -> set[str]:
    metric = each.settings.get("metric")
    inner = metric.get("use") if isinstance(metric, Mapping) else None
    return {each.use, *([inner] if isinstance(inner, str) else [])}


def digest_of(found: Grouped) -> str:
    """Give the digest of counts by score: the same rows and labels, the same digest."""
    import numpy as np

    seen = hashlib.sha256(f"{found.rows} {found.labelled} {found.excluded}\n".encode())
    for values, kind in ((found.score, "<f8"), (found.n_event, "<i8"), (found.n_nonevent, "<i8")):
        seen.update(np.ascontiguousarray(values, dtype=kind).tobytes())
    return f"sha256:{seen.hexdigest()}"


def missing(window_parts: Sequence[tuple[str, str]], why: str) -> list[Section]:
    """Give each of the sections with the reason why it is empty."""
    return [Section(id=name, title=title, missing=why) for name, title in window_parts]


def _nothing(sizes: dict[str, int], which: Slice) -> str:
    where = f"{which.snapshot} in {which.stage}, {day(which.start)} to {day(which.end)} (UTC)"
    if sizes["rows"] == 0:
        return f"No request was scored by {where}."
    if sizes["labelled"] == 0:
        return (
            f"{sizes['rows']:,} requests were scored by {where}; of none of them is the outcome "
            "known yet."
        )
    if sizes["usable"] == 0:
        return f"No request with a known outcome has a usable score ({where})."
    for name, other in (("events", "non-events"), ("nonevents", "events")):
        if sizes[name] == 0:
            word = name.replace("non", "non-")
            return (
                f"All {sizes['usable']:,} known outcomes of {where} are {other}: without {word} "
                "there is nothing to tell apart."
            )
    return ""
