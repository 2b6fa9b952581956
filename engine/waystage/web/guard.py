"""Who is asking: tokens, hosts, origins, bodies; refused before anything is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from waystage.errors import Forbidden, Unavailable
from waystage.people import Caller

BODY_LIMIT = 1 << 20
NAME_LIMIT = 100
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "waystage"})
PERSON_HEADER = "X-Waystage-Person"

# what tells no more than that the daemon lives and works
OPEN = frozenset({"/v1/health", "/v1/ready"})

# where alone the token of a service is good
INTAKE = frozenset({"/v1/scores", "/v1/labels"})

Next = Callable[[Request], Awaitable[Response]]
Known = Callable[[str, str], Caller | None]


def refusal(status: int, code: str, message: str) -> JSONResponse:
    """Make the answer to what is not done."""
    return JSONResponse({"code": code, "message": message}, status_code=status)


def guard(
    known: Known, hosts: frozenset[str] = LOCAL_HOSTS
) -> Callable[[Request, Next], Awaitable[Response]]:
    """Make the middleware that lets in those whom `known` knows by their token and name."""

    async def check(request: Request, following: Next) -> Response:
        if problem := _site_problem(request, hosts):
            return problem
        if request.url.path in OPEN:
            return await following(request)
        if problem := await _stranger(request, known):
            return problem
        if request.method == "POST" and (problem := _body_problem(request)):
            return problem
        return await following(request)

    return check


def _site_problem(request: Request, hosts: frozenset[str]) -> Response | None:
    host = request.headers.get("host", "").rsplit(":", 1)[0]
    if host not in hosts:
        return refusal(421, "E-HOST", f"unknown host {host!r}")
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        return refusal(403, "E-ORIGIN", "requests from other sites are refused")
    return None


async def _stranger(request: Request, known: Known) -> Response | None:
    """Find out who asks and keep it with the request; gives a refusal if it is nobody."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    named = request.headers.get(PERSON_HEADER, "")
    caller = None
    if scheme == "Bearer" and token and len(named) <= NAME_LIMIT:
        try:
            caller = await run_in_threadpool(known, token, named)
        except Forbidden as error:
            return refusal(403, error.code, str(error))
        except Unavailable as error:  # the database, where tokens are kept
            return refusal(503, error.code, str(error))
    if caller is None:
        return refusal(401, "E-TOKEN", "the token is missing, wrong or has ended")
    if caller.service and request.url.path not in INTAKE:
        told = f"the token of service {caller.service} is for its scores and labels alone"
        return refusal(403, "E-FORBIDDEN", told)
    request.state.caller = caller
    return None


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


def caller_of(request: Request) -> Caller:
    """Give who acts, and by which means."""
    caller: Caller = request.state.caller
    return caller


def person_of(request: Request) -> str:
    """Give the name of who acts."""
    return caller_of(request).person


def need_owner(request: Request) -> None:
    """Raise `Forbidden` unless the token is the local owner's."""
    if not caller_of(request).owns:
        raise Forbidden("only who runs the daemon makes and ends tokens")
