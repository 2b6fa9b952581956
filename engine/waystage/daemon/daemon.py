"""A daemon: the engine at work on one project, with its watches and messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from waystage.check import check_project
from waystage.clock import Clock, SystemClock
from waystage.daemon import gates, inventory, memory, outbox, retention, watch
from waystage.daemon.children import CHILD
from waystage.daemon.connections import Connections
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.masks import nothing
from waystage.daemon.opening import Opening
from waystage.daemon.reload import Files, Taken
from waystage.errors import Conflict, Invalid
from waystage.kernel import Definition
from waystage.plugin import Plugin
from waystage.registry import load_catalog
from waystage.spec.load import ProjectFiles, load_project
from waystage.store import Store, rooted
from waystage.store.codec import micros

log = logging.getLogger("waystage.daemon")
IDLE_SECONDS = 0.5
RETIRE_SECONDS = 3600.0  # between two looks for runs to remove
LOOK_SECONDS = 5.0  # between two looks at what runs
FILES_SECONDS = 0.5  # files that rest between two looks are taken up
GRACE_SECONDS = 10.0  # for what is being called when the daemon is told to end


class Daemon:
    """One process at work on one project directory."""

    def __init__(
        self,
        root: Path,
        *,
        clock: Clock | None = None,
        catalog: Mapping[str, type[Plugin]] | None = None,
    ) -> None:
        self.root = root.resolve()
        self.clock = clock or SystemClock()
        self.files = load_project(self.root)
        self.catalog = catalog or load_catalog(self.files.project.spec.plugins)
        refuse_problems(self.files, self.catalog)
        self.state = self.root / ".waystage"
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.store = Store(rooted(self.files.project.spec.database, self.root))
        self.definitions = Definitions(self.store, self.catalog)
        self.definitions.present(self.files)
        self.connections = Connections(self.files, self.catalog, self.clock, self.state)
        self.engine = Engine(
            self.store, self.definitions, self.catalog, self.clock,
            connections=self.connections, execution=self.files.project.spec.execution,
        )  # fmt: skip
        self._uncover = nothing
        self.changes = Files(self)
        self._stopping = threading.Event()
        self._looks = [
            threading.Thread(target=self._watch, args=(c,), name=f"watch-{c.name}", daemon=True)
            for c in self.files.project.spec.repositories
        ]
        self._sender = threading.Thread(target=self._send, name="outbox", daemon=True)
        self._observer = threading.Thread(target=self._observe, name="inventory", daemon=True)
        self._retirer = threading.Thread(target=self._retire, name="retention", daemon=True)
        self._reader = threading.Thread(target=self._reread, name="files", daemon=True)

    def start(self) -> None:
        """Take the database and begin."""
        self._uncover = self.connections.masks.over_logs()
        self.engine.start()
        self.engine.act(gates.ask_again).result(timeout=60)  # the files may say other windows now
        memory.spare_the_collector()
        for thread in (*self._looks, self._sender, self._observer, self._reader, self._retirer):
            thread.start()

    def stop(self) -> None:
        """Finish what is being called, within a grace, and let go of everything."""
        self._stopping.set()
        self.engine.stop(GRACE_SECONDS)
        for thread in (*self._looks, self._sender, self._observer, self._reader, self._retirer):
            if thread.is_alive():
                thread.join(timeout=5)
        self.connections.close()
        self.store.close()
        self._uncover()

    def start_run(
        self, lifecycle: str, service: str, name: str, version: str, actor: str, key: str = "",
        via: str = "",
    ) -> str:  # fmt: skip
        """Open a run by hand; raises `NotFound` for an unknown lifecycle or snapshot."""
        if key.startswith(CHILD):
            raise Conflict(f"a key that begins with {CHILD} is that of a child run; choose another")
        definition = self.definitions.by_name(lifecycle)
        repository = self.connections.repository(service)
        snapshot = repository.get(self.connections, name, version).model_dump(mode="json")
        opening = replace(self.opening(definition, service, snapshot, actor, key), via=via)
        return self.engine.open(opening).result(timeout=60)

    def opening(
        self,
        definition: Definition,
        service: str,
        snapshot: dict[str, Any],
        actor: str,
        key: str = "",
    ) -> Opening:
        """Describe a run of this lifecycle; without a key, one per snapshot and service."""
        params = self.definitions.params_of(definition, service)
        parts = (definition.spec.lifecycle, service, snapshot["name"], snapshot["version"])
        return Opening(definition, service, snapshot, key or "|".join(parts), actor, params)

    def busy(self) -> int:
        """Count what is due or being called; 0 when only time or people can move anything."""
        return self.store.pending(micros(self.clock.now())) + self.engine.under_way()

    def reload(self) -> Taken:
        """Take up changed files; raises `Invalid`, changing nothing, if they have problems."""
        return self.changes.take()

    def use(self, files: ProjectFiles) -> None:
        """Go by these files, which have been proved, from here on."""
        self.files = files
        self.connections.renew(files)
        self.definitions.present(files)
        self.engine.act(gates.ask_again)

    def _watch(self, connection: Any) -> None:
        while not self._stopping.is_set():
            try:
                for run in watch.look(self, connection):
                    log.info("run %s is open", run)
            except Exception as error:  # noqa: BLE001  # a repository may raise anything; look again
                if not self._stopping.is_set():
                    log.warning("repository %s cannot be watched: %s", connection.name, error)
            self._stopping.wait(connection.poll.total_seconds())

    def _reread(self) -> None:
        while not self._stopping.wait(FILES_SECONDS):
            try:
                self.changes.look()
            except Exception as error:  # noqa: BLE001  # whatever a file does, the daemon goes on
                log.warning("the project's files cannot be looked at: %s", error)

    def _send(self) -> None:
        while not self._stopping.is_set():
            try:
                outbox.send_due(self.engine, self.connections)
            except Exception as error:  # noqa: BLE001  # the messages stay in the outbox
                if not self._stopping.is_set():
                    log.warning("messages cannot be sent: %s", error)
            self._stopping.wait(IDLE_SECONDS)

    def _retire(self) -> None:
        while not self._stopping.is_set():
            try:
                retention.by_rule(self)
            except Exception as error:  # noqa: BLE001  # runs are kept until it can be done
                if not self._stopping.is_set():
                    log.warning("retention was not done: %s", error)
            self._stopping.wait(RETIRE_SECONDS)

    def _observe(self) -> None:
        while not self._stopping.is_set():
            try:
                inventory.look(self.engine, self.connections)
            except Exception as error:  # noqa: BLE001  # look again: the world may be back
                if not self._stopping.is_set():
                    log.warning("the inventory cannot be looked at: %s", error)
            self._stopping.wait(LOOK_SECONDS)


def refuse_problems(files: ProjectFiles, catalog: Mapping[str, type[Plugin]]) -> None:
    """Raise `Invalid` if the project's files have errors."""
    errors = [p for p in check_project(files, catalog) if p.severity == "error"]
    if errors:
        raise Invalid(errors)
