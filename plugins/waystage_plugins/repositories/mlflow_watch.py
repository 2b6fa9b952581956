"""What a watch of MLflow's registry has seen: a cursor that stays small."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from waystage.plugin import JsonObject

AGAIN = timedelta(minutes=5)  # a version may be large: one that is refused is not read each time


class Troubles:
    """Why versions were not taken and when to look at them again, as a cursor keeps it."""

    def __init__(self, old: JsonObject) -> None:
        self._troubles = _map(old.get("troubles"))
        self._told: dict[str, Any] = {}

    def waits(self, place: str, now: datetime) -> bool:
        """Whether it is too soon to look again at a version that was refused."""
        trouble = _map(self._troubles.get(place))
        waits = bool(trouble.get("again")) and now < datetime.fromisoformat(str(trouble["again"]))
        if waits:
            self._told[place] = trouble
        return waits

    def refuse(
        self, log: logging.Logger, place: str, why: str, now: datetime, *, soon: bool
    ) -> None:
        """Remember why a version was not taken; say it when that is new."""
        if _map(self._troubles.get(place)).get("why") != why:
            log.warning("model version not taken: %s", why)
        again = "" if soon else (now + AGAIN).isoformat()
        self._told[place] = {"why": why, "again": again}


class Cursor(Troubles):
    """For each registered model the versions that were taken, as spans of numbers.

    `made` is when the registered model was made: one of the same name that came later is
    another one.
    """

    def __init__(self, old: JsonObject) -> None:
        super().__init__(old)
        self._old = _map(old.get("models"))
        self._models: dict[str, Any] = {}

    def knows(self, model: dict[str, Any], number: int) -> bool:
        """Whether a version was taken before."""
        seen = _map(self._old.get(str(model["name"])))
        if seen.get("made") != model.get("creation_timestamp"):
            return False
        return any(first <= number <= last for first, last in seen.get("taken", []))

    def keep(self, model: dict[str, Any], taken: Iterable[int]) -> None:
        """Remember which of a model's versions were taken, now or before."""
        self._models[str(model["name"])] = {
            "made": model.get("creation_timestamp"),
            "taken": _spans(taken),
        }

    def next(self) -> JsonObject:
        """Give what the next look begins with."""
        return {"models": self._models, "troubles": self._told}


def _spans(numbers: Iterable[int]) -> list[list[int]]:
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return spans


def _map(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
