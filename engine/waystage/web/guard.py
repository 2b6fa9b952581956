"""Who is asking: tokens, hosts, origins, bodies; refused before anything is read."""

from __future__ import annotations

import getpass
import hmac
from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.responses import JSONResponse, Response

BODY_LIMIT = 1 << 20
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "waystage"})
PERSON_HEADER = "X-Waystage-Person"

Next = Callable[[Request], Awaitable[Response]]


def refusal(status: int, code: str, message: str) -> JSONResponse:
    """Make the answer to what is not done."""
    return JSONResponse({"code": code, "message": message}, status_code=status)


def guard(
    token: str, hosts: frozenset[str] = LOCAL_HOSTS
) -> Callable[[Request, Next], Awaitable[Response]]:
    """Make the middleware that lets only the local owner's token in."""

    async def check(request: Request, following: Next) -> Response:
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        if host not in hosts:
            return refusal(421, "E-HOST", f"unknown host {host!r}")
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            return refusal(403, "E-ORIGIN", "requests from other sites are refused")
        if request.url.path == "/v1/health":
            return await following(request)
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.encode()):
            return refusal(401, "E-TOKEN", "the token is missing or wrong")
        if request.method == "POST" and (problem := _body_problem(request)):
            return problem
        return await following(request)

    return check


def _body_problem(request: Request) -> Response | None:
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind != "application/json":
        return refusal(415, "E-BODY", "the body is JSON (Content-Type: application/json)")
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        return refusal(411, "E-BODY", "the request needs a Content-Length")
    if int(length) > BODY_LIMIT:
        return refusal(413, "E-BODY", f"the body has more than {BODY_LIMIT} bytes")
    return None


def person_of(request: Request) -> str:
    """Give who acts: the named person, or the user whose daemon it is."""
    return request.headers.get(PERSON_HEADER) or getpass.getuser()
