"""Freezing a window of the scoring log as a CSV file that every attempt finds unchanged."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import BaseModel

from waystage.plugin import Column, ScoringLog, Slice
from waystage_plugins.monitors.split import is_holdout

if TYPE_CHECKING:
    from _csv import Writer

Target: TypeAlias = Literal["event", "value"]  # what is learnt: how it came out; a number


class Frozen(BaseModel):
    """A window that was written out: what is in it and the digest of its bytes.

    `coverage` is the share of all requests of the window that have a label, or a true value.
    `varied` says whether what is to be learnt is not the same in all rows; `events` counts
    labels that are 1, and is 0 where numbers are learnt.
    """

    path: str
    digest: str
    rows: int
    events: int
    varied: bool
    coverage: float
    start: datetime
    end: datetime


def freeze(
    log: ScoringLog,
    which: Slice,
    columns: Sequence[Column],
    into: Path,
    holdout: float = 0.0,
    target: Target = "event",
) -> Frozen:
    """Write the slice's rows that are known to have come out to `data.csv`, or give what is there.

    The columns are those of the model and `event` (1 or 0) or `value`; booleans are 1 and 0, a
    missing value is empty. Rows come by time, then by request id, whichever log they are from,
    so that the same window has the same digest. The share `holdout` of the requests is
    left out: those on which `is_holdout` says that models are compared.
    """
    told = into / "data.json"
    if told.exists():
        return Frozen.model_validate_json(told.read_text())
    place, beside = into / "data.csv", into / "data.csv.new"
    rows = log.rows(which, labelled=True) if target == "event" else log.valued_rows(which)
    asked, kept = log.counts(which)[0], _Kept(holdout)
    with beside.open("w", newline="", encoding="utf-8") as file:
        kept.write(csv.writer(file, lineterminator="\n"), columns, target, rows)
    beside.replace(place)
    frozen = Frozen(
        path=str(place),
        digest=_digest(place),
        rows=kept.rows,
        events=kept.events if target == "event" else 0,
        varied=len(kept.seen) > 1,
        coverage=kept.known / asked if asked else 0.0,
        start=which.start,
        end=which.end,
    )
    beside.write_text(frozen.model_dump_json())
    beside.replace(told)
    return frozen


class _Kept:
    """Writes the rows that are learnt from, and counts them."""

    def __init__(self, holdout: float) -> None:
        self._holdout = holdout
        self.known = self.rows = self.events = 0
        self.seen: set[float] = set()  # of what is learnt, two values at the most

    def write(
        self, into: Writer, columns: Sequence[Column], target: Target,
        rows: Iterable[Sequence[object]],
    ) -> None:  # fmt: skip
        names = [column.name for column in columns]
        into.writerow([*names, target])
        for request_id, _, _, inputs, learnt in rows:
            self.known += 1
            if not isinstance(inputs, dict) or not isinstance(learnt, int | float):
                continue
            if self._holdout and is_holdout(str(request_id), self._holdout):
                continue
            into.writerow([*(_cell(inputs.get(name)) for name in names), learnt])
            self.rows, self.events = self.rows + 1, self.events + (learnt == 1)
            if len(self.seen) < 2:
                self.seen.add(learnt)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return "" if value is None else value


def _digest(place: Path) -> str:
    with place.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
