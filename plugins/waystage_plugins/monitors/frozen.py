"""Freezing the requests that two models are compared on, so that every attempt sees the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Context, Slice
from waystage_plugins.monitors.split import is_holdout

LOOK_EVERY = 10_000  # rows between two looks at whether the answer is still wanted
ROWS, KNOWN, BESIDE = "rows.jsonl", "known.jsonl", "beside.jsonl"


class Frozen(BaseModel):
    """What was frozen: whose requests, from when, how many, and the digest of all of it.

    `counts` has the words of a measurement: rows, labelled, excluded, usable, events, nonevents;
    `beside` counts the challenger's own rows alike, where it has some in the log.
    """

    champion: str
    start: datetime
    end: datetime
    digest: str
    counts: dict[str, int]
    beside: dict[str, int] = {}


class Known(NamedTuple):
    """One frozen request: its score is None, and so is its event, only among the challenger's."""

    request_id: str
    score: float | None
    event: int | None
    group: object  # the value of the input that fairness is about


class Asked(NamedTuple):
    """Whose requests are frozen, and how: the share kept out of training, fairness's input.

    `beside` is the challenger's own slice of the log, where it answered requests itself; without
    it the champion's inputs are written down, for the challenger to be asked.
    """

    which: Slice
    holdout: float = 0.0
    group: str = ""
    beside: Slice | None = None


def frozen_before(ctx: Context) -> Frozen | None:
    """Give what an earlier attempt of this step froze."""
    told = ctx.scratch / "frozen.json"
    return Frozen.model_validate_json(told.read_text()) if told.exists() else None


def freeze(ctx: Context, asked: Asked) -> Frozen:
    """Write the labelled, scored requests of the slice below `ctx.scratch`.

    `rows.jsonl` has the inputs that the challenger takes, one object a line; `known.jsonl`,
    line by line beside it, a `Known`; `beside.jsonl` one for each row of the challenger's.
    """
    counts = _write_known(ctx, asked)
    beside = _write_beside(ctx, asked)
    frozen = Frozen(
        counts=counts,
        beside=beside,
        champion=asked.which.snapshot or "",
        start=asked.which.start,
        end=asked.which.end,
        digest=_digest(ctx.scratch),
    )
    _replace(ctx.scratch / "frozen.json", [frozen.model_dump_json()])
    return frozen


def known(ctx: Context, frozen: Frozen, name: str = KNOWN) -> list[Known]:
    """Give what is in one of the files; raises `Hopeless` if they changed."""
    if _digest(ctx.scratch) != frozen.digest:
        raise Hopeless(f"the frozen requests in {ctx.scratch} are not {frozen.digest} any more")
    with (ctx.scratch / name).open() as file:
        return [Known(*json.loads(line)) for line in file]


def _write_known(ctx: Context, asked: Asked) -> dict[str, int]:
    counts = _none()
    known = ctx.scratch / "known.part"
    with known.open("w") as beside:

        def inputs_of_usable() -> Iterator[str]:
            for row in _chosen(ctx, asked.which, asked.holdout):
                if _count(row, counts):
                    beside.write(_line(row, asked.group))
                    if asked.beside is None:
                        yield json.dumps(_known_inputs(ctx, row[3]), allow_nan=False)

        _replace(ctx.scratch / ROWS, inputs_of_usable())
    known.replace(ctx.scratch / KNOWN)
    return counts


def _write_beside(ctx: Context, asked: Asked) -> dict[str, int]:
    if asked.beside is None:
        return {}
    counts = _none()
    place = ctx.scratch / "beside.part"
    with place.open("w") as file:
        for row in _chosen(ctx, asked.beside, asked.holdout):
            _count(row, counts)
            file.write(_line(row, asked.group))
    place.replace(ctx.scratch / BESIDE)
    return counts


def _line(row: Sequence[object], group: str) -> str:
    request_id, _, score, inputs, event = row
    scored = isinstance(score, int | float) and isfinite(score)
    about = inputs.get(group) if group and isinstance(inputs, dict) else None
    return json.dumps([request_id, score if scored else None, event, about]) + "\n"


def _none() -> dict[str, int]:
    return dict.fromkeys(("rows", "labelled", "excluded", "usable", "events", "nonevents"), 0)


def _chosen(ctx: Context, which: Slice, holdout: float) -> Iterator[Sequence[object]]:
    for number, row in enumerate(ctx.scoring_log.rows(which), start=1):
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
    """Give the digest over all files, each line of two of which has its partner in the other."""
    seen = hashlib.sha256()
    for name in (ROWS, KNOWN, BESIDE):
        if (directory / name).exists():
            with (directory / name).open("rb") as file:
                seen.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{seen.hexdigest()}"
