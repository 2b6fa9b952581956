"""The monitor `http`."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

from pydantic import Field

from waystage.errors import Hopeless
from waystage.plugin import Context, Measurement, Minimum, Monitor, Secret, Window
from waystage_plugins.monitors.kpi import kpi, names_of
from waystage_plugins.notifiers.outgoing import fetch, refuse_status

MOST_BYTES = 1 << 20


class HttpMonitor(Monitor):
    """Measure a number that another system answers: a KPI of the business, say.

        - use: http
          with:
            url: https://kpi.example.com/v1/recovery
            value: data.rate
            token: {secret: env/KPI_TOKEN}

    The address is asked by GET with the parameters `start`, `end` (half-open, UTC), `service`,
    `stage` and `snapshot`. The answer is JSON; `value`, and if said `low`, `high` and `rows`,
    say where in it the numbers are, with points between the names (`data.0.rate` for the first
    of a list). `null` is `insufficient`; text is no number. The token goes as a bearer token.
    Private addresses are refused unless `allow_private` is true, and no redirect is followed.
    """

    use: ClassVar[str] = "http"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "neither"

    url: str = Field(pattern=r"^https?://", max_length=2000)
    value: str = Field(default="value", min_length=1, max_length=200)
    low: str = ""
    high: str = ""
    rows: str = ""
    token: Secret | None = None
    allow_private: bool = False

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Ask once; the engine tries again when nobody answers."""
        headers = {"Accept": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.reveal(ctx)}"
        names = {name: str(value) for name, value in names_of(ctx, window).items()}
        told = fetch(
            ctx, self.url, names, headers, most=MOST_BYTES, allow_private=self.allow_private
        )
        refuse_status(told, "it does not tell this number")
        answer = _parsed(told.body)
        places = {"value": self.value, "low": self.low, "high": self.high, "rows": self.rows}
        row = {name: _at(answer, place) for name, place in places.items() if place}
        return kpi(ctx, window, minimum, row, "the answer")


def _parsed(body: bytes) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except ValueError as error:
        raise Hopeless(f"the answer is no JSON: {error}") from None
    except RecursionError:
        raise Hopeless("the answer is nested too deeply") from None


def _at(answer: Any, place: str) -> Any:
    """Give what lies at `a.b.0`; raises `Hopeless` naming the first part that is not there."""
    found = answer
    for part in place.split("."):
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            raise Hopeless(f"the answer has no {place}: there is no {part}")
    return found
