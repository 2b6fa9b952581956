"""The project file: database, connections, people."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from waystage.spec.execution import Execution
from waystage.spec.values import (
    Duration,
    KebabName,
    OneOrMore,
    PluginName,
    ServiceGlob,
    Spec,
    StageName,
)

RIGHTS = ("decide", "operate", "override")


class Connection(Spec):
    """A plugin with its settings."""

    use: PluginName
    with_: dict[str, Any] = Field(default={}, alias="with")


class RepositoryConnection(Connection):
    """A repository and the services whose models it keeps."""

    name: KebabName
    services: Annotated[tuple[ServiceGlob, ...], OneOrMore] = ("*",)
    poll: Duration = timedelta(seconds=5)


class DataConnection(Connection):
    """Where inputs and outputs of jobs are kept, for the states of some stages or of all."""

    name: KebabName
    stages: Annotated[tuple[StageName | Literal["*"], ...], OneOrMore] = ("*",)


class Service(Spec):
    """A business use of models: who owns it and what its lifecycles are given."""

    owner: str = ""
    title: str = ""
    params: dict[str, Any] = {}


class Person(Spec):
    """Someone who may decide or operate."""

    roles: Annotated[tuple[str, ...], OneOrMore] = ()
    mail: str = ""


class Listen(Spec):
    """Where the daemon's HTTP API listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8470, ge=0, le=65535)


ARCHIVE = "archive"


class Retention(Spec):
    """How long runs are kept that have ended."""

    ended: Duration
    export: str = Field(default=ARCHIVE, min_length=1, max_length=1000)

    @field_validator("ended")
    @classmethod
    def _not_at_once(cls, value: timedelta) -> timedelta:
        if value < timedelta(days=1):
            raise ValueError("runs are kept for a day at least")
        return value


class Project(Spec):
    """One Waystage project."""

    project: KebabName
    database: str = "sqlite:///waystage.db"
    plugins: tuple[str, ...] = ("builtin",)
    repositories: tuple[RepositoryConnection, ...] = ()
    scoring_log: Connection | None = None
    connections: tuple[DataConnection, ...] = ()
    channels: dict[KebabName, Connection] = {}
    signers: dict[KebabName, Connection] = {}
    services: dict[KebabName, Service] = {}
    people: dict[str, Person] = {}
    roles: dict[str, tuple[Literal["decide", "operate", "override"], ...]] = {}
    on_behalf: bool = Field(
        default=True,
        description="whether whoever runs the daemon may act as other people (`--as`)",
    )
    listen: Listen = Listen()
    retention: Retention | None = None
    execution: Execution = Field(default=Execution(), description="how the daemon calls steps")
    notify_channel: KebabName | None = Field(
        default=None, description="channel for reminders, escalations and incidents"
    )
