"""Routes for operating many runs: incidents in bulk, pausing and resuming."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import AfterValidator, Field

from waystage.daemon import bulk, pausing, retention
from waystage.store.rows import Chosen
from waystage.web.guard import caller_of
from waystage.web.models import Body, Object

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


Instant = Annotated[datetime, AfterValidator(_aware)]  # without a zone it is UTC


class Which(Body):
    """Which incidents are meant; what is left out chooses nothing out."""

    kind: str = Field(default="", max_length=40)
    lifecycle: str = Field(default="", max_length=63)
    service: str = Field(default="", max_length=63)
    state: str = Field(default="", max_length=255)
    run: str = Field(default="", max_length=100)
    since: Instant | None = None


class RepairAll(Body):
    """What is done about many incidents, and why; `apply` does it."""

    kind: Literal["retry", "skip", "goto", "set", "abort"]
    all_of: Which
    reason: str = Field(max_length=10_000)
    to: str = Field(default="", max_length=255)
    values: Object = {}
    after: int = Field(default=0, ge=0)
    apply: bool = False


class Pause(Body):
    """Why nothing is to be done."""

    reason: str = Field(max_length=2000)


class Purge(Body):
    """Runs that ended before an instant are exported and removed; `dry` only counts them."""

    ended_before: Instant
    after: int = Field(default=0, ge=0)
    dry: bool = False


class Resume(Body):
    """Why it goes on."""

    reason: str = Field(default="", max_length=2000)


def operate_routes(app: FastAPI, daemon: Daemon) -> None:
    """Add the routes."""

    @app.get("/v1/incidents")
    def incidents(
        all: bool = False, kind: str = "", lifecycle: str = "", service: str = "",
        state: str = "", run: str = "", since: Instant | None = None, after: int = 0,
    ) -> Any:  # fmt: skip
        chosen = Chosen(kind, lifecycle, service, state, run, since)
        found = daemon.store.incidents(chosen, open_only=not all, after=after)
        return [asdict(row) for row in found]

    @app.post("/v1/repairs")
    def repairs(request: Request, body: RepairAll) -> Any:
        data = {"reason": body.reason, "to": body.to, "values": body.values}
        chosen = Chosen(**body.all_of.model_dump())
        order = bulk.Order(body.kind, chosen, caller_of(request), data, body.after, body.apply)
        return bulk.mend(daemon, order)

    @app.post("/v1/purges")
    def purge(request: Request, body: Purge) -> Any:
        caller = caller_of(request)
        order = retention.Order(body.ended_before, caller.person, body.after, body.dry)
        return retention.purge(daemon, order, caller)

    @app.post("/v1/purges/vacuum")
    def vacuum(request: Request, body: Body) -> Any:
        retention.give_back_room(daemon, caller_of(request))
        return {"vacuumed": True}

    @app.get("/v1/pauses")
    def pauses() -> Any:
        return daemon.store.pauses()

    @app.post("/v1/runs/{run}/pause")
    def pause(request: Request, run: str, body: Pause) -> Any:
        return pausing.pause_run(daemon, run, caller_of(request), body.reason)

    @app.post("/v1/runs/{run}/resume")
    def resume(request: Request, run: str, body: Resume) -> Any:
        return pausing.resume_run(daemon, run, caller_of(request), body.reason)

    @app.post("/v1/lifecycles/{lifecycle}/pause")
    def pause_all(request: Request, lifecycle: str, body: Pause) -> Any:
        return pausing.pause_lifecycle(daemon, lifecycle, caller_of(request), body.reason)

    @app.post("/v1/lifecycles/{lifecycle}/resume")
    def resume_all(request: Request, lifecycle: str, body: Resume) -> Any:
        return pausing.resume_lifecycle(daemon, lifecycle, caller_of(request), body.reason)


def pauses_by_run(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """Give who paused each run that is paused, why, and since when."""
    return {each["run"]: each for each in daemon.store.pauses() if each["run"]}
