"""Routes of the scoring log: what was asked and answered, and how it came out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, Field, StringConstraints, model_validator
from starlette.concurrency import run_in_threadpool

from waystage.errors import Forbidden
from waystage.people import Caller, need_right
from waystage.plugin import Label, Outcome, Role, ScoredRow
from waystage.web.guard import caller_of
from waystage.web.models import Body, Object

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon

OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)  # by which a sender's clock may go wrong
AT_ONCE = 5000
NAMED = 20  # rows that a refusal names, at the most

RequestId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/@+=-]{1,200}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]


class ScoreRow(Body):
    """One scored request; without `at` it was when it comes here, without `score` there is none."""

    request_id: RequestId
    service: Name
    stage: Name
    snapshot: Name
    role: Role = "champion"
    score: float | None = Field(default=None, strict=True)
    at: AwareDatetime | None = None
    inputs: Object = {}
    latency_ms: float | None = Field(default=None, ge=0, strict=True)


class Scores(Body):
    """Some scored requests; one that is there already is left as it is."""

    rows: list[ScoreRow] = Field(max_length=AT_ONCE)


class LabelRow(Body):
    """What became of a request: 1 the event, 0 not; or the true value of what was predicted.

    `at` without a zone is UTC. It lies no more than a day ahead of the daemon's clock: of several
    labels the latest stands, so that one from a wrong year would stand for good.
    """

    request_id: str = Field(min_length=1, max_length=200)
    event: int | None = Field(default=None, ge=0, le=1)
    value: float | None = Field(default=None, allow_inf_nan=False)
    at: datetime

    @model_validator(mode="after")
    def _one_of_both(self) -> LabelRow:
        if (self.event is None) == (self.value is None):
            raise ValueError(
                "needs either event (0 or 1: it came out so) or value (the number that a "
                "regression predicted, as it turned out)"
            )
        return self


class Labels(Body):
    """Some labels or true values; of several for a request the one with the latest `at` stands."""

    labels: list[LabelRow] = Field(max_length=AT_ONCE)


def intake_routes(app: FastAPI, daemon: Daemon) -> None:
    """Add the routes."""

    @app.post("/v1/scores")
    async def scores(request: Request, body: Scores) -> Any:
        _may_write(daemon, caller_of(request))
        _own_service(caller_of(request), body)
        rows = _scored(body, daemon.clock.now())
        taken = await asyncio.wrap_future(daemon.intake.scores(rows)) if rows else 0
        return {"taken": taken}

    @app.post("/v1/labels")
    async def labels(request: Request, body: Labels) -> Any:
        _may_write(daemon, caller_of(request))
        if not body.labels:
            return {"changed": 0}
        events, values = _told(body, daemon.clock.now())
        await _own_requests(daemon, caller_of(request), body)
        return {"changed": await asyncio.wrap_future(daemon.intake.labels(events, values))}


def _told(body: Labels, now: datetime) -> tuple[list[Label], list[Outcome]]:
    _in_time("labels", [(row.request_id, _zoned(row.at)) for row in body.labels], now)
    events = [Label(row.request_id, row.event, _zoned(row.at))
              for row in body.labels if row.event is not None]  # fmt: skip
    values = [Outcome(row.request_id, row.value, _zoned(row.at))
              for row in body.labels if row.value is not None]  # fmt: skip
    return events, values


def _may_write(daemon: Daemon, caller: Caller) -> None:
    if not caller.owns and not caller.service:
        need_right(daemon.files.project.spec, caller.person, "operate")


def _own_service(caller: Caller, body: Scores) -> None:
    others = {row.service for row in body.rows} - {caller.service}
    if caller.service and others:
        raise Forbidden(
            f"this token is for service {caller.service}, and a row is of {min(others)}; "
            "nothing was taken"
        )


async def _own_requests(daemon: Daemon, caller: Caller, body: Labels) -> None:
    if not caller.service or not body.labels:
        return
    ids = [row.request_id for row in body.labels]
    target = daemon.connections.scoring_log()
    others = await run_in_threadpool(target.foreign, ids, caller.service)
    if others:
        raise Forbidden(
            f"this token is for service {caller.service}, and request {others[0]} is another's; "
            "nothing was taken"
        )


def _scored(body: Scores, now: datetime) -> list[ScoredRow]:
    _in_time("rows", [(row.request_id, row.at or now) for row in body.rows], now)
    return [
        ScoredRow(row.request_id, row.at or now, row.service, row.stage, row.snapshot, row.role,
                  row.score, row.inputs, row.latency_ms)
        for row in body.rows
    ]  # fmt: skip


def _in_time(kind: str, told: list[tuple[str, datetime]], now: datetime) -> None:
    """Refuse times that cannot be right, each by its row and request."""
    latest = now + AHEAD
    wrong = [(n, name, at) for n, (name, at) in enumerate(told) if not OLDEST <= at <= latest]
    if wrong:
        raise RequestValidationError(
            [_misfit(kind, *each, now) for each in wrong[:NAMED]]
            + ([_others(kind, len(wrong) - NAMED)] if len(wrong) > NAMED else [])
        )


def _misfit(kind: str, n: int, name: str, at: datetime, now: datetime) -> dict[str, Any]:
    told = (
        f"request {name}: {at.isoformat()} is not between {OLDEST:%Y} and a day after now "
        f"({now.isoformat()})"
    )
    return {"loc": ("body", kind, n, "at"), "msg": told, "type": "value_error"}


def _others(kind: str, count: int) -> dict[str, Any]:
    told = f"{count} more of these times are wrong, too"
    return {"loc": ("body", kind), "msg": told, "type": "value_error"}


def _zoned(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
