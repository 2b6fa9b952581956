"""Routes of the inventory's drift: what is not as it was applied, and having it made so."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from pydantic import Field

from waystage.daemon import restoring
from waystage.daemon.drift import Kept, standing
from waystage.spec.stage import Stage
from waystage.web.asked import asked_service
from waystage.web.guard import caller_of
from waystage.web.models import Body

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.store import PlacementRow


class Restore(Body):
    """Why something is made as it was, once, whatever its stage says."""

    reason: str = Field(max_length=2000)


def drift_routes(app: FastAPI, daemon: Daemon) -> None:
    """Add the routes."""

    @app.get("/v1/drift")
    def drift(service: str | None = None) -> Any:
        asked_service(daemon, service)
        rows = daemon.store.placements(service=service, drifted=True)
        return [asdict(row) | {"doing": _doing(daemon, row)} for row in rows]

    @app.post("/v1/placements/{placement}/restore")
    def restore(request: Request, placement: int, body: Restore) -> Any:
        return restoring.ask(daemon, placement, caller_of(request), body.reason)


def _doing(daemon: Daemon, row: PlacementRow) -> str:
    stage = daemon.definitions.stage(row.stage) or Stage(stage=row.stage)
    kept = Kept.model_validate(row.drift)
    return standing(kept, row.state, stage.on_drift, daemon.clock.now())
