"""Moving labels in the safe order: load, wait until available, move, and only then unload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from waystage.errors import WaystageError
from waystage.plugin import Services
from waystage_plugins.runtimes.docker.containers import Containers
from waystage_plugins.runtimes.docker.served import MODELS, ROOT, Served
from waystage_plugins.runtimes.docker.serving import rest_port
from waystage_plugins.runtimes.docker.watching import (
    hand_over,
    led,
    need,
    states,
    wait_until,
)
from waystage_plugins.runtimes.serving.config import write_config

Url = Callable[[int], str]


def lead(
    ctx: Services, found: Containers, directory: Path, served: Served, label: str, number: int,
    url: Url,
) -> Served:  # fmt: skip
    """Lead a label to a version that is available, and see that the server does so.

    Nothing is changed when it is not available: the label stays where it was.
    """
    base = url(rest_port(found.find(served.name) or {"HostConfig": {}}))
    if served.labels.get(label) == number and states(ctx, base, served) is None:
        return served  # the server reads it when it is up
    need(states(ctx, base, served), number)
    moved = served.having_answered(number).leading(label, number)
    _write(found, directory, moved)
    try:
        tell(moved, base)
        wait_until(
            lambda: led(ctx, base, moved, label) == number,
            f"{served.name} does not lead the label {label} to version {number}",
        )
    except WaystageError:
        _write(found, directory, served)
        raise
    return moved


def leave(
    ctx: Services, found: Containers, directory: Path, served: Served, number: int, role: str,
    url: Url,
) -> None:  # fmt: skip
    """Take a deployment out of a container that goes on: labels first, then its version."""
    seen = found.find(served.name)
    running = seen is not None and bool(seen["State"].get("Running"))
    heir = served.heir(number, role)
    rest = served.left_by(number, role)
    if served.labels.get(role) == number and heir is not None and number not in rest.numbers:
        if running and _available(ctx, url, found, served, heir):
            served = lead(ctx, found, directory, served, role, heir, url)
            rest = served.left_by(number, role)
        else:
            rest = rest.leading(role, heir)
    elif number in rest.numbers and served.labels.get(role) == number:
        kept = {label: n for label, n in rest.labels.items() if label != role}
        rest = rest.model_copy(update={"labels": kept if heir is None else kept | {role: heir}})
    if seen is None:
        write_config(directory, rest)
        return
    _write(found, directory, rest)
    if running and number not in rest.numbers:
        base = url(rest_port(seen))
        tell(rest, base)
        _unloaded(ctx, base, served, number)
    if number not in rest.numbers:
        _forget(found, directory, served, rest, number)


def tell(served: Served, url: str) -> None:
    """Have the server look at its configuration now."""
    hand_over(served, grpc_address(url))


def grpc_address(url: str) -> str:
    """Give where gRPC is spoken beside a REST interface: one port below."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    return f"{host}:{int(port) - 1}"


def _write(found: Containers, directory: Path, served: Served) -> None:
    write_config(directory, served)
    found.put(served.name, ROOT, served.files())


def _available(ctx: Services, url: Url, found: Containers, served: Served, number: int) -> bool:
    seen = found.find(served.name) or {"HostConfig": {}}
    try:
        need(states(ctx, url(rest_port(seen)), served), number)
    except WaystageError:
        return False
    return True


def _unloaded(ctx: Services, base: str, served: Served, number: int) -> None:
    def gone() -> bool:
        seen = states(ctx, base, served)
        return seen is None or number not in seen or seen[number].state == "END"

    wait_until(gone, f"{served.name} does not unload version {number}")


def _forget(found: Containers, directory: Path, served: Served, rest: Served, number: int) -> None:
    """Remove a version's files; where there is no way to, its number stays its own."""
    if served.base_path != MODELS or found.forget(served.name, f"{MODELS}/{number}"):
        return
    left = {**rest.left, number: served.numbers[number]}
    write_config(directory, rest.model_copy(update={"left": left}))
