"""A project's connections: which plugin, with which settings, serves what."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from pydantic import ValidationError

from waystage.clock import Clock
from waystage.daemon.masks import Masks
from waystage.errors import Hopeless
from waystage.plugin import (
    BatchRuntime,
    Mode,
    Notifier,
    OnlineRuntime,
    Opening,
    PlacedRuntime,
    Plugin,
    Repository,
    ScoringLog,
    SecretStore,
    Signer,
    Storage,
)
from waystage.spec.stage import Runtime

if TYPE_CHECKING:
    from waystage.spec.load import ProjectFiles

P = TypeVar("P", bound=Plugin)


class Connections:
    """Everything outside that the project names, built once and shared by all threads."""

    def __init__(
        self, files: ProjectFiles, catalog: Mapping[str, type[Plugin]], clock: Clock, state: Path
    ) -> None:
        self.files, self.catalog, self.clock = files, catalog, clock
        self.project, self.state = files.root, state
        self.log = logging.getLogger("waystage.plugin")
        self.masks = Masks()
        self._built: dict[str, Plugin] = {}

    def renew(self, files: ProjectFiles) -> None:
        """Go by changed files: what they may change is made anew when it is asked for."""
        changing = ("runtime ", "channel ", "connection ", "signer ")
        self.files = files
        self._built = {n: p for n, p in self._built.items() if not n.startswith(changing)}

    @property
    def now(self) -> datetime:
        """The present instant by the lifecycle's clock."""
        return self.clock.now()

    @cached_property
    def http(self) -> httpx.Client:
        """One client for all: time limits, no redirects, no proxy variables."""
        return httpx.Client(timeout=10.0, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        """Close what is open."""
        if "http" in self.__dict__:
            self.http.close()

    def build(self, use: str, settings: Mapping[str, Any], kind: type[P]) -> P:
        """Make a plugin from its settings; raises `Hopeless` naming what is wrong."""
        plugin = self.catalog.get(use)
        if plugin is None:
            raise Hopeless(f"there is no plugin {use!r}; `waystage plugins` lists them")
        if not issubclass(plugin, kind):
            raise Hopeless(f"plugin {use!r} is a {plugin.kind}, not a {kind.kind}")
        try:
            return plugin.model_validate(settings)
        except ValidationError as error:
            raise Hopeless(f"{use}: {describe(error)}") from error

    def secret(self, reference: str) -> str:
        """Resolve a reference such as `env/TEAMS_URL`."""
        store, _, name = reference.partition("/")
        found = self._once(f"secret {store}", f"secret.{store}", {}, SecretStore)  # type: ignore[type-abstract]  # asked for by its kind, made by its plugin
        text = found.resolve(name, self.project)
        self.masks.add(text, reference)
        return text

    def repository(self, service: str) -> Repository:
        """Give the repository that keeps the service's models."""
        for connection in self.files.project.spec.repositories:
            if any(fnmatchcase(service, glob) for glob in connection.services):
                return self.named_repository(connection.name)
        raise Hopeless(f"no repository of the project serves {service!r}")

    def named_repository(self, name: str) -> Repository:
        """Give a repository by its name in the project file."""
        connection = next(c for c in self.files.project.spec.repositories if c.name == name)
        return self._once(f"repository {name}", connection.use, connection.with_, Repository)  # type: ignore[type-abstract]  # asked for by its kind, made by its plugin

    def scoring_log(self) -> ScoringLog:
        """Give the project's scoring log, its path made absolute."""
        connection = self.files.project.spec.scoring_log
        if connection is None:
            raise Hopeless("the project has no scoring_log:")
        settings = dict(connection.with_)
        if isinstance(settings.get("path"), str):
            settings["path"] = str(self.project / settings["path"])
        return self._once("scoring log", connection.use, settings, ScoringLog)  # type: ignore[type-abstract]  # asked for by its kind, made by its plugin

    def notifier(self, channel: str) -> Notifier:
        """Give the notifier behind a channel's name."""
        connection = self.files.project.spec.channels.get(channel)
        if connection is None:
            known = ", ".join(sorted(self.files.project.spec.channels)) or "none"
            raise Hopeless(f"the project has no channel {channel!r} (it has {known})")
        return self._once(f"channel {channel}", connection.use, connection.with_, Notifier)  # type: ignore[type-abstract]  # asked for by its kind, made by its plugin

    def storage(self, name: str, stage: str | None) -> Storage:
        """Give the connection of that name for the states of a stage."""
        known = self.files.project.spec.connections
        for connection in known:
            if connection.name == name and ({"*", stage} & {*connection.stages}):
                own = f"connection {name} {' '.join(connection.stages)}"
                return self._once(own, connection.use, connection.with_, Storage)  # type: ignore[type-abstract]  # asked for by its kind, made by its plugin
        have = ", ".join(f"{each.name} for {' '.join(each.stages)}" for each in known) or "none"
        where = f"stage {stage}" if stage else "a state without a stage"
        raise Hopeless(f"the project has no connection {name!r} for {where} (it has {have})")

    def signers(self) -> dict[str, Signer]:
        """Give everybody whose signatures the project believes."""
        return {name: self.signer(name) for name in self.files.project.spec.signers}

    def signer(self, name: str) -> Signer:
        """Give a signer by the name in the project file; raises `Hopeless`."""
        connection = self.files.project.spec.signers.get(name)
        if connection is None:
            known = ", ".join(sorted(self.files.project.spec.signers)) or "none"
            raise Hopeless(f"the project has no signer {name!r} (it has {known})")
        return self._once(f"signer {name}", connection.use, connection.with_, Signer)  # type: ignore[type-abstract]  # asked for by its kind, made by its plugin

    def mark_of(self, name: str) -> str:
        """Give the mark of the keys that a signer has now; raises nothing but `Hopeless`."""
        try:
            return self.signer(name).mark(self)
        except Hopeless:
            raise
        except Exception as error:
            raise Hopeless(f"signer {name}: {error or type(error).__name__}") from error

    def runtime(self, service: str, stage: str, mode: Mode | None) -> PlacedRuntime:
        """Choose the stage's runtime for a service; online goes before batch."""
        for each in [mode] if mode else ["online", "batch"]:
            found = candidates(self.files, service, stage, each)
            if len(found) > 1:
                names = ", ".join(runtime.name for runtime in found)
                raise Hopeless(f"{stage} has several {each} runtimes for {service!r}: {names}")
            if found:
                return self._placed(found[0], stage)
        raise Hopeless(
            f"stage {stage} has no {mode or ''} runtime for {service!r}".replace("  ", " ")
        )

    def named_runtime(self, stage: str, name: str) -> PlacedRuntime:
        """Give a runtime by its name in the stage's file, where something was deployed to it."""
        loaded = self.files.stages.get(stage)
        for runtime in loaded.spec.runtimes if loaded else ():
            if runtime.name == name:
                return self._placed(runtime, stage)
        raise Hopeless(
            f"stage {stage} has no runtime {name} any more: put it back, or take what runs there "
            "away by hand"
        )

    def all_runtimes(self) -> list[Plugin]:
        """Give the runtimes of all stages; one whose settings are wrong is left out."""
        found: list[Plugin] = []
        for stage, loaded in self.files.stages.items():
            for runtime in loaded.spec.runtimes:
                try:
                    found.append(self._placed(runtime, stage).plugin)
                except Hopeless as error:
                    self.log.warning("runtime %s/%s: %s", stage, runtime.name, error)
        return found

    def _placed(self, runtime: Runtime, stage: str) -> PlacedRuntime:
        kind: type[OnlineRuntime] | type[BatchRuntime]
        kind = OnlineRuntime if runtime.mode == "online" else BatchRuntime
        name = f"runtime {stage}/{runtime.name}"
        plugin = self._once(name, runtime.use, runtime.with_, kind)
        wanted = tuple(Opening(name=e.name, protocol=e.protocol) for e in runtime.endpoints)
        return PlacedRuntime(runtime.name, stage, runtime.mode, plugin, wanted)

    def _once(self, name: str, use: str, settings: Mapping[str, Any], kind: type[P]) -> P:
        if name not in self._built:
            self._built[name] = self.build(use, settings, kind)
        return self._built[name]  # type: ignore[return-value]  # the name includes the kind


def candidates(files: ProjectFiles, service: str, stage: str, mode: str) -> list[Runtime]:
    """Give the runtimes that could serve; one that is preferred stands alone."""
    loaded = files.stages.get(stage)
    if loaded is None:
        return []
    found = [
        runtime
        for runtime in loaded.spec.runtimes
        if runtime.mode == mode and any(fnmatchcase(service, glob) for glob in runtime.services)
    ]
    preferred = [runtime for runtime in found if runtime.prefer]
    return preferred if len(preferred) == 1 else found


def describe(error: ValidationError) -> str:
    """Say in one line what a plugin's settings have wrong."""
    lines = []
    for each in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in each["loc"]) or "settings"
        lines.append(f"{where}: {each['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
