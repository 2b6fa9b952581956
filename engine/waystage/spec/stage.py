"""A stage as written by the platform team: its runtimes, freezes and conditions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from waystage.spec.values import (
    Instant,
    KebabName,
    OneOrMore,
    PluginName,
    ServiceGlob,
    Spec,
    StageName,
    Zone,
)


class EndpointSpec(Spec):
    """An address that requests may use."""

    name: KebabName
    protocol: Literal["rest", "grpc", "kafka"] = "rest"


class Runtime(Spec):
    """A place in the stage where models execute."""

    name: KebabName
    use: PluginName
    mode: Literal["online", "batch"]
    services: Annotated[tuple[ServiceGlob, ...], OneOrMore] = ("*",)
    endpoints: tuple[EndpointSpec, ...] = ()
    prefer: bool = False
    with_: dict[str, Any] = Field(default={}, alias="with")


class Span(Spec):
    """A span of local time and why nothing may change in it."""

    from_: Instant = Field(alias="from")
    to: Instant
    zone: Zone = "UTC"
    why: str = ""

    @model_validator(mode="after")
    def _forward(self) -> Span:
        if (self.from_.tzinfo is None) != (self.to.tzinfo is None):
            raise ValueError("from: and to: both say an offset, or both leave it to zone:")
        if self.to <= self.from_:
            raise ValueError("to: is later than from:")
        return self


class ChangeWindow(Spec):
    """A freeze (`deny`) or an opening (`allow`)."""

    deny: Span | None = None
    allow: Span | None = None

    @model_validator(mode="after")
    def _one(self) -> ChangeWindow:
        if (self.deny is None) == (self.allow is None):
            raise ValueError("says exactly one of deny, allow")
        return self


class Stage(Spec):
    """An environment that snapshots are promoted into."""

    stage: StageName
    title: str = ""
    after: Annotated[tuple[StageName, ...], OneOrMore] = ()
    runtimes: tuple[Runtime, ...] = ()
    windows: tuple[ChangeWindow, ...] = ()
    requires: dict[str, Any] = {}
