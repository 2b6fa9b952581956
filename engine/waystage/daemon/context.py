"""The context that a step gets: its run, and the project's connections."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from waystage.daemon.connections import Connections
from waystage.errors import Hopeless, WaystageError
from waystage.expressions import compile_expression
from waystage.plugin import (
    Deployed,
    Mode,
    Notifier,
    PlacedRuntime,
    Placement,
    Repository,
    Role,
    ScoringLog,
    Signer,
    Snapshot,
    Storage,
)

Placements = Callable[[str], list[Placement]]


@dataclass
class StepContext:
    """What one attempt of a step sees."""

    connections: Connections
    placed: Placements
    key: str
    run: str
    state_name: str
    service: str
    stage: str | None
    snapshot: Snapshot
    params: Mapping[str, object]
    attempt: int
    memo: dict[str, Any]
    cancelled: bool = False  # by the engine: the answer is no longer wanted

    @property
    def now(self) -> datetime:
        return self.connections.clock.now()

    @property
    def http(self) -> httpx.Client:
        return self.connections.http

    @property
    def log(self) -> logging.Logger:
        return self.connections.log

    @property
    def project(self) -> Path:
        return self.connections.project

    @property
    def state(self) -> Path:
        return self.connections.state

    @property
    def scratch(self) -> Path:
        name = hashlib.sha256(self.key.encode()).hexdigest()[:24]
        path = self.connections.state / "scratch" / self.run / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def cancel(self) -> None:
        """Tell the plugin that its answer is no longer wanted."""
        self.cancelled = True

    @property
    def scoring_log(self) -> ScoringLog:
        return self.connections.scoring_log()

    @property
    def repository(self) -> Repository:
        return self.connections.repository(self.service)

    @property
    def signers(self) -> Mapping[str, Signer]:
        return self.connections.signers()

    def secret(self, reference: str) -> str:
        return self.connections.secret(reference)

    def notifier(self, channel: str) -> Notifier:
        return self.connections.notifier(channel)

    def evaluate(self, expression: str, names: Mapping[str, object]) -> object:
        try:
            return compile_expression(expression, names).evaluate(names)
        except WaystageError as error:
            raise Hopeless(str(error)) from error

    def storage(self, name: str) -> Storage:
        return self.connections.storage(name, self.stage)

    def runtime(self, mode: Mode | None = None, *, stage: str | None = None) -> PlacedRuntime:
        where = stage or self.stage
        if not where:
            raise Hopeless(f"state {self.state_name} belongs to no stage, so it has no runtime")
        return self.connections.runtime(self.service, where, mode)

    def placements(
        self, *, stage: str | None = None, role: Role | None = None
    ) -> tuple[Placement, ...]:
        return tuple(
            each
            for each in self.placed(self.service)
            if (stage is None or each.deployed.stage == stage)
            and (role is None or each.deployed.role == role)
        )


def placement_from(body: dict[str, Any], run: str, service: str, since: datetime) -> Placement:
    """Read a row of the inventory as plugins see it."""
    snapshot = Snapshot.model_validate(body["snapshot"])
    return Placement(service, snapshot, Deployed.model_validate(body["deployed"]), run, since)
