"""Watching repositories: a new snapshot opens the runs whose triggers it meets."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from waystage.daemon.opening import Opening, open_run
from waystage.errors import ExpressionError
from waystage.expressions import compile_expression
from waystage.kernel import Definition
from waystage.plugin import Snapshot
from waystage.spec.project import RepositoryConnection
from waystage.store.codec import micros
from waystage.store.inside import keep_cursor, keep_snapshot

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.daemon.transaction import Transaction

log = logging.getLogger("waystage.daemon")


def look(daemon: Daemon, connection: RepositoryConnection) -> list[str]:
    """Look once; the cursor moves in the transaction that opens the runs. Gives their ids."""
    before = daemon.store.cursor(connection.name)
    repository = daemon.connections.named_repository(connection.name)
    cursor, found = repository.watch(daemon.connections, before or {})
    if not found and cursor == before:
        return []

    def keep(tx: Transaction) -> list[str]:
        keep_cursor(tx.connection, connection.name, cursor)
        return [run for snapshot in found for run in _registered(daemon, tx, connection, snapshot)]

    return daemon.engine.act(keep).result(timeout=60)


def _registered(
    daemon: Daemon, tx: Transaction, connection: RepositoryConnection, snapshot: Snapshot
) -> list[str]:
    snapshot = snapshot.model_copy(update={"repository": connection.name})
    body = snapshot.model_dump(mode="json")
    if not keep_snapshot(tx.connection, connection.name, body, micros(tx.now)):
        return []
    log.info("snapshot %s is registered in %s", snapshot.id, connection.name)
    return [
        open_run(tx, opening)
        for service in snapshot.services
        if any(fnmatchcase(service, glob) for glob in connection.services)
        for opening in openings(daemon, service, body, "snapshot.registered")
    ]


def openings(daemon: Daemon, service: str, snapshot: dict[str, Any], event: str) -> list[Opening]:
    """Give what an event opens for a service; a trigger that cannot be evaluated opens nothing."""
    found = []
    for definition in daemon.definitions.of_service(service):
        if any(_meets(definition, each.if_, service, snapshot) for each in definition.spec.start
               if each.on == event):  # fmt: skip
            found.append(daemon.opening(definition, service, snapshot, "engine"))
    return found


def _meets(
    definition: Definition, condition: str | None, service: str, snapshot: dict[str, Any]
) -> bool:
    if condition is None:
        return True
    environment = {"snapshot": snapshot, "service": service, "params": {}, "data": {}}
    try:
        return compile_expression(condition).evaluate(environment) is True
    except ExpressionError as error:
        log.error("%s: start: if: %s; no run was opened", definition.spec.lifecycle, error)
        return False
