"""Routes for changes of the project's files: taking them up, and moving open runs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from pydantic import Field

from waystage.daemon import migrating
from waystage.people import need_right
from waystage.spec.source import MAX_BYTES
from waystage.web.guard import caller_of, person_of
from waystage.web.models import Body

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon


class Migrate(Body):
    """Which open runs are moved to their lifecycle's present text, and how; `apply` does it."""

    lifecycle: str = Field(max_length=63)
    mapping: str = Field(default="", max_length=MAX_BYTES)
    reason: str = Field(default="", max_length=10_000)
    after: int = Field(default=0, ge=0)
    apply: bool = False


def change_routes(app: FastAPI, daemon: Daemon) -> None:
    """Add the routes."""

    @app.get("/v1/files")
    def files() -> Any:
        return daemon.changes.state() | {"lifecycles": {
            name: loaded.digest for name, loaded in daemon.files.lifecycles.items()
        }}  # fmt: skip

    @app.post("/v1/files/reload")
    def reload(request: Request, body: Body) -> Any:
        need_right(daemon.files.project.spec, person_of(request), "operate")
        taken = daemon.reload()
        return {"lifecycles": taken.lifecycles, "at_start": taken.at_start, "said": str(taken)}

    @app.post("/v1/migrations")
    def migrate(request: Request, body: Migrate) -> Any:
        who, said = caller_of(request), (body.reason, body.mapping, body.after, body.apply)
        order = migrating.Order(body.lifecycle, who.person, *said, who.via)
        return migrating.migrate(daemon, order)
