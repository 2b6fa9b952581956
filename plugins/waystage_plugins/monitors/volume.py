"""The monitor `volume`."""

from __future__ import annotations

from typing import ClassVar, Literal

from waystage.plugin import Context, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import slice_of


class VolumeMonitor(Monitor):
    """Count the requests that were scored in the window.

        - use: volume

    None is a value like any other here, never `insufficient`: `breach: {below: 1}` finds a
    service that nobody reaches. The interval is the value, for it is a count and no estimate;
    the monitor's `minimum` is not looked at.
    """

    use: ClassVar[str] = "volume"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "neither"
    values: ClassVar[tuple[float | None, float | None]] = (0, None)

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Count the rows that the run's snapshot scored as champion in the run's stage."""
        rows, labelled = ctx.scoring_log.counts(slice_of(ctx, window))
        return Measurement(
            value=rows,
            low=rows,
            high=rows,
            method="count",
            counts={"rows": rows, "labelled": labelled},
            notes={"coverage": labelled / rows if rows else 0.0},
        )
