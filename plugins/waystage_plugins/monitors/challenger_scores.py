"""Where a challenger's scores come from: a job, its endpoint, or requests that it answered."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from waystage.errors import Hopeless, NotFound, Retryable
from waystage.plugin import (
    Context,
    Handle,
    Job,
    JsonObject,
    OnlineRuntime,
    Placement,
    Slice,
    Waiting,
)
from waystage_plugins.monitors.frozen import BESIDE, ROWS, Frozen, Known, known
from waystage_plugins.monitors.guardrails import Side
from waystage_plugins.steps.artifact import deploy_spec, fetch_artifact, need_stage
from waystage_plugins.steps.jobs import follow, score_of
from waystage_plugins.steps.placed import online_runtime

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.counts import Floats

AT_ONCE = 100  # requests that an endpoint is asked together
TIMED = 200  # requests that both models are asked one by one, so that their times can be compared
LATE = timedelta(hours=1)  # a copy of a request is answered after it, and by then surely

Scores = list[float | None]


class Answers(NamedTuple):
    """Both models' answers. `coverage` is the share of the champion's that have a partner."""

    old: Side
    new: Side
    coverage: float = 1.0


def by_job(ctx: Context, frozen: Frozen) -> Waiting | Answers:
    """Have the state's batch runtime score the frozen requests; raises `ValueError`, saying what
    is wrong with what it wrote.
    """
    outputs = follow(ctx, ctx.runtime("batch").batch, lambda: _scoring(ctx))
    if isinstance(outputs, Waiting):
        return outputs
    rows = known(ctx, frozen)
    scores = _scores(outputs / "scores.jsonl", len(rows))
    old, new = _sides(frozen, rows, scores)
    old.untimed = new.untimed = "a job does not tell how long single requests take"
    return Answers(old, new)


def by_endpoint(ctx: Context, frozen: Frozen, stage: str) -> Answers:
    """Send the frozen requests, as probes, to where the challenger is deployed in the stage."""
    rows = known(ctx, frozen)
    mine = _placed(ctx, stage, ctx.snapshot.id)
    runtime, handle = online_runtime(ctx, mine), Handle(ref=mine.deployed.handle)
    scores: Scores = []
    with (ctx.scratch / ROWS).open() as file:
        while part := [json.loads(line) for line in islice(file, AT_ONCE)]:
            scores += _asked(ctx, runtime, handle, part)
    old, new = _sides(frozen, rows, scores)
    if runtime.times_probes:
        _time(ctx, (old, _placed(ctx, stage, frozen.champion)), (new, mine))
    else:
        old.untimed = new.untimed = (
            f"the way to a model on {runtime.use} may take longer than the model: have requests "
            "copied (mode shadow), or look at no times (champion-challenger: latency 0)"
        )
    return Answers(old, new)


def by_shadow(ctx: Context, frozen: Frozen, slices: tuple[Slice, Slice]) -> Answers:
    """Join both models' answers to the same requests by their ids."""
    mine = {row.request_id: row.score for row in known(ctx, frozen, BESIDE)}
    rows = known(ctx, frozen)
    both = [row for row in rows if row.request_id in mine]
    old, new = _sides(frozen, both, [mine[row.request_id] for row in both])
    _from_log(ctx, frozen, old, new, slices)
    return Answers(old, new, len(both) / len(rows) if rows else 0.0)


def by_split(ctx: Context, frozen: Frozen, slices: tuple[Slice, Slice]) -> Answers:
    """Take each model's own requests: different ones."""
    rows, mine = known(ctx, frozen), known(ctx, frozen, BESIDE)
    usable = [row for row in mine if row.score is not None and row.event is not None]
    old, new = _side(rows, [row.score for row in rows]), _side(usable, [r.score for r in usable])
    _from_log(ctx, frozen, old, new, slices)
    return Answers(old, new)


def own_slice(ctx: Context, which: Slice, *, late: bool) -> Slice:
    """Give the challenger's own rows of the champion's window."""
    end = min(which.end + LATE, ctx.now) if late else which.end
    return Slice(which.service, which.stage, which.start, end, ctx.snapshot.id, "challenger")


def _from_log(
    ctx: Context, frozen: Frozen, old: Side, new: Side, slices: tuple[Slice, Slice]
) -> None:
    """Fill in what the log counts of all requests of the window, with a label or without."""
    for side, which, counts in zip((old, new), slices, (frozen.counts, frozen.beside), strict=True):
        side.asked, side.unscored = counts["rows"], counts["excluded"]
        try:
            side.latency = list(ctx.scoring_log.latencies(which))
        except Hopeless as error:
            side.untimed = str(error)


def _scoring(ctx: Context) -> Job:
    runtime, source = ctx.runtime("batch").batch, fetch_artifact(ctx)
    spec = deploy_spec(ctx, need_stage(ctx), source, "challenger")
    return runtime.score_command(spec, str(ctx.scratch / ROWS))


def _scores(place: Path, expected: int) -> Scores:
    """Read what the job wrote; None for an answer that is no score from 0 to 1."""
    if not place.is_file():
        raise ValueError(f"the job wrote no {place.name}")
    lines = place.read_text().splitlines()
    if len(lines) != expected:
        raise ValueError(f"the job answered {len(lines)} rows for {expected}")
    return [_score(number, json.loads(line)) for number, line in enumerate(lines, start=1)]


def _score(number: int, answer: object) -> float | None:
    try:
        return score_of(number, answer)
    except ValueError:
        return None


def _asked(ctx: Context, runtime: OnlineRuntime, handle: Handle, part: list[JsonObject]) -> Scores:
    """Ask for several at once; where one of them spoils it, for each by itself.

    Only a request that was refused has no score: who was not reached says nothing of the model.
    """
    _go_on(ctx)
    try:
        answers = _reached(ctx, runtime, handle, part)
    except Hopeless:
        if len(part) > 1:
            return [score for row in part for score in _asked(ctx, runtime, handle, [row])]
        if runtime.observe(ctx, handle).phase != "ready":
            raise
        return [None]
    if len(answers) != len(part):
        raise ValueError(f"the endpoint answered {len(answers)} rows for {len(part)}")
    return [_score(number, answer) for number, answer in enumerate(answers, start=1)]


def _reached(
    ctx: Context, runtime: OnlineRuntime, handle: Handle, part: list[JsonObject]
) -> list[JsonObject]:
    """Ask, and once more after a hiccup."""
    try:
        return runtime.predict(ctx, handle, part)
    except Retryable:
        return runtime.predict(ctx, handle, part)


def _go_on(ctx: Context) -> None:
    if ctx.cancelled:
        raise Retryable("the comparison was cancelled")


def _time(ctx: Context, *both: tuple[Side, Placement]) -> None:
    """Ask both models one by one, and note how long it took."""
    ways = [(online_runtime(ctx, at), Handle(ref=at.deployed.handle)) for _, at in both]
    with (ctx.scratch / ROWS).open() as file:
        sample = [json.loads(line) for line in islice(file, TIMED)]
    took: list[list[float]] = [[] for _ in both]
    for row in sample:  # in turns, so that what slows the machine slows both
        for (runtime, handle), times in zip(ways, took, strict=True):
            _go_on(ctx)
            began = time.perf_counter()
            with suppress(Hopeless):  # that it has no score is counted elsewhere
                runtime.predict(ctx, handle, [row])
                times.append((time.perf_counter() - began) * 1000)
    for (side, _), times in zip(both, took, strict=True):
        side.latency = times


def _placed(ctx: Context, stage: str, snapshot: str) -> Placement:
    rows = [row for row in ctx.placements(stage=stage) if row.snapshot.id == snapshot]
    online = [row for row in rows if row.deployed.mode == "online"]
    if not online:
        raise NotFound(f"{snapshot} answers no requests in {stage}: deploy it there first")
    return online[0]


def _sides(frozen: Frozen, rows: Sequence[Known], scores: Scores) -> tuple[Side, Side]:
    """Pair what both models scored; what the challenger could not is left out of both."""
    both = [(row, score) for row, score in zip(rows, scores, strict=True) if score is not None]
    kept = [row for row, _ in both]
    old, new = _side(kept, [row.score for row in kept]), _side(kept, [score for _, score in both])
    old.asked, old.unscored = frozen.counts["rows"], frozen.counts["excluded"]
    new.asked, new.unscored = len(scores), scores.count(None)
    return old, new


def _side(rows: Sequence[Known], scores: Sequence[float | None]) -> Side:
    import numpy as np

    score: Floats = np.array(scores, dtype=np.float64)
    event = np.array([row.event for row in rows], dtype=np.int64)
    return Side(score, event, [row.group for row in rows], len(rows), 0)
