"""What a step answers, and the facts that it may tell with its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

from waystage.plugin.values import JsonObject, Value

Role: TypeAlias = Literal["champion", "challenger"]


Speech: TypeAlias = Literal["rest", "grpc", "kafka"]
SPEECHES: tuple[Speech, ...] = ("rest", "grpc", "kafka")


class Opening(Value):
    """An endpoint as a stage asks for it: its name, and what is spoken there."""

    name: str = "score"
    protocol: Speech = "rest"


class Endpoint(Opening):
    """Where requests reach an online deployment."""

    url: str


class Deployed(Value):
    """From now on this snapshot is what runs in that stage and runtime for the run's service.

    `image` is what it was told to run, if anything: without it it cannot be made so again.
    `percent` is the share of requests that `Shared` gave it since, `copies` that of `Mirrored`.
    """

    stage: str
    runtime: str
    mode: Literal["online", "batch"]
    role: Role = "champion"
    handle: JsonObject = {}
    endpoints: tuple[Endpoint, ...] = ()
    image: str = ""
    percent: int | None = Field(default=None, ge=0, le=100)
    copies: int | None = Field(default=None, ge=0, le=100)


class Shared(Value):
    """The run's snapshot gets this share of its service's requests there, until one comes or goes.

    It is kept so that the shares can be set again when somebody moved them.
    """

    stage: str
    runtime: str
    percent: int = Field(ge=0, le=100)


class Mirrored(Value):
    """The run's snapshot gets copies of this share of the champion's requests there, in percent.

    It is kept so that the runtime can be told again where it lost that.
    """

    stage: str
    runtime: str
    percent: int = Field(ge=0, le=100)


class Undeployed(Value):
    """The run's snapshot runs no longer in that stage and runtime."""

    stage: str
    runtime: str


class Verified(Value):
    """The run's snapshot passed its checks in that stage: it is what a rollback returns to."""

    stage: str


class Signed(Value):
    """The run's snapshot bears a signature of this signer of the project over its very files.

    `mark` is that of the keys by which it was verified; a stage counts it while the signer
    still has them.
    """

    by: str = Field(min_length=1, max_length=63)
    mark: str = Field(min_length=1, max_length=100)


class Championed(Value):
    """The run's snapshot is the champion of its service now; the old one's run is told so."""


class Registered(Value):
    """A new snapshot is in a repository; the repository's watch will open its run."""

    name: str
    version: str
    digest: str


class Signalled(Value):
    """The other open runs of this snapshot and service get this signal."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=100)
    payload: JsonObject = {}


Fact: TypeAlias = (
    Deployed
    | Shared
    | Mirrored
    | Undeployed
    | Verified
    | Signed
    | Championed
    | Registered
    | Signalled
)


@dataclass(frozen=True, slots=True)
class Done:
    """The effect holds. `output` is JSON of at most 256 KiB; `facts` commit together with it."""

    output: BaseModel | JsonObject = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet: call again after `again`, with `memo` in the context. Frees the worker."""

    again: timedelta
    memo: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """A business no, said by a gate or a person; it is never retried."""

    why: str
    output: JsonObject = field(default_factory=dict)


Answer: TypeAlias = Done | Waiting | Refused
