"""A stage as written by the platform team: its runtimes, freezes and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from waystage.spec.values import (
    KebabName,
    OneOrMore,
    PluginName,
    ServiceGlob,
    Spec,
    StageName,
)
from waystage.spec.windows import ChangeWindow


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
