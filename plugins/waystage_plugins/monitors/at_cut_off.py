"""What monitors of a cut-off share: the score from which on a request is called an event."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from waystage.plugin import Context, Grouped, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import by_score, common_notes, counts_of, usable

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.confusion import Confusion

Shown = tuple[float, tuple[float, float], dict[str, float]]  # value, its interval, further notes


class AtCutOff(Monitor):
    """A share between 0 and 1 that is the better the higher; its interval is Wilson's."""

    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    threshold: float = Field(default=0.5, description="a score from here on is called an event")

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's snapshot, as champion, on the labelled requests of the window."""
        found = usable(ctx, window, minimum)
        return found if isinstance(found, Measurement) else self._measured(found)

    @abstractmethod
    def shown(self, cut: Confusion, sizes: dict[str, int]) -> Shown:
        """Give the value, its interval and what is told besides."""

    def _measured(self, found: Grouped) -> Measurement:
        from waystage_plugins.monitors.statistics import confusion

        cut = confusion.confusion(found.score, by_score(found), self.threshold)
        sizes = counts_of(found)
        value, (low, high), more = self.shown(cut, sizes)
        return Measurement(
            value=value,
            low=low,
            high=high,
            method="wilson",
            counts=sizes,
            notes={**common_notes(found), "threshold": self.threshold, **more},
        )
