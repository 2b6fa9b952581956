"""Which lifecycle a run follows: the project's present text, or the one it is pinned to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from waystage.errors import Newer, NotFound
from waystage.kernel import Definition, compile_lifecycle
from waystage.plugin import Plugin
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.stage import Stage
from waystage.store import Reader

if TYPE_CHECKING:
    from waystage.spec.load import Loaded, ProjectFiles


class Definitions:
    """Compiled lifecycles by hash, kept once they were needed."""

    def __init__(
        self, store: Reader | None, catalog: Mapping[str, type[Plugin]] | None = None
    ) -> None:
        self._store, self._catalog = store, catalog or {}
        self._lock = threading.Lock()
        self._compiled: dict[str, Definition] = {}
        self._present: dict[str, Loaded[Lifecycle]] = {}
        self._files: ProjectFiles | None = None
        self.newer_at_work: Callable[[], bool] = lambda: False  # beside this daemon
        self._strange: dict[str, str] = {}  # texts with a plugin that this daemon does not have

    def present(self, files: ProjectFiles) -> None:
        """Take the project's lifecycles as those that new runs follow."""
        self._present = dict(files.lifecycles)
        self._files = files

    def names(self) -> list[str]:
        """Give the names of the lifecycles that new runs may follow."""
        return sorted(self._present)

    def of_service(self, service: str) -> list[Definition]:
        """Give the lifecycles whose `services:` match."""
        return [
            self.by_name(name)
            for name, loaded in self._present.items()
            if any(fnmatchcase(service, glob) for glob in loaded.spec.services)
        ]

    def by_name(self, name: str) -> Definition:
        """Give the present lifecycle of that name; raises `NotFound`."""
        loaded = self._present.get(name)
        if loaded is None:
            known = ", ".join(self.names()) or "none"
            raise NotFound(f"there is no lifecycle {name!r}; the project has {known}")
        return self.of(loaded)

    def of(self, loaded: Loaded[Lifecycle]) -> Definition:
        """Give a lifecycle as a file says it."""
        return self._compile(loaded.digest, loaded.spec)

    def params_of(self, definition: Definition, service: str) -> dict[str, Any]:
        """Give what the project says for the service about the lifecycle's parameters."""
        known = self._files.project.spec.services.get(service) if self._files else None
        given = known.params if known else {}
        return {name: value for name, value in given.items() if name in definition.spec.params}

    def stage(self, name: str) -> Stage | None:
        """Give a stage as the project says it now."""
        found = self._files.stages.get(name) if self._files else None
        return found.spec if found else None

    def by_hash(self, digest: str) -> Definition:
        """Give the lifecycle that a run is pinned to.

        Raises `NotFound`, and `Newer` for a text that only a newer daemon can follow: one with
        words that are not known here, or with plugins that are not while such a one is at work.
        """
        found = self._compiled.get(digest)
        if found is None:
            found = self._stored(digest)
        if digest in self._strange and self.newer_at_work():
            raise Newer(f"{found.spec.lifecycle} uses {self._strange[digest]}, which is not here")
        return found

    def _stored(self, digest: str) -> Definition:
        body = self._store.definition(digest) if self._store else None
        if body is None:
            raise NotFound(f"the store has no lifecycle {digest[:12]}: it was edited by hand")
        try:
            spec = Lifecycle.model_validate(body)
        except ValidationError as error:
            name = body.get("lifecycle", digest[:12])
            raise Newer(f"{name} has words that this version does not know") from error
        return self._compile(digest, spec)

    def _compile(self, digest: str, spec: Lifecycle) -> Definition:
        with self._lock:
            if digest not in self._compiled:
                definition = compile_lifecycle(spec, digest, self.changes)
                _ = definition.machines  # built once, here, not in the hot path
                if strange := self._unknown(definition):
                    self._strange[digest] = strange
                self._compiled[digest] = definition
            return self._compiled[digest]

    def _unknown(self, definition: Definition) -> str:
        uses = [monitor.use for monitor in definition.spec.monitors.values()]
        for node in definition.nodes.values():
            for work in node.works:
                undo = work.spec.undo
                uses += [work.spec.use, *([undo.use] if undo else [])]
        return next((use for use in uses if use not in self._catalog), "")

    def changes(self, use: str) -> str:
        """Say what a step does to its stage; one that nobody knows fails before it does a thing."""
        return str(getattr(self._catalog.get(use), "changes", "none"))
