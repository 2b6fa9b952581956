"""What a container and its server say of a version: does it answer, is it the one, why not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from waystage.errors import NotFound, Retryable, WaystageError
from waystage.plugin import Observation, Phase, Services
from waystage_plugins.runtimes.docker.reasons import Trouble, container_trouble
from waystage_plugins.runtimes.docker.served import Served
from waystage_plugins.tfserving.messages import installed
from waystage_plugins.tfserving.over_grpc import over_grpc
from waystage_plugins.tfserving.prometheus import requests_of
from waystage_plugins.tfserving.rest import Rest, VersionState, over_http

Thing = dict[str, Any]
MOVE_SECONDS, LOOK_SECONDS = 15.0, 0.1


def foreign(served: Served, seen: Thing) -> str:
    """Say that a container runs another image than the one it was made with."""
    if seen["Image"] == served.image_id:
        return ""
    return f"container {served.name} runs {seen['Image'][:19]}, not {served.image_id[:19]}"


def trouble(seen: Thing, last_line: Callable[[], str]) -> Trouble | None:
    """Say why a container does not run; asks for its last line only when it does not."""
    if container_trouble(seen, "") is None:
        return None
    return container_trouble(seen, last_line())


def states(ctx: Services, url: str, served: Served) -> dict[int, VersionState] | None:
    """Give the state of the versions, None when the server does not answer (yet)."""
    try:
        with over_http(ctx, url) as send:
            return Rest(send, served.model).status()
    except NotFound:
        return {}
    except WaystageError:
        return None


def led(ctx: Services, url: str, served: Served, label: str) -> int | None:
    """Give the version that the server leads a label to, None when to none."""
    try:
        with over_http(ctx, url) as send:
            return next(iter(Rest(send, served.model).status(f"/labels/{label}")), None)
    except WaystageError:
        return None


def requests(ctx: Services, url: str, served: Served) -> str:
    """Say how many requests a server has had since its start, by what it tells Prometheus."""
    try:
        with over_http(ctx, url) as send:
            count = requests_of(Rest(send, served.model).metrics(), served.model)
    except WaystageError:
        return ""
    return f"== {count.answered} requests answered, {count.failed} failed since its start\n"


def hand_over(served: Served, address: str) -> None:
    """Have the server read its configuration now, where gRPC is spoken; it looks itself later.

    Raises `Hopeless` with the server's words when it refuses.
    """
    if not installed():
        return
    try:
        with over_grpc(address) as server:
            server.reload(served.models())
    except Retryable:
        return  # it is not up yet, and reads the file when it is


def wait_until(holds: Callable[[], bool], what: str, seconds: float = MOVE_SECONDS) -> None:
    """Wait for what the server does within moments; raises `Retryable` when it does not."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise Retryable(f"{what} after {seconds:g} s")
        time.sleep(LOOK_SECONDS)


def said(phase: Phase, reason: str, message: str, **more: Any) -> Observation:
    """Give an observation of one line."""
    return Observation(phase=phase, reason=reason, message=" ".join(message.split())[:500], **more)


def ended(seen: VersionState) -> Trouble | None:
    """Say why the server gave a version up."""
    if seen.state != "END" or not seen.error:
        return None
    return Trouble("bad_model", f"the server cannot load it: {seen.error}", True)


def need(states: dict[int, VersionState] | None, number: int) -> None:
    """Raise `Retryable` unless a version is available."""
    state = (states or {}).get(number)
    if state is None or state.state != "AVAILABLE":
        told = state.state if state else "not there"
        raise Retryable(f"version {number} is {told}; a label moves to what is available")
