"""A stage as written by the platform team: its runtimes, freezes and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

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
    """A half-open span of time, and why it is one. What `zone` says holds where no offset is."""

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

    @property
    def start(self) -> datetime:
        """The first instant, in UTC."""
        return self._instant(self.from_)

    @property
    def end(self) -> datetime:
        """The first instant after it, in UTC."""
        return self._instant(self.to)

    def holds(self, at: datetime) -> bool:
        """Whether an instant lies in it."""
        return self.start <= at < self.end

    def _instant(self, given: datetime) -> datetime:
        local = given if given.tzinfo else given.replace(tzinfo=ZoneInfo(self.zone))
        return local.astimezone(UTC)


class Freeze(Span):
    """A span in which nothing may change; a strict one holds for going back too."""

    strict: bool = False


class ChangeWindow(Spec):
    """A freeze (`deny`) or an opening (`allow`)."""

    deny: Freeze | None = None
    allow: Span | None = None

    @model_validator(mode="after")
    def _one(self) -> ChangeWindow:
        if (self.deny is None) == (self.allow is None):
            raise ValueError("says exactly one of deny, allow")
        return self


class Requires(Spec):
    """What a snapshot must be before something new is made of it in the stage.

    `tags` names the values that a tag of the snapshot may have, `formats` the formats, and
    `verified_in` the stages in which the snapshot must have passed `runtime.probe`. One of the
    signers in `signed_by` must have signed it, and a step must have verified that.
    """

    tags: dict[str, Annotated[tuple[str, ...], OneOrMore]] = {}
    formats: Annotated[tuple[str, ...], OneOrMore] = ()
    verified_in: Annotated[tuple[StageName, ...], OneOrMore] = ()
    signed_by: Annotated[tuple[KebabName, ...], OneOrMore] = ()

    def lacks(self, snapshot: Mapping[str, Any]) -> str:
        """Say what the stage takes and the snapshot does not show; empty if it shows all."""
        form, tags = snapshot.get("format"), snapshot.get("tags") or {}
        name = f"{snapshot.get('name', '')}/{snapshot.get('version', '')}"
        if self.formats and form not in self.formats:
            return f"{' or '.join(self.formats)}, and {name} is {form or 'of no stated format'}"
        for tag, values in self.tags.items():
            if tags.get(tag) not in values:
                has = f"has {tags[tag]}" if tag in tags else "has no such tag"
                return f"what is tagged {tag}: {' or '.join(values)}, and {name} {has}"
        return ""


class Stage(Spec):
    """An environment that snapshots are promoted into."""

    stage: StageName
    title: str = ""
    after: Annotated[tuple[StageName, ...], OneOrMore] = ()
    runtimes: tuple[Runtime, ...] = ()
    windows: tuple[ChangeWindow, ...] = ()
    on_drift: Literal["report", "restore"] = "report"
    requires: Requires = Requires()
