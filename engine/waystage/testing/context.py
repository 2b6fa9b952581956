"""A context for tests of plugins: everything in it is real but the engine behind it."""

from __future__ import annotations

import json
import logging
import ssl
import time
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast

from waystage.clock import HandClock
from waystage.errors import Hopeless, WaystageError
from waystage.plugin import (
    BatchRuntime,
    Done,
    JsonObject,
    Mode,
    Notifier,
    OnlineRuntime,
    PlacedRuntime,
    Placement,
    Refused,
    Repository,
    Role,
    ScoringLog,
    Signer,
    Snapshot,
    Step,
    Storage,
    Waiting,
)

if TYPE_CHECKING:
    import httpx

AnyRuntime: TypeAlias = OnlineRuntime | BatchRuntime | PlacedRuntime

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


T = TypeVar("T")


class _Part(Generic[T]):
    """A part of the project that raises, while a test did not set it, as the engine does."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: object, owner: type) -> T:
        if instance is None:
            return cast(T, self)  # the default that says: not set
        if vars(instance).get(self._name) is None:
            raise Hopeless(self._why)
        return cast(T, vars(instance)[self._name])

    def __set__(self, instance: object, value: T) -> None:
        vars(instance)[self._name] = None if value is self else value


def _some_snapshot() -> Snapshot:
    return Snapshot(name="credit", version="1", digest="sha256:" + "0" * 64)


@dataclass(eq=False)
class FakeContext:
    """A `waystage.plugin.Context` whose every part a test may set.

    Directories are real ones below `root`; `runtimes` maps names to plugins (there in every
    stage) or to `PlacedRuntime`s (there in their own stage); `notifiers` maps channels to
    plugins, `storages` and `signers` names of the project to plugins, `secrets` references to
    texts.
    """

    root: Path
    service: str = "credit-risk"
    stage: str | None = "DEV"
    snapshot: Snapshot = field(default_factory=_some_snapshot)
    params: Mapping[str, object] = field(default_factory=dict)
    key: str = "credit-risk-1/1/step"
    run: str = "credit-risk-1"
    state_name: str = "deploy"
    attempt: int = 1
    memo: JsonObject = field(default_factory=dict)
    cancelled: bool = False
    clock: HandClock = field(default_factory=lambda: HandClock(START))
    runtimes: dict[str, AnyRuntime] = field(default_factory=dict)
    notifiers: dict[str, Notifier] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)
    signers: dict[str, Signer] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    inventory: list[Placement] = field(default_factory=list)
    repository: _Part[Repository] = field(
        default=_Part("the project has no repository for this service"), repr=False
    )
    scoring_log: _Part[ScoringLog] = field(
        default=_Part("the project has no scoring_log"), repr=False
    )
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("waystage.plugins"))
    _http: httpx.Client | None = field(default=None, init=False, repr=False)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @property
    def http(self) -> httpx.Client:
        if self._http is None:
            import httpx

            self._http = httpx.Client(
                timeout=10, follow_redirects=False, trust_env=False, verify=_authorities()
            )
            weakref.finalize(self, self._http.close)
        return self._http

    @property
    def project(self) -> Path:
        return self._directory("project")

    @property
    def state(self) -> Path:
        return self._directory("project/.waystage")

    @property
    def scratch(self) -> Path:
        return self._directory("project/.waystage/scratch/" + self.key.replace("/", "."))

    def secret(self, reference: str) -> str:
        if reference not in self.secrets:
            raise Hopeless(f"there is no secret {reference}")
        return self.secrets[reference]

    def notifier(self, channel: str) -> Notifier:
        if channel not in self.notifiers:
            raise Hopeless(f"the project has no channel {channel!r}")
        return self.notifiers[channel]

    def storage(self, name: str) -> Storage:
        if name not in self.storages:
            raise Hopeless(f"the project has no connection {name!r}")
        return self.storages[name]

    def evaluate(self, expression: str, names: Mapping[str, object]) -> object:
        from waystage.expressions import compile_expression

        try:
            return compile_expression(expression, names).evaluate(names)
        except WaystageError as error:
            raise Hopeless(str(error)) from error

    def runtime(self, mode: Mode | None = None, *, stage: str | None = None) -> PlacedRuntime:
        wanted = stage or self.stage
        if wanted is None:
            raise Hopeless("the state belongs to no stage, so it has no runtime")
        for each in (mode,) if mode else ("online", "batch"):
            found = [placed for placed in self._placed(wanted) if placed.mode == each]
            if len(found) == 1:
                return found[0]
            if found:
                names = ", ".join(placed.name for placed in found)
                raise Hopeless(f"stage {wanted} has several {each} runtimes: {names}")
        raise Hopeless(f"stage {wanted} has no {mode or ''} runtime for service {self.service}")

    def placements(
        self, *, stage: str | None = None, role: Role | None = None
    ) -> tuple[Placement, ...]:
        rows = [
            row
            for row in self.inventory
            if row.service == self.service
            and (stage is None or row.deployed.stage == stage)
            and (role is None or row.deployed.role == role)
        ]
        return tuple(sorted(rows, key=lambda row: row.since, reverse=True))

    def _placed(self, stage: str) -> Iterable[PlacedRuntime]:
        for name, runtime in self.runtimes.items():
            if isinstance(runtime, PlacedRuntime):
                if runtime.stage == stage:
                    yield runtime
            else:
                mode: Mode = "online" if isinstance(runtime, OnlineRuntime) else "batch"
                yield PlacedRuntime(name=name, stage=stage, mode=mode, plugin=runtime)

    def _directory(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path


@cache  # reading the authorities takes longer than most tests
def _authorities() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def run_to_end(
    step: Step, ctx: FakeContext, *, advance: timedelta | None = None, within: float = 120.0
) -> Done | Refused:
    """Call the step as the engine would until it is done or refused.

    On `Waiting` the hand clock is turned by `advance` (default: by what the step asked for)
    and the memo goes through JSON. Raises `TimeoutError` after `within` real seconds.
    """
    deadline = time.monotonic() + within
    while True:
        answer = step.run(ctx)
        if not isinstance(answer, Waiting):
            ctx.memo = {}
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{step.use} still waits after {within:g} s: {answer.memo}")
        ctx.memo = json.loads(json.dumps(answer.memo, allow_nan=False))
        ctx.clock.turn(advance if advance is not None else answer.again)
        time.sleep(0.002)  # real processes behind a runtime need some real time to get on
