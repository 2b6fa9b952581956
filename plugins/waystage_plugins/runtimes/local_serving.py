"""The online runtime `local.serving`: model servers as processes of this machine."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from waystage.errors import Conflict, Hopeless, Retryable
from waystage.plugin import (
    Context,
    DeploySpec,
    Handle,
    JsonObject,
    Observation,
    Placement,
    Services,
)
from waystage_plugins.repositories.layout import locked
from waystage_plugins.runtimes.files import read_json
from waystage_plugins.runtimes.holder import alive, end
from waystage_plugins.runtimes.local_online import LocalOnline, stop_all
from waystage_plugins.runtimes.serving.config import (
    SERVER,
    Config,
    Entry,
    read_config,
    write_config,
)
from waystage_plugins.runtimes.serving.hand import HAND, MOST_ENDS, ends_of
from waystage_plugins.runtimes.serving.look import await_notice, observed
from waystage_plugins.runtimes.serving.probe import by_grpc, by_rest
from waystage_plugins.tfserving.messages import MISSING, installed

__all__ = ["LocalServing", "stop_all"]

NEAR = 1e-6  # scores of one model by two protocols: a column may be a float32 in one of them


class LocalServing(LocalOnline):
    """Serve ONNX models on loopback by TensorFlow Serving's protocols, REST and gRPC.

        - use: local.serving
          with: {port: 8501, threads: 2}

    One server process per service and stage holds all its versions side by side, with the
    labels `champion` and `challenger`, so that the address stays and a new version takes over
    without a gap. The process outlives the daemon. `port: 0` takes a free port and keeps it;
    a fixed port suits a runtime that serves one service. Which protocols are opened is said by
    the runtime's `endpoints` in the stage's file; without them it is REST. A change of them
    starts the process anew. `runtime.mirror` has a challenger score copies of the champion's
    requests, after these were answered; copies that it cannot keep up with are dropped.
    `runtime.split` has it answer a share of the requests in the champion's place: by their ids,
    so that the same request has the same answer, and only those that name no version or label.
    """

    use: ClassVar[str] = "local.serving"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"rest", "grpc", "labels", "logs", "in_place_update", "mirror", "split"}
    )
    times_probes: ClassVar[bool] = True
    home: ClassVar[str] = "serving"
    program: ClassVar[str] = "waystage_plugins.runtimes.serving"

    port: int = Field(default=0, ge=0, le=65535, description="for REST; 0: any free port")
    grpc_port: int = Field(default=0, ge=0, le=65535, description="for gRPC; 0: any free port")

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        problems = super().check(spec)
        if "grpc" in _speaks(spec) and not self.python and not installed():
            problems.append(MISSING)
        return problems

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        """Send a real scoring request, marked as a probe, to every endpoint.

        Raises `Retryable` where they do not answer alike.
        """
        directory, number, _ = self._parts(ctx, handle)
        config, ports = read_config(directory, Config), read_json(directory / SERVER)
        if config is None or "port" not in ports or not alive(directory):
            raise Retryable(f"no server runs for {handle.ref['service']}")
        found: list[list[float | None]] = []
        if "rest" in config.speaks:
            found.append(by_rest(ctx, ports["port"], config.model, number, rows))
        if "grpc" in config.speaks:
            found.append(by_grpc(ports.get("grpc_port", 0), config.model, number, rows))
        if not all(_near(found[0], others) for others in found[1:]):
            raise Retryable(
                f"version {number} of {config.model} answers otherwise by "
                f"{' than by '.join(config.speaks)}: {found}"
            )
        return [{"score": score} for score in found[0]]

    def set_traffic(self, ctx: Services, handle: Handle, percent: int = 100) -> None:
        """Have a challenger answer this share of the service's requests, the champion the others.

        A champion gets all that no challenger has.
        """
        directory, number, role = self._parts(ctx, handle)
        with locked(directory.with_suffix(".lock")):
            config = read_config(directory, Config)
            entry = config.find(number, role) if config else None
            if config is None or entry is None:
                raise Hopeless(f"version {number} is no {role} of {handle.ref['service']} here")
            if role == "champion" or entry.share == percent:
                return
            config = config.shared(number, percent)
            write_config(directory, config)
            await_notice(ctx, directory, config.revision)

    def mirror(self, ctx: Services, handle: Handle, percent: int) -> None:
        """Have this share of the champion's requests copied to the challenger.

        Raises `Conflict` while another one gets them.
        """
        directory, number, role = self._parts(ctx, handle)
        with locked(directory.with_suffix(".lock")):
            config = read_config(directory, Config)
            entry = config.find(number, role) if config and role == "challenger" else None
            if config is None or entry is None:
                raise Hopeless(f"version {number} is no challenger of {handle.ref['service']} here")
            if entry.mirror == percent:
                return
            first = config.copied_to
            if percent and first is not None and first is not entry:
                raise Conflict(
                    f"{first.snapshot.id} gets the copies of {handle.ref['service']} here, and "
                    "one challenger at a time can: end that by percent: 0, or take it out"
                )
            config = config.mirrored(number, percent)
            write_config(directory, config)
            await_notice(ctx, directory, config.revision)

    def restore(self, ctx: Context, spec: DeploySpec, handle: Handle, *, serves: bool) -> Handle:
        """Make sure of what is held already, and of the shares that challengers were given."""
        made = super().restore(ctx, spec, handle, serves=serves)
        directory = self._parts(ctx, made)[0]
        with locked(directory.with_suffix(".lock")):
            config = known = read_config(directory, Config)
            for row in ctx.placements(stage=spec.stage, role="challenger"):
                config = _given_again(config, row) if config else None
            if config is not None and config is not known:
                write_config(directory, config)
        return made

    def _settings(
        self, ctx: Context, directory: Path, known: Config | None, spec: DeploySpec
    ) -> dict[str, Any]:
        ports, kept, kept_grpc = read_json(directory / SERVER), 0, 0
        if known and not known.fixed:
            kept = ports.get("port") or known.port
        if known and not known.grpc_fixed:
            kept_grpc = ports.get("grpc_port") or known.grpc_port
        return {
            "port": self.port or kept, "fixed": bool(self.port), "speaks": _speaks(spec),
            "grpc_port": self.grpc_port or kept_grpc, "grpc_fixed": bool(self.grpc_port),
        }  # fmt: skip

    def _judged(
        self, ctx: Services, handle: Handle, seen: dict[str, Any], config: Any, entry: Entry
    ) -> Observation:
        directory = self._parts(ctx, handle)[0]
        ports = read_json(directory / SERVER)
        found = observed({**seen, **ports}, config, entry, int(ports.get("port") or 0))
        ends = ends_of(directory / HAND, entry.deployment) if entry.mirror else 0
        if ends < MOST_ENDS or found.phase != "ready":
            return found
        told = f"{found.message}; it gets no more copies, which ended the process {ends} times"
        return found.model_copy(update={"phase": "degraded", "reason": "copies", "message": told})

    def _make_room(
        self, ctx: Services, directory: Path, known: Config | None, wanted: Config
    ) -> None:
        """End a server that listens elsewhere than it should now, or speaks otherwise."""
        ports = read_json(directory / SERVER)
        moved = [
            fixed and ports.get(name) not in (None, fixed)
            for name, fixed in (("port", self.port), ("grpc_port", self.grpc_port))
        ]
        if any(moved) or (known and set(known.speaks) != set(wanted.speaks)):
            end(directory)


def _given_again(config: Config, row: Placement) -> Config:
    """Give a challenger its shares of copies and of requests, unless another one has them."""
    mine = (e for e in config.entries if (e.role, e.snapshot.id) == ("challenger", row.snapshot.id))
    if (entry := next(mine, None)) is None:
        return config
    if row.deployed.copies and config.copied_to is None:
        config = config.mirrored(entry.number, row.deployed.copies)
    if row.deployed.percent and config.shared_with is None:
        config = config.shared(entry.number, row.deployed.percent)
    return config


def _speaks(spec: DeploySpec) -> tuple[str, ...]:
    return tuple(each.protocol for each in spec.endpoints) or ("rest",)


def _near(some: list[float | None], others: list[float | None]) -> bool:
    def alike(one: float | None, other: float | None) -> bool:
        if one is None or other is None:
            return one is other
        return math.isclose(one, other, rel_tol=NEAR, abs_tol=NEAR)

    return len(some) == len(others) and all(map(alike, some, others))
