"""What a call needs that is made outside of the daemon's process, and what comes back of it.

To there goes a pickle that the daemon made; from there comes JSON that is believed in nothing.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from waystage.clock import Clock
from waystage.daemon.calls import (
    LONGEST_REST,
    Answered,
    as_facts,
    as_output,
    as_span,
    call,
    covered,
    plain,
)
from waystage.daemon.connections import Connections
from waystage.daemon.context import Placements, StepContext
from waystage.errors import Hopeless
from waystage.kernel import Event
from waystage.plugin import Fact, Placement, Plugin
from waystage.spec.load import ProjectFiles
from waystage.store.codec import dump
from waystage.store.rows import Claim

Secrets = Callable[[str], str]
FACTS = {fact.__name__: fact for fact in get_args(Fact)}
AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Setting:
    """The project as a far call needs it; plugins are named by module and class."""

    files: ProjectFiles
    plugins: dict[str, tuple[str, str]]
    clock: Clock
    state: Path


@dataclass(frozen=True, slots=True)
class Assignment:
    """One call, as it is sent away."""

    plugin: tuple[str, str]
    claim: Claim
    context: tuple[Any, ...]  # the fields of a StepContext from its key to its memo
    placements: tuple[Placement, ...] = ()
    memory: int | None = None  # MiB


class Garbage(Exception):
    """What came back is no answer."""


def setting_of(connections: Connections) -> Setting:
    """Give what far calls need of a project: its connections, without its lifecycles."""
    files = replace(connections.files, lifecycles={}, blocks={})
    plugins = {use: named(plugin) for use, plugin in connections.catalog.items()}
    return Setting(files, plugins, connections.clock, connections.state)


def named(plugin: type[Plugin]) -> tuple[str, str]:
    """Give the module and the name by which a class is found again."""
    return plugin.__module__, plugin.__qualname__


def assignment_of(
    plugin: type[Plugin],
    claim: Claim,
    ctx: StepContext,
    *,
    placements: tuple[Placement, ...] = (),
    memory: int | None = None,
) -> Assignment:
    """Give a call as it is sent away."""
    context = (
        ctx.key, ctx.run, ctx.state_name, ctx.service, ctx.stage, ctx.snapshot, dict(ctx.params),
        ctx.attempt, ctx.memo,
    )  # fmt: skip
    return Assignment(named(plugin), claim, context, placements, memory)


class FarConnections(Connections):
    """A project's connections in another process; `ask` looks secrets up where they are."""

    def __init__(self, setting: Setting, ask: Secrets | None = None) -> None:
        catalog = {use: plugin for use, name in setting.plugins.items() if (plugin := _found(name))}
        super().__init__(setting.files, catalog, setting.clock, setting.state)
        self._ask = ask

    def secret(self, reference: str) -> str:
        """Resolve a reference, by the daemon if it is within reach."""
        return self._ask(reference) if self._ask else super().secret(reference)


def perform(
    assignment: Assignment, connections: Connections, placed: Placements | None = None
) -> tuple[StepContext, Callable[[], bytes]]:
    """Give the context of the call, and what makes it and gives the answer as JSON."""
    known = placed or (lambda service: list(assignment.placements))
    ctx = StepContext(connections, known, *assignment.context)

    def make() -> bytes:
        plugin = _found(assignment.plugin)
        if plugin is None:
            module, name = assignment.plugin
            raise Hopeless(f"there is no plugin {module}.{name} where the step is called")
        return packed(
            covered(call(plugin, assignment.claim, ctx), assignment.claim, connections.masks)
        )

    return ctx, make


def packed(answered: Answered) -> bytes:
    """Write an answer as JSON."""
    event = answered.event
    facts = [{"fact": type(f).__name__, "said": f.model_dump(mode="json")} for f in answered.facts]
    if event is None:
        assert answered.again is not None
        return dump({"kind": AGAIN, "again": answered.again.total_seconds(), "memo": answered.memo})
    return dump({"kind": event.kind, "data": event.data, "facts": facts})


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    fact: str
    said: dict[str, Any]


class _Packed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["step.done", "step.refused", "step.failed", "step.uncertain", "again"]
    data: dict[str, Any] = {}
    facts: list[_Fact] = []
    again: float = 0.0
    memo: dict[str, Any] | None = None


def unpacked(answer: Any, claim: Claim) -> Answered:
    """Read an answer, parsed as JSON, for this claim; raises `Garbage`."""
    try:
        said = _Packed.model_validate(answer)
        if said.kind == AGAIN:
            return Answered(None, again=as_span(timedelta(seconds=said.again)),
                            memo=as_output(said.memo or {}))  # fmt: skip
        event = Event(said.kind, claim.order["state"], claim.order["entry"],
                      str(claim.order["index"]), _data(said.kind, said.data))  # fmt: skip
        return Answered(event, as_facts(FACTS[f.fact].model_validate(f.said) for f in said.facts))
    except (ValueError, ValidationError, Hopeless, KeyError, OverflowError, TypeError) as error:
        raise Garbage(plain(" ".join(str(error).split()))[:200]) from error


def _data(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    if kind == "step.done":
        return as_output(data)
    if kind == "step.refused":
        return {"why": plain(str(data["why"])), "output": as_output(data["output"])}
    error = plain(str(data["error"]))
    if kind == "step.uncertain":
        return {"error": error}
    rest = float(data.get("after", 0.0))
    if not 0.0 <= rest <= LONGEST_REST.total_seconds():
        raise ValueError(f"it wants to be left alone for {rest} s")
    said = {"error": error, "hopeless": data["hopeless"] is True}
    return said | ({"after": rest} if rest else {})


def _found(name: tuple[str, str]) -> type[Plugin] | None:
    try:
        found: Any = import_module(name[0])
        for part in name[1].split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found if isinstance(found, type) and issubclass(found, Plugin) else None


def pickled(value: Setting | Assignment) -> bytes:
    """Write what is sent away."""
    return pickle.dumps(value, protocol=5)
