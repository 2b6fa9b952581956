"""The baseline of drift monitors: which rows it is made of, and that it stays as it was frozen."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Context, JsonObject, Slice, Window
from waystage_plugins.monitors.columns import SCORE
from waystage_plugins.monitors.labelled import day, slice_of
from waystage_plugins.steps.artifact import fetch_artifact

if TYPE_CHECKING:
    from waystage_plugins.monitors.profile import Cells

LARGEST = 180_000  # bytes of JSON that a run keeps of one baseline
LOOK_EVERY = 10_000  # rows between two looks at whether the answer is still wanted
NUMBERS = ("number", "integer")

Row = tuple[object, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows come from, in words, and how to read them from the beginning."""

    name: str
    rows: Callable[[], Iterator[Row]]
    end: datetime | None = None  # of a window of the scoring log


class NotYet(Exception):  # it is no error but a reason to wait, told as insufficient
    """There is no baseline yet; the text says why."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Frozen cells per column, of which version and rows they are, and until when.

    `keep` is what the run is to keep; None if it does so already.
    """

    columns: dict[str, Cells]
    rows: int
    source: str
    end: datetime | None
    keep: JsonObject | None


def recall(ctx: Context, settings: str) -> Baseline | None:
    """Give the baseline that the run keeps; None if there is none, or one of other settings.

    Raises `Hopeless` if it is one of another version: then it says nothing about this one.
    """
    from waystage_plugins.monitors.profile import Cells

    kept: Any = ctx.memo
    if not kept or kept.get("settings") != settings:
        return None
    need_version(ctx, kept)
    end = datetime.fromisoformat(kept["end"]) if kept["end"] else None
    columns = {name: Cells.from_json(each) for name, each in kept["columns"].items()}
    return Baseline(columns, kept["rows"], kept["source"], end, None)


def need_version(ctx: Context, kept: Mapping[str, Any]) -> None:
    """Raise `Hopeless` if what is kept is of another version than the run's snapshot."""
    if (kept["version"], kept["digest"]) != (ctx.snapshot.id, ctx.snapshot.digest):
        raise Hopeless(
            f"the stored baseline is of {kept['version']} ({kept['digest'][:19]}…), not of "
            f"{ctx.snapshot.id} ({ctx.snapshot.digest[:19]}…): open a run for each version"
        )


def freeze(
    ctx: Context, source: Source, kinds: Mapping[str, str], cells: int, settings: str, least: int
) -> Baseline:
    """Choose the cells and count the baseline's rows into them; raises `NotYet` for too few."""
    from waystage_plugins.monitors.profile import fill, shape

    columns = shape(source.rows(), kinds, cells)
    rows = fill(columns, source.rows())
    if rows < least:
        raise NotYet(f"the baseline ({source.name}) has {rows} requests, {least} are needed")
    kept: JsonObject = {
        "version": ctx.snapshot.id,
        "digest": ctx.snapshot.digest,
        "settings": settings,
        "source": source.name,
        "end": source.end.isoformat() if source.end else "",
        "rows": rows,
        "columns": {name: each.to_json() for name, each in columns.items()},
    }
    if (size := len(json.dumps(kept))) > LARGEST:
        raise Hopeless(
            f"the baseline of {len(columns)} columns takes {size:,} bytes, more than {LARGEST:,}: "
            "name fewer columns, or ask for fewer bins"
        )
    return Baseline(columns, rows, source.name, source.end, kept)


def settings_of(**settings: object) -> str:
    """Give a short name of settings: a baseline holds for those that it was frozen with."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def first_window(
    ctx: Context, window: Window, length: timedelta | None, since: datetime | None
) -> Source:
    """Give the rows of the first days; raises `NotYet` while they are not over."""
    first, name = first_days(ctx, window, length, since)
    if first.end > ctx.now:
        raise NotYet(f"the baseline ({name}) is not over yet")
    which = slice_of(ctx, first)
    return Source(name, lambda: logged(ctx, which), first.end)


def first_days(
    ctx: Context, window: Window, length: timedelta | None, since: datetime | None
) -> tuple[Window, str]:
    """Give the first whole days since the snapshot came to the run's stage, and their name.

    They follow from the inventory, not from when somebody measures first, so that the order of
    measurements changes nothing.
    """
    slice_of(ctx, window)  # which says what is wrong with a state of no stage
    start = _midnight(since or _placed(ctx))
    end = start + (length or window.end - window.start)
    return Window(start=start, end=end), f"{day(start)} to {day(end)}"


def logged(ctx: Context, which: Slice) -> Iterator[Row]:
    """Stream (score, inputs) of a slice of the scoring log."""
    for number, (_, _, score, given, _) in enumerate(ctx.scoring_log.rows(which), start=1):
        if number % LOOK_EVERY == 0 and ctx.cancelled:
            raise Retryable("the measurement was cancelled")
        yield score, given if isinstance(given, dict) else {}


def fill_from_log(now: Mapping[str, Cells], ctx: Context, which: Slice) -> int:
    """Count a slice of the scoring log into cells; answers how many rows there were.

    Of the score alone no input is read, and equal scores are counted together.
    """
    from waystage_plugins.monitors.profile import fill, fill_scores

    if set(now) == {SCORE}:
        return fill_scores(now[SCORE], ctx.scoring_log.scores(which))
    return fill(now, logged(ctx, which))


def reference_file(ctx: Context, name: str, kinds: Mapping[str, str]) -> Source:
    """Give the rows of a CSV file that is part of the snapshot, and so of its digest."""
    if name not in ctx.snapshot.files:
        raise Hopeless(
            f"{ctx.snapshot.id} has no file {name} to take the baseline from; put the scored "
            "reference data there, or say baseline: first"
        )
    return Source(f"{name} of {ctx.snapshot.id}",
                  lambda: _csv_rows(fetch_artifact(ctx) / name, kinds))  # fmt: skip


def _csv_rows(path: Path, kinds: Mapping[str, str]) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or ()
        wanted = {name: "score" if name == SCORE else name for name in kinds}
        if lost := sorted(set(wanted.values()) - {*names}):
            raise Hopeless(
                f"{path.name} has no column {', '.join(lost)}; it has {', '.join(names)}"
            )
        for row in _checked(reader, path):
            values = {name: _value(row[column], kinds[name]) for name, column in wanted.items()}
            yield values.get(SCORE), values


def _checked(reader: Iterable[dict[str, Any]], path: Path) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except (csv.Error, UnicodeDecodeError) as error:
        raise Hopeless(f"{path.name} cannot be read as CSV in UTF-8: {error}") from error


def _value(text: str | None, kind: str) -> object:
    if not text:
        return None
    if kind != "number":
        return text
    try:
        return float(text)
    except ValueError:
        return text  # counted as what is no number


def _placed(ctx: Context) -> datetime:
    since = [each.since for each in ctx.placements(stage=ctx.stage)
             if each.snapshot.id == ctx.snapshot.id]  # fmt: skip
    if not since:
        raise Hopeless(
            f"the inventory does not know since when {ctx.snapshot.id} has been in {ctx.stage}; "
            "say since: when its first window begins"
        )
    return min(since)


def _midnight(at: datetime) -> datetime:
    """Give the next midnight in UTC, or the instant itself if it is one."""
    epoch = datetime(1970, 1, 1, tzinfo=at.tzinfo)
    return epoch + timedelta(days=ceil((at - epoch) / timedelta(days=1)))
