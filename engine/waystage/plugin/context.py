"""What the engine hands to a plugin: the only way to time, HTTP, secrets and other plugins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from waystage.plugin.answers import Deployed, Opening, Role
from waystage.plugin.snapshot import Snapshot
from waystage.plugin.values import JsonObject

if TYPE_CHECKING:
    import logging

    import httpx

    from waystage.plugin.kinds import BatchRuntime, Notifier, OnlineRuntime, Repository
    from waystage.plugin.scoring import ScoringLog
    from waystage.plugin.signer import Signer
    from waystage.plugin.storage import Storage

Mode: TypeAlias = Literal["online", "batch"]


class Services(Protocol):
    """What every plugin call may use, also outside a run (a repository's watch, say)."""

    @property
    def now(self) -> datetime:
        """The present instant by the lifecycle's clock, in UTC."""
        ...

    @property
    def http(self) -> httpx.Client:
        """A client with time limits set and without redirects or proxy variables."""
        ...

    @property
    def log(self) -> logging.Logger: ...

    @property
    def project(self) -> Path:
        """The project's directory: relative paths in YAML start here."""
        ...

    @property
    def state(self) -> Path:
        """A directory of the daemon for files that must outlive the call (`.waystage/`)."""
        ...

    def secret(self, reference: str) -> str:
        """Resolve `env/NAME`, `file/path`, … or raise `Hopeless`."""
        ...


@dataclass(frozen=True, slots=True)
class PlacedRuntime:
    """A runtime as a stage's file has it, chosen for one service."""

    name: str
    stage: str
    mode: Mode
    plugin: OnlineRuntime | BatchRuntime
    endpoints: tuple[Opening, ...] = ()

    @property
    def online(self) -> OnlineRuntime:
        """The plugin as an online runtime; raises `Hopeless` if it is a batch one."""
        from waystage.errors import Hopeless
        from waystage.plugin.kinds import OnlineRuntime

        if not isinstance(self.plugin, OnlineRuntime):
            raise Hopeless(f"runtime {self.name!r} of stage {self.stage} is not an online runtime")
        return self.plugin

    @property
    def batch(self) -> BatchRuntime:
        """The plugin as a batch runtime; raises `Hopeless` if it is an online one."""
        from waystage.errors import Hopeless
        from waystage.plugin.kinds import BatchRuntime

        if not isinstance(self.plugin, BatchRuntime):
            raise Hopeless(f"runtime {self.name!r} of stage {self.stage} is not a batch runtime")
        return self.plugin


@dataclass(frozen=True, slots=True)
class Placement:
    """A row of the inventory: a snapshot that runs, or is current, somewhere."""

    service: str
    snapshot: Snapshot
    deployed: Deployed
    run: str
    since: datetime


class Context(Services, Protocol):
    """What a step sees of its run."""

    @property
    def key(self) -> str:
        """`<run>/<state entry>/<step>`: the same over all attempts of this step."""
        ...

    @property
    def run(self) -> str:
        """The run's id, `credit-risk-1`."""
        ...

    @property
    def state_name(self) -> str: ...

    @property
    def service(self) -> str: ...

    @property
    def stage(self) -> str | None: ...

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def params(self) -> Mapping[str, object]: ...

    @property
    def attempt(self) -> int:
        """Which try this is, from 1."""
        ...

    @property
    def memo(self) -> JsonObject:
        """What the last `Waiting` of this step left; for a monitor, what it kept for the run."""
        ...

    @property
    def scratch(self) -> Path:
        """A directory of this step alone, there on every attempt, removed after the run."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether the engine no longer wants the answer: stop soon."""
        ...

    @property
    def scoring_log(self) -> ScoringLog: ...

    @property
    def repository(self) -> Repository:
        """The repository that the project has for this service."""
        ...

    @property
    def signers(self) -> Mapping[str, Signer]:
        """Those whose signatures the project believes, by their names in waystage.yaml."""
        ...

    def runtime(self, mode: Mode | None = None, *, stage: str | None = None) -> PlacedRuntime:
        """The runtime of the stage (of the state, or the named one) for this service.

        Without a mode an online runtime goes before a batch one. Raises `Hopeless` with the
        candidates when there is none or more than one.
        """
        ...

    def notifier(self, channel: str) -> Notifier: ...

    def evaluate(self, expression: str, names: Mapping[str, object]) -> object:
        """Give the value of an expression over these names; raises `Hopeless` with what is wrong.

        It is the language of guards, with these names and no others.
        """
        ...

    def storage(self, name: str) -> Storage:
        """The connection of that name that the project has for the state's stage.

        Raises `Hopeless` with those that there are.
        """
        ...

    def placements(
        self, *, stage: str | None = None, role: Role | None = None
    ) -> tuple[Placement, ...]:
        """What runs now for this service, by the inventory, newest first."""
        ...
