"""Following a job over attempts and crashes without running it twice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from waystage.clock import wall_seconds
from waystage.errors import Hopeless, Retryable
from waystage.plugin import BatchRuntime, Context, Job, JobStatus, JsonObject, Waiting
from waystage_plugins.runtimes.files import read_json, write_json

FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
TOLD = "jobs-told.json"
LONGEST_REST = timedelta(minutes=1)  # what a server asks for beyond that is not waited for
SILENT_SECONDS = 900.0  # that a runtime may be away before its step gives up this attempt


def follow(ctx: Context, runtime: BatchRuntime, job: Callable[[], Job]) -> Waiting | Path:
    """Start the job or look after it; give its outputs once it succeeded.

    While the runtime cannot be asked how far a job is, the step waits for it. Raises `Retryable`
    when the job failed: the next attempt runs it anew, under a key of its own.
    """
    ref, status, silent = _current(ctx, runtime, job)
    if ctx.cancelled:
        runtime.cancel(ctx, ref)
    if status.phase == "succeeded":
        return runtime.outputs(ctx, ref)
    if status.phase in ("failed", "absent"):
        use_up(ctx)
        code = "" if status.exit_code is None else f" with exit code {status.exit_code}"
        what = "is gone" if status.phase == "absent" else f"failed{code}"
        # runtimes say the code, too, where they are asked how it stands
        said = status.message.removeprefix(f"exit code {status.exit_code}").removeprefix(": ")
        raise Retryable(f"the job of step {ctx.key} {what}: {said or 'no message'}")
    remember: JsonObject = {"ref": ref, "said": _said(status)}
    if silent:
        remember["silent"] = silent
    return waiting(ctx, remember, longest=LONGEST_WAIT)


def memo(ctx: Context) -> JsonObject:
    """Give what this attempt remembered; what an earlier attempt did does not count."""
    return ctx.memo if ctx.memo.get("attempt") == ctx.attempt else {}


def waited(ctx: Context) -> float:
    """Give the real seconds since this attempt first waited; turning the clock adds none."""
    since = memo(ctx).get("since")
    return wall_seconds() - float(since) if isinstance(since, int | float) else 0.0


def waiting(
    ctx: Context, remember: JsonObject, *, longest: float, rest: timedelta | None = None
) -> Waiting:
    """Ask to be called again, a little later each time, and not before somebody has had a rest."""
    last, since = memo(ctx).get("pause"), memo(ctx).get("since", wall_seconds())
    pause = min(last * 1.5, longest) if isinstance(last, int | float) else FIRST_WAIT
    counted: JsonObject = {"attempt": ctx.attempt, "since": since, "pause": round(pause, 3)}
    again = max(timedelta(seconds=round(pause, 3)), min(rest or timedelta(), LONGEST_REST))
    return Waiting(again, remember | counted)


def _current(
    ctx: Context, runtime: BatchRuntime, job: Callable[[], Job]
) -> tuple[JsonObject, JobStatus, float]:
    """Give the job of the memo, or the first one of this step's keys that has not failed.

    An attempt after a crash finds the job that still runs. A key whose job's failure was told is
    not used again: who has the step tried again, by `retry` or by hand, wants the job run anew.
    Where another daemon told it, the n-th attempt goes past up to n - 1 jobs that failed.
    The number is since when the runtime does not answer, 0 if it does.
    """
    known = memo(ctx).get("ref")
    if isinstance(known, dict):
        return known, *_polled(ctx, runtime, known)
    wanted, first = job(), 1 + _failures_told(ctx)
    for number in range(first, max(first, ctx.attempt) + 1):
        key = ctx.key if number == 1 else f"{ctx.key}/{number}"
        ref = runtime.submit(ctx, wanted, key=key)
        status, silent = _polled(ctx, runtime, ref)
        if status.phase not in ("failed", "absent"):
            break
    return ref, status, silent


def _failures_told(ctx: Context) -> int:
    return int(read_json(ctx.scratch / TOLD).get("failed", 0))


def use_up(ctx: Context) -> None:
    """Write down, before it is told, that one more job came to nothing."""
    write_json(ctx.scratch / TOLD, {"failed": _failures_told(ctx) + 1})


def _polled(ctx: Context, runtime: BatchRuntime, ref: JsonObject) -> tuple[JobStatus, float]:
    """Ask how far a job is; a runtime that is away for a while does not make a job fail."""
    try:
        return runtime.poll(ctx, ref), 0.0
    except Retryable as error:
        told = memo(ctx).get("silent")
        since = float(told) if isinstance(told, int | float) else wall_seconds()
        if wall_seconds() - since > SILENT_SECONDS:
            raise
        return JobStatus(phase="running", message=f"cannot be asked how far it is: {error}"), since


def _said(status: JobStatus) -> str:
    """Give what a person is shown of a job that goes on."""
    share = "" if status.progress is None else f" {status.progress:.0%}"
    return f"{status.phase}{share}{': ' if status.message else ''}{status.message}"[:500]


def read_scores(place: Path, expected: int) -> list[float]:
    """Read `scores.jsonl`: one finite `score` per row; raises `ValueError` saying what is wrong."""
    if not place.is_file():
        raise ValueError(f"the job wrote no {place.name}")
    lines = place.read_text().splitlines()
    if len(lines) != expected:
        raise ValueError(f"the job answered {len(lines)} rows for {expected}")
    return [score_of(number, json.loads(line)) for number, line in enumerate(lines, start=1)]


def score_of(number: int, answer: object) -> float:
    """Give the `score` of one answer, a finite number from 0 to 1, or raise `ValueError`."""
    score = answer.get("score") if isinstance(answer, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise ValueError(f"row {number} has no score but {str(answer)[:100]}")
    if not math.isfinite(score) or not 0 <= score <= 1:
        raise ValueError(f"row {number} has score {score}, which is not from 0 to 1")
    return float(score)


def job_name(verb: str, service: str) -> str:
    """Make a name that every batch runtime takes."""
    name = f"{verb}-{service}"[:63].rstrip("-")
    if not name.isascii():
        raise Hopeless(f"{service!r} cannot name a job")
    return name
