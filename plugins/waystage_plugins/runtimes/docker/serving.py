"""A model server as a container: made, found again, given its versions, taken away."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from waystage.errors import Hopeless, Retryable
from waystage_plugins.images.layer import Layer
from waystage_plugins.runtimes.docker.containers import Containers, Held, PortTaken, archive_of
from waystage_plugins.runtimes.docker.served import MODELS_CONFIG, MONITORING, ROOT, Served
from waystage_plugins.runtimes.docker.settings import SETTINGS, DockerPlace, fingerprint
from waystage_plugins.runtimes.kubernetes.names import OWNER

Thing = dict[str, Any]
REST, GRPC = 8501, 8500  # in the container, as TensorFlow Serving's image has them
FIRST_PORT, PORTS, TRIES = 20_001, 5_000, 20  # below what systems give to outgoing connections
BEFORE = "-before"
FLAGS = (
    f"--model_config_file={ROOT}/{MODELS_CONFIG}",
    "--model_config_file_poll_wait_seconds=2",
    f"--monitoring_config_file={ROOT}/{MONITORING}",
    # a label of a version that is loading is taken at a start; one that is moved never is
    "--allow_version_labels_for_unavailable_models=true",
    "--max_num_load_retries=0",
)
SECOND = 1_000_000_000
ORIGIN = "waystage.dev/place"


class Own(NamedTuple):
    """By which labels containers and volumes are known to be of this project and this daemon.

    Two daemons with directories of their own must not take one another's containers.
    """

    owner: str
    origin: str

    @property
    def labels(self) -> dict[str, str]:
        """Give the labels."""
        return {OWNER: self.owner, ORIGIN: self.origin}

    def made(self, labels: Mapping[str, str] | None) -> bool:
        """Whether something with these labels is ours."""
        return self.labels.items() <= dict(labels or {}).items()

    def refusal(self, what: str) -> Hopeless:
        """Say that something is there that is not ours."""
        return Hopeless(
            f"{what} is there already and not made by this daemon for owner {self.owner}; it is "
            f"left alone: remove it, or give owner: another name"
        )


class Wanted(NamedTuple):
    """The container that there shall be. `own` are the labels by which it is known as ours."""

    name: str
    image: Held
    labels: dict[str, str]
    own: Own
    place: DockerPlace
    address: str
    fixed_port: int
    arguments: tuple[str, ...]
    model: str
    grpc: bool  # whether its gRPC is published too

    @property
    def told(self) -> Thing:
        """Give how it is made, but for its ports."""
        return {
            "command": [*FLAGS, *self.arguments],
            "user": self.place.user,
            "ports": [REST, GRPC],
            "healthcheck": _health(self.model),
            "host": self.place.hardened() | {"mounts": [_volume(self.name), *self.place.mounted()]},
        }

    @property
    def fingerprint(self) -> str:
        """Give digits that change with anything that needs another container."""
        own = {"image": self.image.id, "address": self.address, "grpc": self.grpc}
        return fingerprint(own | self.told)

    def with_port(self, port: int) -> Thing:
        """Give how it is made, with its REST interface at this port and gRPC one below."""
        bound = {f"{REST}/tcp": (self.address, port)}
        if self.grpc:
            bound[f"{GRPC}/tcp"] = (self.address, port - 1)
        told = self.told
        told["labels"] = self.labels | {SETTINGS: self.fingerprint}
        told["host"] = told["host"] | {"port_bindings": bound}
        return told


def bring(found: Containers, wanted: Wanted, served: Served, layer: Layer | None) -> int:
    """Have the container with what it serves, running; give the port of its REST interface.

    A container that was made otherwise is replaced; the one before comes back when that fails.
    """
    mend(found, wanted.name, wanted.own)
    there = found.find(wanted.name)
    if there is not None and not wanted.own.made(there["Config"]["Labels"]):
        raise wanted.own.refusal(f"container {wanted.name}")
    _own_volume(found, wanted)
    if there is None:
        return _made(found, wanted, served, layer, served.port)
    port = rest_port(there)
    if there["Config"]["Labels"].get(SETTINGS) != wanted.fingerprint:
        return _replaced(found, wanted, served, layer, port)
    _fill(found, wanted.name, served, layer)
    if not there["State"].get("Running"):
        _started(found, wanted, port)
    return port


def mend(found: Containers, name: str, own: Own) -> None:
    """Finish what a replacement left that was cut off: the old container comes back."""
    before = found.find(f"{name}{BEFORE}")
    if before is None or not own.made(before["Config"]["Labels"]):
        return
    there = found.find(name)
    if there is not None and there["State"].get("Running"):
        found.remove(f"{name}{BEFORE}")
        return
    found.remove(name)
    found.rename(f"{name}{BEFORE}", name)
    found.start(name)


def take_away(found: Containers, name: str, own: Own) -> None:
    """Remove container and volume if they are ours; harmless without."""
    for each in (f"{name}{BEFORE}", name):
        there = found.find(each)
        if there is not None and own.made(there["Config"]["Labels"]):
            found.remove(each)
    if own.made(found.volume_labels(name)):
        found.remove_volume(name)


def rest_port(seen: Thing) -> int:
    """Give the port of the engine's machine that leads to the REST interface."""
    bound = (seen["HostConfig"].get("PortBindings") or {}).get(f"{REST}/tcp") or []
    return int(bound[0]["HostPort"]) if bound else 0


def forgotten(directory: Path) -> None:
    """Remove what is kept of a container that is gone."""
    shutil.rmtree(directory, ignore_errors=True)


def _made(found: Containers, wanted: Wanted, served: Served, layer: Layer | None, kept: int) -> int:
    """Make and start it at the first port that is free: the one it had, or one by its name."""
    for port in _ports(wanted, kept):
        found.create(wanted.name, wanted.image.id, wanted.with_port(port))
        try:
            if served.base_path.startswith(ROOT):
                _fill(found, wanted.name, served, layer)
            else:
                _check_model(found, wanted, served)
                _fill(found, wanted.name, served, None)
            found.start(wanted.name)
        except PortTaken:
            found.remove(wanted.name)
            continue
        except BaseException:
            with suppress(Exception):  # what went wrong before is what counts
                found.remove(wanted.name)
            raise
        return port
    which = wanted.fixed_port or kept
    told = f"port {which} or {which - 1}" if which else f"every port that was tried ({TRIES})"
    raise Retryable(
        f"port_in_use: {told} of {wanted.address} is taken by somebody else; free it, or let "
        f"port: 0 choose one"
    )


def _ports(wanted: Wanted, kept: int) -> Iterator[int]:
    if wanted.fixed_port or kept:
        yield wanted.fixed_port or kept
        return
    first = (
        int(hashlib.sha256(f"{wanted.own.owner}/{wanted.name}".encode()).hexdigest()[:8], 16)
        % PORTS
    )
    for number in range(TRIES):
        yield FIRST_PORT + 2 * ((first + number) % PORTS)


def _replaced(
    found: Containers, wanted: Wanted, served: Served, layer: Layer | None, port: int
) -> int:
    before = f"{wanted.name}{BEFORE}"
    found.stop(wanted.name)
    found.rename(wanted.name, before)
    try:
        port = _made(found, wanted, served, layer, port)
    except BaseException:
        with suppress(Exception):  # what went wrong before is what counts
            mend(found, wanted.name, wanted.own)
        raise
    found.remove(before)
    return port


def _started(found: Containers, wanted: Wanted, port: int) -> None:
    try:
        found.start(wanted.name)
    except PortTaken:
        raise Retryable(
            f"port_in_use: port {port} or {port - 1} of {wanted.address}, where "
            f"{wanted.name} is known to be, is taken by somebody else; free it"
        ) from None


def _fill(found: Containers, name: str, served: Served, layer: Layer | None) -> None:
    """Put a version's files beside the others, and after them the file that names it."""
    if layer is not None:
        mark = f"placed-{layer.diff.removeprefix('sha256:')[:24]}"
        if not found.has(name, f"{ROOT}/{mark}"):
            found.put(name, ROOT, layer.path)
            found.put(name, ROOT, archive_of({mark: b""}))
    found.put(name, ROOT, served.files())


def _check_model(found: Containers, wanted: Wanted, served: Served) -> None:
    for number in served.loaded:
        path = f"{served.base_path}/{number}/saved_model.pb"
        if not found.has(wanted.name, path):
            raise Hopeless(
                f"the image {served.image} has no model at {path}: build it with tfserving.build"
            )


def _own_volume(found: Containers, wanted: Wanted) -> None:
    labels = found.volume_labels(wanted.name)
    if labels is None:
        found.volume(wanted.name, wanted.labels)
    elif not wanted.own.made(labels):
        raise wanted.own.refusal(f"volume {wanted.name}")


def _volume(name: str) -> Thing:
    return {"Type": "volume", "Source": name, "Target": ROOT, "ReadOnly": False}


def _health(model: str) -> Thing:
    """Give what `docker ps` knows a server's health by; the image brings bash and grep."""
    asks = (
        f"exec 3<>/dev/tcp/127.0.0.1/{REST} && "
        f"printf 'GET /v1/models/{model} HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q AVAILABLE <&3"
    )
    return {
        "test": ["CMD", "bash", "-c", asks],
        "interval": 30 * SECOND, "timeout": 5 * SECOND, "retries": 3, "start_period": 60 * SECOND,
    }  # fmt: skip
