"""A number from elsewhere, as a measurement: only a finite number is one."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import inf, isfinite

from waystage.errors import Hopeless
from waystage.plugin import Context, Measurement, Minimum, Window
from waystage_plugins.monitors.labelled import insufficient


def names_of(ctx: Context, window: Window, *, text: bool = True) -> dict[str, object]:
    """Give what a question may say about the run and the window."""
    return {
        "start": window.start.isoformat() if text else window.start,
        "end": window.end.isoformat() if text else window.end,
        "service": ctx.service,
        "stage": ctx.stage or "",
        "snapshot": ctx.snapshot.id,
    }


def kpi(
    ctx: Context, window: Window, minimum: Minimum, row: Mapping[str, object] | None, who: str
) -> Measurement:
    """Give the measurement of an answer with `value`, and perhaps `low`, `high` and `rows`."""
    if row is not None and "value" not in row:
        raise Hopeless(f"{who} gives no `value`, only {', '.join(map(str, row)) or 'nothing'}")
    if row is None or row["value"] is None:
        return insufficient(ctx, window, {}, f"{who} gives no value")
    value, low, high, rows = (
        number(row.get(name), f"`{name}` of {who}") for name in ("value", "low", "high", "rows")
    )
    counts = {} if rows is None else {"rows": int(rows)}
    if rows is not None and rows < minimum.rows:
        why = f"{int(rows)} rows are fewer than the {minimum.rows} needed"
        return insufficient(ctx, window, counts, why)
    return Measurement(value=value, low=low, high=high, method="asked", counts=counts)


def number(value: object, what: str) -> float | None:
    """Give a finite number, or None; raises `Hopeless` for anything else, texts among them."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Hopeless(f"{what} is {str(value)[:60]!r}, no number")
    try:
        found = float(value)
    except OverflowError:  # an integer beyond all floats
        found = inf
    if not isfinite(found):
        raise Hopeless(f"{what} is {str(value)[:60]}, no finite number")
    return found
