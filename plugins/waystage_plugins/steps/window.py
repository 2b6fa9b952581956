"""Freezing a window of the scoring log as a CSV file that every attempt finds unchanged."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel

from waystage.plugin import Column, ScoringLog, Slice
from waystage_plugins.monitors.split import is_holdout


class Frozen(BaseModel):
    """A window that was written out: what is in it and the digest of its bytes.

    `coverage` is the share of all requests of the window that have a label.
    """

    path: str
    digest: str
    rows: int
    events: int
    coverage: float
    start: datetime
    end: datetime


def freeze(
    log: ScoringLog, which: Slice, columns: Sequence[Column], into: Path, holdout: float = 0.0
) -> Frozen:
    """Write the labelled rows of the slice to `data.csv`, or give what is there already.

    The columns are those of the model and `event` (1 or 0); booleans are 1 and 0, a missing
    value is empty. Rows come by time, then by request id, whichever log they are from, so that
    the same window has the same digest. The share `holdout` of the requests is
    left out: those on which `is_holdout` says that models are compared.
    """
    told = into / "data.json"
    if told.exists():
        return Frozen.model_validate_json(told.read_text())
    place, beside = into / "data.csv", into / "data.csv.new"
    asked, labelled = log.counts(which)
    rows, events = _write(beside, columns, _kept(log.rows(which, labelled=True), holdout))
    beside.replace(place)
    frozen = Frozen(
        path=str(place),
        digest=_digest(place),
        rows=rows,
        events=events,
        coverage=labelled / asked if asked else 0.0,
        start=which.start,
        end=which.end,
    )
    beside.write_text(frozen.model_dump_json())
    beside.replace(told)
    return frozen


def _write(
    place: Path, columns: Sequence[Column], rows: Iterable[Sequence[object]]
) -> tuple[int, int]:
    names, count, events = [column.name for column in columns], 0, 0
    with place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*names, "event"])
        for inputs, event in _labelled(rows):
            writer.writerow([*(_cell(inputs.get(name)) for name in names), event])
            count, events = count + 1, events + event
    return count, events


def _kept(rows: Iterable[Sequence[object]], holdout: float) -> Iterable[Sequence[object]]:
    if holdout == 0:
        return rows
    return (row for row in rows if not is_holdout(str(row[0]), holdout))


def _labelled(rows: Iterable[Sequence[object]]) -> Iterator[tuple[dict[str, object], int]]:
    for _, _, _, inputs, event in rows:
        if isinstance(inputs, dict) and isinstance(event, int):
            yield inputs, event


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return "" if value is None else value


def _digest(place: Path) -> str:
    with place.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
