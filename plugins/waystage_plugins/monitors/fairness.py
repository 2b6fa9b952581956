"""The monitor `fairness`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Context, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.columns import is_finite
from waystage_plugins.monitors.labelled import insufficient, slice_of
from waystage_plugins.monitors.statistics.multiple import adjusted
from waystage_plugins.monitors.statistics.rates import difference_p, ratio_interval
from waystage_plugins.monitors.statistics.shares import wilson

FOUR_FIFTHS = 0.8
MOST_GROUPS = 200
LOOK_EVERY = 10_000  # rows between two looks at whether the answer is still wanted

COUNTED = ("rows", "grouped", "ungrouped", "unscored", "unlabelled", "outside")

Groups = dict[str, list[int]]  # the group's requests, and those of them that are hits
Row = tuple[object, object, object]  # score, inputs, event


class FairnessMonitor(Monitor):
    """Measure how much less often one group of people is favoured than another.

        - use: fairness
          with: {group: sex, threshold: 0.4, favourable: below, rate: selection}

    The value is the lowest group rate divided by the highest: 1 is equal, below 0.8 breaks the
    four-fifths rule (29 CFR 1607.4 D), which the note `four_fifths` tells. `rate` is the share
    of a group whose score is on the `favourable` side of `threshold` (`selection`), or that
    share of those who became events (`events`, equal opportunity) or did not (`nonevents`).
    Numbers are grouped by `cuts`, the first group ending before the first cut. Groups with fewer
    requests than `least` are told and left out. The interval is that of the two groups' ratio
    (Katz et al., 1978); `p` is Holm's, over all groups against the highest.
    """

    use: ClassVar[str] = "fairness"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    group: str = Field(min_length=1, description="the input that tells the groups apart")
    cuts: tuple[float, ...] = Field(default=(), max_length=20)
    threshold: float = 0.5
    favourable: Literal["above", "below"] = "above"
    rate: Literal["selection", "events", "nonevents"] = "selection"
    least: int = Field(default=100, ge=2, description="requests of a group that is compared")

    @model_validator(mode="after")
    def _rising(self) -> FairnessMonitor:
        if list(self.cuts) != sorted(set(self.cuts)):
            raise ValueError("cuts: each is larger than the one before")
        return self

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Compare the groups among the requests that the snapshot answered as champion."""
        log, which = ctx.scoring_log, slice_of(ctx, window)
        groups, counts = self._tallied(
            ctx, ((score, inputs, event) for _, _, score, inputs, event in log.rows(which))
        )
        why = self._lack(groups, counts, minimum)
        if why:
            return insufficient(ctx, window, counts, why)
        if why := self._other_scale(groups, counts):
            raise Hopeless(why)
        return self._measured(groups, counts)

    def judged(self, ctx: Context, rows: Iterable[Row]) -> Measurement:
        """Compare the groups among these (score, inputs, event or None)."""
        groups, counts = self._tallied(ctx, rows)
        lack = self._lack(groups, counts, Minimum(label_coverage=0))
        if why := lack or self._other_scale(groups, counts):
            return Measurement(counts=counts, insufficient=why)
        return self._measured(groups, counts)

    def _tallied(self, ctx: Context, rows: Iterable[Row]) -> tuple[Groups, dict[str, int]]:
        groups: Groups = {}
        counts = dict.fromkeys(COUNTED, 0)
        for score, inputs, event in rows:
            counts["rows"] += 1
            if counts["rows"] % LOOK_EVERY == 0 and ctx.cancelled:
                raise Retryable("the measurement was cancelled")
            self._count(groups, counts, score, inputs, event)
        return groups, counts

    def _count(
        self, groups: Groups, counts: dict[str, int], score: object, inputs: object, event: object
    ) -> None:
        name = self._name(inputs.get(self.group)) if isinstance(inputs, Mapping) else ""
        if not isinstance(score, int | float) or not is_finite(score):
            counts["unscored"] += 1
        elif not name:
            counts["ungrouped"] += 1
        elif self.rate != "selection" and event is None:
            counts["unlabelled"] += 1
        elif self.rate == "selection" or event == (1 if self.rate == "events" else 0):
            counts["grouped"] += 1
            hit = score >= self.threshold if self.favourable == "above" else score < self.threshold
            each = groups.setdefault(name, [0, 0])
            each[0] += 1
            each[1] += hit
            counts["outside"] += not 0 <= score <= 1
            if len(groups) > MOST_GROUPS:
                raise Hopeless(
                    f"input {self.group} has more than {MOST_GROUPS} values: name one that tells "
                    "groups of people apart, or say cuts: for a number"
                )

    def _name(self, value: object) -> str:
        """Give the group of a value; empty for one that tells none."""
        if not self.cuts:
            return "" if value is None or value != value else str(value)[:60]
        if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
            return ""
        place = bisect_right(self.cuts, value)
        if place == 0:
            return f"below {self.cuts[0]:g}"
        last = place == len(self.cuts)
        return f"{self.cuts[place - 1]:g}" + (" and more" if last else f" to {self.cuts[place]:g}")

    def _lack(self, groups: Groups, counts: dict[str, int], minimum: Minimum) -> str:
        """Say why the data do not suffice; empty when they do."""
        if counts["rows"] < max(minimum.rows, 1):
            needed = max(minimum.rows, 1)
            return f"{counts['rows']} scored requests are fewer than the {needed} needed"
        if self.rate != "selection":
            due = counts["rows"] - counts["unscored"] - counts["ungrouped"]
            share = 1 - counts["unlabelled"] / due if due else 0.0
            if share < minimum.label_coverage:
                return f"{share:.1%} have a label; {minimum.label_coverage:.1%} are needed"
        large = [name for name, (rows, _) in groups.items() if rows >= self.least]
        if len(large) < 2:
            return (
                f"fewer than two groups of {self.group} have {self.least} requests "
                f"({_sizes(groups, counts)})"
            )
        return ""

    def _other_scale(self, groups: Groups, counts: dict[str, int]) -> str:
        """Say that the threshold tells nobody apart, as scores are on another scale; else empty."""
        hits = sum(found for _, found in groups.values())
        if not counts["outside"] or hits not in (0, counts["grouped"]):
            return ""
        side = "favourable" if hits else "other"
        return (
            f"{counts['outside']} scores lie outside 0..1, and all {counts['grouped']} on the "
            f"{side} side of the threshold {self.threshold:g}, so it tells nobody apart; say "
            "threshold: on the scale of the scores"
        )

    def _measured(self, groups: Groups, counts: dict[str, int]) -> Measurement:
        large = {name: each for name, each in sorted(groups.items()) if each[0] >= self.least}
        ranked = sorted(large, key=lambda name: (large[name][1] / large[name][0], name))
        lowest, highest = ranked[0], ranked[-1]
        (rows, hits), (most_rows, most_hits) = large[lowest], large[highest]
        share, most = hits / rows, most_hits / most_rows
        value = share / most if most > 0 else 1.0  # nobody is favoured in any group
        low, high = ratio_interval(hits, rows, most_hits, most_rows)
        others = [name for name in ranked if name != highest]
        p_values = [difference_p(large[n][1], large[n][0], most_hits, most_rows) for n in others]
        p = dict(zip(others, adjusted(p_values, "holm"), strict=True))
        notes: dict[str, str | float | bool] = {
            "lowest": lowest,
            "highest": highest,
            "difference": most - share,
            "four_fifths": value >= FOUR_FIFTHS,
            "p": p[lowest],
            "small_groups": len(groups) - len(large),
        }
        for name, (size, found) in large.items():
            least, largest = wilson(found, size)
            notes[f"group {name}"] = (
                f"{found / size:.4f} ({least:.4f} to {largest:.4f}), {size} requests"
            )
        return Measurement(
            value=value,
            low=min(low, value),
            high=min(max(high, value), 1.0),
            method="katz",
            counts=counts,
            notes=notes,
        )


def _sizes(groups: Groups, counts: dict[str, int]) -> str:
    """Say how large the groups are, or why there is none."""
    if groups:
        return ", ".join(f"{name}: {rows}" for name, (rows, _) in sorted(groups.items())[:10])
    left = {name: counts[name] for name in ("unscored", "ungrouped", "unlabelled") if counts[name]}
    words = {
        "unscored": "have no score",
        "ungrouped": "tell no group",
        "unlabelled": "have no label",
    }
    return ", ".join(f"{rows} {words[name]}" for name, rows in left.items()) or "there is none"
