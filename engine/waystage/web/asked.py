"""What is asked for: parameters that are there, services that are known, faults in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails

from waystage.daemon.opening import need_service
from waystage.errors import NotFound
from waystage.spec.wording import did_you_mean, in_words

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon


async def only_known(request: Request) -> None:
    """Refuse a parameter that the route does not have: left out silently, it would ask too much."""
    taken = [field.alias for field in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in taken:
            told = f"there is no such parameter; {did_you_mean(name, taken) or 'it takes none'}"
            raise RequestValidationError(
                [{"type": "value_error", "loc": ("query", name), "msg": told, "input": None}]
            )


def asked_service(daemon: Daemon, service: str | None) -> None:
    """Raise `NotFound` for a service that neither the project lists nor any run was for."""
    if service and not daemon.store.runs(service=service, limit=1):
        need_service(daemon.files.project.spec, service)


def need_run(daemon: Daemon, run: str) -> Any:
    """Give the run's row; raises `NotFound`."""
    row = daemon.store.run(run)
    if row is None:
        raise NotFound(f"there is no run {run!r}")
    return row


def fault(detail: dict[str, Any]) -> str:
    """Say in words what is wrong with a parameter or a part of the body."""
    if detail["type"] == "json_invalid":
        return f"the body is no JSON: {detail['ctx']['error']}"
    return in_words(cast("ErrorDetails", detail | {"loc": detail["loc"][1:]}))
