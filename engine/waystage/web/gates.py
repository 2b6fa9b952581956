"""Routes of stages that are closed: what waits, stopping and opening the line, override."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from pydantic import Field

from waystage.daemon import gates
from waystage.store import RunRow, Store
from waystage.web.guard import caller_of, person_of
from waystage.web.models import Body

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon


class StopTheLine(Body):
    """Why a stage is closed, and whether going back is closed too."""

    reason: str = Field(max_length=2000)
    strict: bool = False


class Override(Body):
    """Why a closed stage is changed all the same."""

    reason: str = Field(max_length=2000)


def gate_routes(app: FastAPI, daemon: Daemon) -> None:
    """Add the routes."""

    @app.get("/v1/stops")
    def stops() -> Any:
        return daemon.store.stops()

    @app.post("/v1/stages/{stage}/stop")
    def stop(request: Request, stage: str, body: StopTheLine) -> Any:
        who = person_of(request)
        return gates.stop_the_line(daemon, stage, who, body.reason, strict=body.strict)

    @app.post("/v1/stages/{stage}/open")
    def reopen(request: Request, stage: str, body: Body) -> Any:
        return gates.open_the_line(daemon, stage, person_of(request))

    @app.post("/v1/runs/{run}/override")
    def override(request: Request, run: str, body: Override) -> Any:
        caller = caller_of(request)
        return gates.override(daemon, run, caller.person, body.reason, caller.via)


def waits(store: Store, run: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Give what each run waits for at the door of a stage: stage, until, why, state."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, timer in store.waits(run):
        found.setdefault(name, []).append({"state": timer.state, **(timer.spec or {})})
    return found


def standing(store: Store, row: RunRow) -> dict[str, Any]:
    """Give a run's parent and children, what it found, and the stages that it waits for."""
    body = store.run_body(row.id) or {}
    parent = body.get("parent")
    return {
        "parent": parent and {"run": parent["run"], "state": parent["state"]},
        "children": [asdict(child) for child in store.children(row.id)],
        "waits": waits(store, row.id).get(row.id, []),
        "steps": store.at_work(row.id),
        "found": _verdicts(body.get("steps") or {}),
        "drifted": [asdict(each) for each in store.placements(service=row.service, drifted=True)
                    if each.run == row.id],
    }  # fmt: skip


def _verdicts(steps: dict[str, Any]) -> list[dict[str, str]]:
    """Give the latest verdict of each step that tells one with its reason."""
    return [
        {"step": name, "verdict": output["verdict"], "why": output["why"]}
        for name, output in steps.items()
        if isinstance(output, dict)
        and all(isinstance(output.get(told), str) for told in ("verdict", "why"))
    ]
