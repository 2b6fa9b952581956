"""The API: every route is one question to the store or one act of the daemon."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from waystage import __version__
from waystage.clock import TurnedClock
from waystage.daemon import decisions
from waystage.daemon.choice import explain
from waystage.errors import Busy, Conflict, Forbidden, NotFound, Spoiled, Unavailable, WaystageError
from waystage.people import need_right
from waystage.spec.values import parse_duration
from waystage.web import models as m
from waystage.web import tokens
from waystage.web.asked import asked_service, fault, need_run, only_known
from waystage.web.changes import change_routes
from waystage.web.drift import drift_routes
from waystage.web.gates import gate_routes, standing, waits
from waystage.web.guard import caller_of, guard, need_owner, person_of, refusal
from waystage.web.intake import intake_routes
from waystage.web.metrics import metrics_routes
from waystage.web.operate import operate_routes, pauses_by_run
from waystage.web.reports import report_routes

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon

STATUS: dict[type[WaystageError], int] = {
    NotFound: 404,
    Forbidden: 403,
    Conflict: 409,
    Spoiled: 409,
    Busy: 429,
    Unavailable: 503,
}
MOST = 10_000  # runs, or rows of a history, in one answer
AGAIN, RETRY_SECONDS = (429, 503), "1"


def create_app(daemon: Daemon, token: str) -> FastAPI:
    """Make the API of a daemon."""
    app = FastAPI(title="Waystage", version=__version__, docs_url=None, redoc_url=None,
                  dependencies=[Depends(only_known)])  # fmt: skip
    app.middleware("http")(guard(tokens.callers(daemon, token)))
    app.add_exception_handler(WaystageError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _unfit)
    _health(app, daemon)
    _reads(app, daemon)
    _inventory(app, daemon)
    _acts(app, daemon)
    _operations(app, daemon)
    gate_routes(app, daemon)
    change_routes(app, daemon)
    drift_routes(app, daemon)
    operate_routes(app, daemon)
    metrics_routes(app, daemon)
    intake_routes(app, daemon)
    report_routes(app, daemon)
    return app


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, WaystageError)
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    answer = refusal(status, error.code, str(error))
    if status in AGAIN:
        answer.headers["Retry-After"] = RETRY_SECONDS
    return answer


def _malformed(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return refusal(400, "E-REQUEST", "; ".join(fault(each) for each in error.errors()))


def _unfit(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    told = f"there is no {request.method} {request.url.path}; /openapi.json lists what there is"
    return refusal(error.status_code, "E-REQUEST", told if error.status_code in (404, 405)
                   else str(error.detail))  # fmt: skip


def _health(app: FastAPI, daemon: Daemon) -> None:
    @app.head("/v1/health", include_in_schema=False)  # what load balancers ask
    @app.get("/v1/health")
    def health() -> Any:
        failure = daemon.engine.failure
        project = daemon.files.project.spec.project
        found = {"ok": failure is None, "version": __version__, "project": project,
                 "busy": _busy(daemon), "files_ok": daemon.changes.refusal is None}  # fmt: skip
        if failure is None:
            return found
        return JSONResponse(found | {"message": f"the writer has stopped: {failure}"}, 503)


def _reads(app: FastAPI, daemon: Daemon) -> None:
    store = daemon.store

    @app.get("/v1/runs")
    def runs(service: str | None = None, status: Literal["open", "ended"] | None = None,
             limit: Annotated[int, Query(ge=1, le=MOST)] = 200) -> Any:  # fmt: skip
        asked_service(daemon, service)
        found, held = store.runs(service=service, status=status, limit=limit), waits(store)
        paused = pauses_by_run(daemon)
        return [asdict(row) | {"waits": held.get(row.id, []), "paused": paused.get(row.id)}
                for row in found]  # fmt: skip

    @app.get("/v1/runs/{run}")
    def run(run: str) -> Any:
        row = need_run(daemon, run)
        return (
            asdict(row)
            | {
                "tasks": [asdict(task) for task in store.tasks(run=run)],
                "timers": [asdict(timer) for timer in store.timers_of(run)],
                "incidents": [asdict(each) for each in store.incidents(run=run)],
                "paused": pauses_by_run(daemon).get(run),
            }
            | standing(store, row)
        )

    @app.get("/v1/runs/{run}/history")
    def history(run: str, after: int = 0,
                limit: Annotated[int, Query(ge=1, le=MOST)] = MOST) -> Any:  # fmt: skip
        found = [asdict(row) for row in store.history(run, after=after, limit=limit)]
        if not found:
            need_run(daemon, run)
        return found

    @app.get("/v1/runs/{run}/lifecycle")
    def lifecycle(run: str) -> Any:
        return store.definition(need_run(daemon, run).definition)

    @app.get("/v1/tasks")
    def tasks(all: bool = False) -> Any:
        return [asdict(row) for row in store.tasks(open_only=not all)]


def _busy(daemon: Daemon) -> int | None:
    """Count what is under way; a daemon lives also while its database does not answer."""
    try:
        return daemon.busy()
    except Unavailable:
        return None


def _inventory(app: FastAPI, daemon: Daemon) -> None:
    store = daemon.store

    @app.get("/v1/placements")
    def placements(service: str | None = None, at: datetime | None = None) -> Any:
        asked_service(daemon, service)
        return [asdict(row) for row in store.placements(service=service, at=at)]

    @app.get("/v1/measurements")
    def measurements(service: str | None = None, monitor: str | None = None) -> Any:
        asked_service(daemon, service)
        return [asdict(row) for row in store.measurements(service=service, monitor=monitor)]

    @app.get("/v1/stages/{stage}/runtimes")
    def runtimes(stage: str, service: str) -> Any:
        return explain(daemon.files, service, stage)


def _acts(app: FastAPI, daemon: Daemon) -> None:
    @app.post("/v1/runs")
    def start(request: Request, body: m.StartRun) -> Any:
        caller = caller_of(request)
        need_right(daemon.files.project.spec, caller.person, "operate")
        which = (body.lifecycle, body.service, body.model, body.version)
        run = daemon.start_run(*which, caller.person, body.key, caller.via)
        return {"run": run}

    @app.post("/v1/tasks/{task}/complete")
    def complete(request: Request, task: int, body: m.Answer) -> Any:
        given = (body.outcome, body.form, body.comment, body.shown)
        return decisions.complete(daemon, task, caller_of(request), *given)

    @app.post("/v1/tasks/{task}/claim")
    def claim(request: Request, task: int, body: m.Body) -> Any:
        return decisions.claim(daemon, task, caller_of(request))

    @app.post("/v1/tasks/{task}/delegate")
    def delegate(request: Request, task: int, body: m.Delegate) -> Any:
        return decisions.delegate(daemon, task, caller_of(request), body.person)

    @app.post("/v1/tasks/{task}/release")
    def release(request: Request, task: int, body: m.Body) -> Any:
        return decisions.release(daemon, task, caller_of(request))

    @app.post("/v1/signals")
    def signal(request: Request, body: m.SendSignal) -> Any:
        given = (body.name, body.payload, caller_of(request), body.run, body.service, body.key)
        return decisions.send_signal(daemon, *given)

    @app.post("/v1/incidents/{incident}/{kind}")
    def repair(request: Request, incident: int, kind: str, body: m.Repair) -> Any:
        if kind not in ("retry", "skip", "goto", "set", "abort"):
            raise NotFound(
                f"an incident can be mended by retry, skip, goto, set, abort, not {kind!r}"
            )
        return decisions.repair(daemon, incident, kind, caller_of(request), body.model_dump())


def _operations(app: FastAPI, daemon: Daemon) -> None:
    @app.post("/v1/tokens")
    def token(request: Request, body: m.NewToken) -> Any:
        need_owner(request)
        return tokens.issue(daemon, tokens.holder_named(daemon, body), body.days)

    @app.post("/v1/tokens/revoke")
    def revoke(request: Request, body: m.RevokeTokens) -> Any:
        need_owner(request)
        return tokens.revoke(daemon, tokens.whose(body))

    @app.get("/v1/clock")
    def clock() -> Any:
        return {"now": daemon.clock.now(), "turned": isinstance(daemon.clock, TurnedClock)}

    @app.post("/v1/clock")
    def turn(request: Request, body: m.Turn) -> Any:
        need_right(daemon.files.project.spec, person_of(request), "operate")
        if not isinstance(daemon.clock, TurnedClock):
            raise Conflict("this daemon runs by the machine's clock, which is not turned")
        try:
            now = daemon.clock.turn(parse_duration(body.by))
        except ValueError as error:
            raise Conflict(str(error)) from error
        daemon.engine.turned()
        return {"now": now, "turned": True}
