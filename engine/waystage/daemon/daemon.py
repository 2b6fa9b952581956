"""A daemon: the engine at work on one project, with its watches and messages."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from waystage.check import check_project
from waystage.clock import Clock, SystemClock
from waystage.daemon import gates, inventory, leftovers, memory, outbox, retention, watch
from waystage.daemon.children import CHILD
from waystage.daemon.connections import Connections
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import LEASE_SECONDS, Engine
from waystage.daemon.intake import Intake
from waystage.daemon.masks import nothing
from waystage.daemon.meter import about
from waystage.daemon.opening import Opening, need_fit, need_service
from waystage.daemon.presence import Presence
from waystage.daemon.reload import Files, Taken
from waystage.errors import Conflict, Invalid, StoreUnfit
from waystage.kernel import Definition
from waystage.plugin import Plugin
from waystage.registry import load_catalog
from waystage.spec.load import ProjectFiles, load_project
from waystage.store import DatabaseError, Store, rooted
from waystage.store.codec import micros

log = logging.getLogger("waystage.daemon")
IDLE_SECONDS = 0.5
RETIRE_SECONDS = 3600.0  # between two looks for runs to remove
LOOK_SECONDS = 5.0  # between two looks at what runs
PRESENT_SECONDS = 5.0  # between two words to the other daemons
LEFTOVER_SECONDS = 10.0  # between two looks for jobs that nobody waits for
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
        lease: float = LEASE_SECONDS,
        upgrade: bool = True,
    ) -> None:
        self.root = root.resolve()
        self.clock = clock or SystemClock()
        self.files = load_project(self.root)
        self.catalog = catalog or load_catalog(self.files.project.spec.plugins)
        refuse_problems(self.files, self.catalog)
        self.state = self.root / ".waystage"
        self.state.mkdir(mode=0o700, exist_ok=True)
        database = rooted(self.files.project.spec.database, self.root)
        self.store = Store(database, upgrade=upgrade)
        self.definitions = Definitions(self.store, self.catalog)
        self.definitions.present(self.files)
        self.connections = Connections(self.files, self.catalog, self.clock, self.state)
        self.engine = Engine(
            self.store, self.definitions, self.catalog, self.clock,
            connections=self.connections, execution=self.files.project.spec.execution,
            lease=lease,
        )  # fmt: skip
        self.intake = Intake(self.connections.scoring_log)
        self.presence = Presence(self)
        self.definitions.newer_at_work = self.presence.newer_at_work
        self.unfit: StoreUnfit | None = None  # why it has to end
        self._uncover = nothing
        self.changes = Files(self)
        self._stopping = threading.Event()
        loops = {"outbox": self._send, "inventory": self._observe, "retention": self._retire,
                 "files": self._reread, "presence": self._be_present,
                 "leftovers": self._end_leftovers}  # fmt: skip
        self._threads = [
            threading.Thread(target=loop, name=name, daemon=True) for name, loop in loops.items()
        ]
        self._threads += [
            threading.Thread(target=self._watch, args=(c,), name=f"watch-{c.name}", daemon=True)
            for c in self.files.project.spec.repositories
        ]

    def start(self) -> None:
        """Take the database and begin."""
        self._uncover = self.connections.masks.over_logs()
        self.presence.look()
        self.engine.start()
        self.engine.act(gates.ask_again).result(timeout=60)  # the files may say other windows now
        memory.spare_the_collector()
        for thread in self._threads:
            thread.start()

    def drain(self) -> None:
        """Begin nothing more; what is being called or sent is finished."""
        self._stopping.set()
        self.engine.drain()

    def stop(self) -> None:
        """Finish what is being called or sent, within a grace, and let go of everything."""
        self.drain()
        self.intake.close()
        end = time.monotonic() + GRACE_SECONDS
        for thread in self._threads:  # while the writer still writes what they have done
            if thread.is_alive():
                thread.join(timeout=max(0.0, end - time.monotonic()))
        self.engine.stop(max(0.0, end - time.monotonic()))
        try:
            self.presence.leave()
        except DatabaseError as error:
            log.info(
                "the database does not answer; others see later that this one ended: %s", error
            )
        self.connections.close()
        self.store.close()
        self._uncover()

    def start_run(
        self, lifecycle: str, service: str, name: str, version: str, actor: str, key: str = "",
        via: str = "",
    ) -> str:  # fmt: skip
        """Open a run by hand.

        Raises `NotFound` for an unknown lifecycle, service or snapshot, and `Conflict` for a
        lifecycle that is not for the service.
        """
        if key.startswith(CHILD):
            raise Conflict(f"a key that begins with {CHILD} is that of a child run; choose another")
        definition = self.definitions.by_name(lifecycle)
        repository = self.connections.repository(service)
        snapshot = repository.get(self.connections, name, version)
        need_service(self.files.project.spec, service, snapshot.services)
        need_fit(definition.spec, service)
        body = snapshot.model_dump(mode="json")
        opening = replace(self.opening(definition, service, body, actor, key), via=via)
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
                    log.info("run %s is open", run, extra=about(run))
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
            try:
                retention.tend_log(self)
            except Exception as error:  # noqa: BLE001  # rows are kept until it can be done
                if not self._stopping.is_set():
                    log.warning("the scoring log was not tended: %s", error)
            self._stopping.wait(RETIRE_SECONDS)

    def _end_leftovers(self) -> None:
        while not self._stopping.wait(LEFTOVER_SECONDS):
            try:
                leftovers.end_leftovers(self.connections, self.store)
            except Exception as error:  # noqa: BLE001  # the database may be away; look again
                log.info("jobs that nobody waits for cannot be looked for: %s", error)

    def _be_present(self) -> None:
        while not self._stopping.wait(min(PRESENT_SECONDS, self.engine.lease / 6e6)):
            try:
                self.presence.look()
            except StoreUnfit as error:
                self.unfit = error
            except Exception as error:  # noqa: BLE001  # the database may be away; say so again soon
                log.info("others do not hear of this daemon at the moment: %s", error)

    def _observe(self) -> None:
        looks = inventory.Looks(self.engine, self.connections)
        while not self._stopping.is_set():
            try:
                looks.begin()
            except Exception as error:  # noqa: BLE001  # look again: the world may be back
                if not self._stopping.is_set():
                    log.warning("the inventory cannot be looked at: %s", error)
            self._stopping.wait(LOOK_SECONDS)
        looks.end(GRACE_SECONDS / 2)


def refuse_problems(files: ProjectFiles, catalog: Mapping[str, type[Plugin]]) -> None:
    """Raise `Invalid` if the project's files have errors."""
    errors = [p for p in check_project(files, catalog) if p.severity == "error"]
    if errors:
        raise Invalid(errors)
