"""Routes of measuring by hand and of reports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from pydantic import Field
from starlette.responses import Response

from waystage.daemon.measuring import Asked, measure, record
from waystage.daemon.reporting import report_of
from waystage.daemon.subject import Which
from waystage.errors import Busy
from waystage.report.page import page, policy
from waystage.web.guard import caller_of
from waystage.web.models import Body

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon

AT_ONCE = 2  # that read whole windows: whatever people ask for, threads are left for the rest


class Measure(Body):
    """Which monitor is measured by hand and kept, of which snapshot, over which window."""

    service: str = Field(max_length=63)
    stage: str = Field(default="", max_length=31)
    version: str = Field(default="", max_length=260)
    window: str = Field(default="", max_length=100)


def report_routes(app: FastAPI, daemon: Daemon) -> None:
    """Add the routes; a few of them work at a time, and whoever else comes is told so."""
    seated = _seats(AT_ONCE)

    @app.get("/v1/monitors/{monitor}/measure")
    def look(
        monitor: str, service: str, stage: str = "", version: str = "", window: str = ""
    ) -> Any:
        with seated():
            return measure(daemon, Asked(monitor, Which(service, stage, version), window))

    @app.post("/v1/monitors/{monitor}/measure")
    def keep(request: Request, monitor: str, body: Measure) -> Any:
        which = Which(body.service, body.stage, body.version)
        with seated():
            return record(daemon, Asked(monitor, which, body.window), caller_of(request))

    @app.get("/v1/reports/{service}")
    def report(service: str, stage: str = "", version: str = "", window: str = "") -> Any:
        with seated():
            found = report_of(daemon, Which(service, stage, version), window)
        return found.model_dump(mode="json")

    @app.get("/v1/reports/{service}/page")
    def shown(service: str, stage: str = "", version: str = "", window: str = "") -> Response:
        with seated():
            found = page(report_of(daemon, Which(service, stage, version), window))
        headers = {"Content-Security-Policy": policy(), "X-Content-Type-Options": "nosniff"}
        return Response(found, media_type="text/html", headers=headers)


def _seats(many: int) -> Callable[[], AbstractContextManager[None]]:
    """Give what is held while a window is read; it raises `Busy` while all are taken."""
    seats = threading.BoundedSemaphore(many)

    @contextmanager
    def seated() -> Iterator[None]:
        if not seats.acquire(blocking=False):
            raise Busy(
                f"{many} reports or measurements are being made for others, and more at once "
                "would hold up everybody; ask again in a moment"
            )
        try:
            yield
        finally:
            seats.release()

    return seated
