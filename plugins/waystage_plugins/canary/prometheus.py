"""Asking a Prometheus server for a series on a grid of times; what does not fit is an error.

The answers are those of the HTTP API's `query_range`, as Prometheus documents it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from waystage.clock import wall_seconds
from waystage.errors import Hopeless, Retryable
from waystage.plugin import Services
from waystage_plugins.canary.settings import Prometheus, filled
from waystage_plugins.notifiers.outgoing import Answered, fetch, refuse_status

MOST_BYTES = 4 << 20
SKEW = timedelta(seconds=60)  # or a step, if that is longer
WRONG = (400, 422)  # the query; the body says why


@dataclass(frozen=True, slots=True)
class Grid:
    """The times that a series is asked for: from `start` to `end`, both of them, every `step`."""

    start: datetime
    end: datetime
    step: timedelta

    @property
    def times(self) -> list[datetime]:
        """All of them."""
        count = (self.end - self.start) // self.step + 1
        return [self.start + number * self.step for number in range(count)]


def series(
    ctx: Services, server: Prometheus, query: str, side: str, grid: Grid
) -> dict[datetime, float]:
    """Give the finite values of the one series that the query has for a side, by their times.

    Raises `Hopeless` for an answer that is no such series, and for a clock that goes wrong.
    """
    asked = {
        "query": filled(query, side, grid.step),
        "start": _seconds(grid.start),
        "end": _seconds(grid.end),
        "step": f"{grid.step.total_seconds():g}",
    }
    headers = {"Accept": "application/json"}
    if server.token is not None:
        headers["Authorization"] = f"Bearer {server.token.reveal(ctx)}"
    url = f"{server.url.rstrip('/')}/api/v1/query_range"
    answer = fetch(ctx, url, asked, headers, most=MOST_BYTES, allow_private=server.allow_private)
    _check_clock(answer, grid.step)
    found = _result(answer, asked["query"])
    if len(found) > 1:
        raise Hopeless(
            f"{asked['query']} gives {len(found)} series for {side}: have it give one by sum"
        )
    return _on_grid(asked["query"], found[0], grid) if found else {}


def _seconds(at: datetime) -> str:
    return f"{at.timestamp():.3f}"


def _check_clock(answer: Answered, step: timedelta) -> None:
    """Refuse what a server says whose clock and ours are apart: its newest times are not ours."""
    try:
        there = parsedate_to_datetime(answer.date)
    except ValueError:
        return  # it does not tell its time
    if there.tzinfo is None:
        return
    ahead = there.timestamp() - wall_seconds()
    if abs(ahead) > max(SKEW, step).total_seconds():
        way = "ahead of" if ahead > 0 else "behind"
        raise Hopeless(
            f"the clock of {answer.host} is {abs(ahead):.0f} s {way} this machine's: what it says "
            "of the last minutes cannot be compared; set the clocks"
        )


def _result(answer: Answered, query: str) -> list[Mapping[str, Any]]:
    if answer.status not in WRONG:
        refuse_status(answer, "it does not tell this series")
    body = _parsed(answer)
    if answer.status in WRONG or body.get("status") != "success":
        why = f"{answer.host} refuses {query}: {str(body.get('error', body.get('status')))[:300]}"
        raise (Retryable if body.get("errorType") in ("timeout", "unavailable") else Hopeless)(why)
    data = body.get("data")
    kind = data.get("resultType") if isinstance(data, dict) else None
    found = data.get("result") if isinstance(data, dict) else None
    if kind != "matrix" or not isinstance(found, list):
        raise Hopeless(f"{answer.host} answers {query} by {kind!r}, where a matrix is asked for")
    return found


def _parsed(answer: Answered) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    try:
        body = json.loads(answer.body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Hopeless(f"{answer.host} answers no JSON: {str(error)[:200]}") from None
    if not isinstance(body, dict):
        raise Hopeless(f"{answer.host} answers no object of JSON")
    return body


def _on_grid(query: str, found: Any, grid: Grid) -> dict[datetime, float]:
    values = found.get("values") if isinstance(found, dict) else None
    if not isinstance(values, list):
        raise Hopeless(f"{query} gives no plain values; histograms have none, take a quantile")
    expected, series = {*grid.times}, dict[datetime, float]()
    for pair in values:
        at, value = _point(query, pair)
        if at not in expected or at in series:
            raise Hopeless(
                f"{query} is answered for {at.isoformat()}, which was not asked for, or is twice"
            )
        series[at] = value
    return {at: value for at, value in series.items() if math.isfinite(value)}


def _point(query: str, pair: Any) -> tuple[datetime, float]:
    """Read `[seconds, "number"]`; NaN and infinities are numbers here, and left out later."""
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], str):
        raise Hopeless(f"{query} gives {str(pair)[:60]}, which is no time with a number as text")
    at, text = pair
    try:
        if isinstance(at, bool) or not isinstance(at, int | float):
            raise ValueError("no time")
        return datetime.fromtimestamp(round(at * 1000) / 1000, UTC), float(text)
    except (ValueError, OverflowError, OSError):
        raise Hopeless(f"{query} gives {str(pair)[:60]}, which is no time with a number") from None
