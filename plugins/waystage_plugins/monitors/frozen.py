"""Freezing the requests that two models are compared on, so that every attempt sees the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from math import isfinite
from pathlib import Path

from pydantic import BaseModel

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Context, Slice
from waystage_plugins.monitors.split import is_holdout

LOOK_EVERY = 10_000  # rows between two looks at whether the answer is still wanted


class Frozen(BaseModel):
    """What was frozen: whose requests, from when, how many, and the digest of all of it.

    `counts` has the words of a measurement: rows, labelled, usable, events, nonevents.
    """

    champion: str
    start: datetime
    end: datetime
    digest: str
    counts: dict[str, int]


def frozen_before(ctx: Context) -> Frozen | None:
    """Give what an earlier attempt of this step froze."""
    told = ctx.scratch / "frozen.json"
    return Frozen.model_validate_json(told.read_text()) if told.exists() else None


def freeze(ctx: Context, which: Slice, holdout: float) -> Frozen:
    """Write the labelled, scored requests of the slice below `ctx.scratch`.

    `rows.jsonl` has the inputs that the challenger takes, one object a line; `known.jsonl`,
    line by line beside it, [request id, champion's score, event]. With `holdout` only
    requests kept out of training.
    """
    frozen = Frozen(
        counts=_write(ctx, which, holdout),
        champion=which.snapshot or "",
        start=which.start,
        end=which.end,
        digest=_digest(ctx.scratch),
    )
    _replace(ctx.scratch / "frozen.json", [frozen.model_dump_json()])
    return frozen


def known(ctx: Context, frozen: Frozen) -> list[tuple[str, float, int]]:
    """Give (request id, champion's score, event); raises `Hopeless` if the files changed."""
    if _digest(ctx.scratch) != frozen.digest:
        raise Hopeless(f"the frozen requests in {ctx.scratch} are not {frozen.digest} any more")
    with (ctx.scratch / "known.jsonl").open() as file:
        return [tuple(json.loads(line)) for line in file]


def _write(ctx: Context, which: Slice, holdout: float) -> dict[str, int]:
    counts = dict.fromkeys(("rows", "labelled", "excluded", "usable", "events", "nonevents"), 0)
    known = ctx.scratch / "known.part"
    with known.open("w") as beside:

        def inputs_of_usable() -> Iterator[str]:
            for row in _chosen(ctx, ctx.scoring_log.rows(which), holdout):
                if _count(row, counts):
                    request_id, _, score, inputs, event = row
                    beside.write(json.dumps([request_id, score, event]) + "\n")
                    yield json.dumps(_known_inputs(ctx, inputs), allow_nan=False)

        _replace(ctx.scratch / "rows.jsonl", inputs_of_usable())
    known.replace(ctx.scratch / "known.jsonl")
    return counts


def _chosen(
    ctx: Context, rows: Iterable[Sequence[object]], holdout: float
) -> Iterator[Sequence[object]]:
    for number, row in enumerate(rows, start=1):
        if number % LOOK_EVERY == 0 and ctx.cancelled:
            raise Retryable("the comparison was cancelled")
        if holdout == 0 or is_holdout(str(row[0]), holdout):
            yield row


def _count(row: Sequence[object], counts: dict[str, int]) -> bool:
    """Count the row and say whether it can be used: a finite score and a label."""
    _, _, score, _, event = row
    scored = isinstance(score, int | float) and isfinite(score)
    counts["rows"] += 1
    counts["labelled"] += event is not None
    counts["excluded"] += not scored
    if not scored or event is None:
        return False
    counts["usable"] += 1
    counts["events" if event else "nonevents"] += 1
    return True


def _known_inputs(ctx: Context, inputs: object) -> object:
    """Leave out the inputs that the challenger does not have any more."""
    names = {column.name for column in ctx.snapshot.inputs}
    if not names or not isinstance(inputs, dict):
        return inputs
    return {name: value for name, value in inputs.items() if name in names}


def _replace(place: Path, lines: Iterable[str]) -> None:
    beside = place.with_suffix(".part")
    with beside.open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
    beside.replace(place)


def _digest(directory: Path) -> str:
    """Give the digest over both files, each line of which has its partner in the other."""
    seen = hashlib.sha256()
    for name in ("rows.jsonl", "known.jsonl"):
        with (directory / name).open("rb") as file:
            seen.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{seen.hexdigest()}"
