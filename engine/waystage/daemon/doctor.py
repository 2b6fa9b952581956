"""What `waystage doctor` looks at: each part of a project, how it is, and what to do about it."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from waystage.check import check_project
from waystage.clock import SystemClock, wall_seconds
from waystage.daemon.connections import Connections
from waystage.daemon.owner import dead_ones
from waystage.errors import WaystageError
from waystage.people import rights_of
from waystage.registry import load_catalog
from waystage.spec.load import ProjectFiles, load_project
from waystage.spec.project import RIGHTS
from waystage.store import DatabaseError, reading_only, rooted
from waystage.store.codec import instant, micros
from waystage.store.condition import Condition, condition, file_of, room
from waystage.store.shapes import STEPS

if TYPE_CHECKING:
    from waystage.plugin import Plugin

Level: TypeAlias = Literal["good", "note", "wrong"]
LATE = timedelta(minutes=5)
SKEW = timedelta(seconds=5)
TIGHT_BYTES, FULL_BYTES = 2 << 30, 200 << 20
BIG_LOG_BYTES = 1 << 30
HERE = "doctor looks it up from this shell: set here what the daemon is started with"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was looked at."""

    area: str
    level: Level
    said: str
    cure: str = ""


def examine(root: Path) -> Iterator[Found]:
    """Look at a project and all that it is built on; nothing is changed, nothing is sent."""
    try:
        files = load_project(root)
    except WaystageError as error:
        yield Found("files", "wrong", str(error), "waystage validate")
        return
    catalog: Mapping[str, type[Plugin]] = {}
    for look in (_database, _directories, _people):
        yield from _guarded(look, files)
    try:
        catalog = load_catalog(files.project.spec.plugins)
        yield Found("plugins", "good", f"{len(catalog)} plugins are loaded")
    except WaystageError as error:
        cure = "mend the installation, or plugins: in waystage.yaml"
        yield Found("plugins", "wrong", str(error), cure)
        return
    yield from _files(files, catalog)
    yield from _connections(files, catalog)


def _guarded(
    look: Callable[[ProjectFiles], Iterator[Found]], files: ProjectFiles
) -> Iterator[Found]:
    try:
        yield from look(files)
    except (OSError, WaystageError) as error:
        yield Found(look.__name__.strip("_"), "wrong", str(error), "see the text")


def _files(files: ProjectFiles, catalog: Mapping[str, type[Plugin]]) -> Iterator[Found]:
    errors = [p for p in check_project(files, catalog) if p.severity == "error"]
    for problem in errors:
        yield Found("files", "wrong", f"{problem} [{problem.code}]", "waystage validate")
    if not errors:
        count = len(files.lifecycles)
        yield Found("files", "good", f"{count} lifecycles and {len(files.stages)} stages hold")


def _database(files: ProjectFiles) -> Iterator[Found]:
    url = rooted(files.project.spec.database, files.root)
    file = file_of(url)
    if file is not None:
        yield from _disk(file)
        if not file.is_file():
            yield Found("database", "note", f"{file.name} is not there yet", "waystage up makes it")
            return
    reader = reading_only(url)
    try:
        now, wall = micros(SystemClock().now()), int(wall_seconds() * 1e6)
        found = condition(reader.engine, now, wall, LATE // timedelta(microseconds=1))
    except DatabaseError as error:
        reason = str(error.orig or error).splitlines()[0]
        cure = "waystage restore BACKUP" if file else "start the server; look at database: and PG…"
        yield Found("database", "wrong", f"it cannot be read: {reason}", cure)
        return
    finally:
        reader.close()
    yield from _state(found)
    yield from _clocks(found, files)
    yield from _claims(found)
    yield from _others(found)
    yield from _deployments(found)


def _state(found: Condition) -> Iterator[Found]:
    for wrong in found.damage:
        yield Found("database", "wrong", f"it is damaged: {wrong}", "waystage restore BACKUP")
    if found.version is None:
        yield Found("database", "note", "it has no tables yet", "waystage up makes them")
    elif not found.known and found.server and found.ahead == STEPS:
        text = f"schema {found.version} is one step newer than this version's, which goes on"
        yield Found("database", "note", text, "upgrade this one too")
    elif not found.known:
        text = f"schema {found.version} is of a newer Waystage"
        yield Found("database", "wrong", text, "upgrade, or restore a backup")
    elif not found.current:
        text = f"schema {found.version} is older than this version's"
        yield Found("database", "note", text, "waystage backup FILE; the next start changes it")
    elif not found.damage:
        what = f"PostgreSQL {found.server}" if found.server else "SQLite, whole"
        yield Found("database", "good", f"{what}, schema {found.version}")
    if found.journal and found.journal != "wal":
        text = f"its journal is {found.journal}, not wal"
        yield Found("database", "wrong", text, "start the daemon once on a local disk")


def _disk(file: Path) -> Iterator[Found]:
    free, part = room(file)
    said = f"{free / 1e9:.1f} GB are free ({part:.0%})"
    if free < FULL_BYTES:
        yield Found("disk", "wrong", said, "make room: waystage purge, or a bigger disk")
    elif free < TIGHT_BYTES:
        yield Found("disk", "note", said, "make room before it is full")
    else:
        yield Found("disk", "good", said)
    log = file.with_name(file.name + "-wal")
    if log.exists() and log.stat().st_size > BIG_LOG_BYTES:
        text = f"{log.name} has {log.stat().st_size / 1e9:.1f} GB: something reads for very long"
        yield Found("disk", "note", text, "end long readers (sqlite3 shells, copies that hang)")


def _clocks(found: Condition, files: ProjectFiles) -> Iterator[Found]:
    now = SystemClock().now()
    if found.server_at is not None and abs(now - instant(found.server_at)) > SKEW:
        text = f"the database's clock differs by {abs(now - instant(found.server_at))}"
        yield Found("clocks", "wrong", text, "let both machines follow the same time servers")
    turned = files.root / ".waystage/clock.json"
    if turned.exists():
        text = "the project lives by a clock that was turned by hand"
        yield Found("clocks", "note", text, "for a demo alone; production takes `waystage up`")
    elif found.newest is not None and instant(found.newest) > now + SKEW:
        text = f"a run was changed at {instant(found.newest):%Y-%m-%d %H:%M} UTC, which is to come"
        yield Found("clocks", "wrong", text, "set the machine's clock; timers would fire late")
    else:
        yield Found("clocks", "good", f"it is {now:%Y-%m-%d %H:%M:%S} UTC")
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        yield Found("clocks", "wrong", "time zones are not known", "pip install tzdata")


def _claims(found: Condition) -> Iterator[Found]:
    dead = dead_ones(found.owners)
    if dead:
        text = f"{len(dead)} daemons of this machine died while they called steps"
        yield Found("leases", "note", text, "waystage up takes their steps up")
    if found.stuck:
        text = f"{found.stuck} steps are held by daemons that no longer renew their leases"
        yield Found("leases", "note", text, "any daemon takes them up; is one running?")
    if found.overdue:
        text = f"{found.overdue} steps are overdue by more than {LATE} and nobody calls them"
        yield Found("leases", "wrong", text, "waystage up; if one runs, look at its log")
    if not (dead or found.stuck or found.overdue):
        yield Found("leases", "good", "no step is left behind")


def _deployments(found: Condition) -> Iterator[Found]:
    """Tell what did not run as it was deployed when a daemon looked last."""
    for service, snapshot, stage, state in found.astray:
        level: Level = "note" if state == "unknown" else "wrong"
        text = f"{service}: {snapshot} in {stage} is {state}"
        yield Found("inventory", level, text, "waystage drift")
    if found.known and not found.astray:
        yield Found("inventory", "good", "what was looked at runs as it was deployed")


def _others(found: Condition) -> Iterator[Found]:
    """Tell the daemons that share the database, and what lies between it and them."""
    versions = sorted({f"{each.version} (schema {each.knows})" for each in found.daemons})
    if len(versions) > 1:
        text = f"daemons of {len(versions)} versions are at work: {', '.join(versions)}"
        yield Found("daemons", "note", text, "end the older ones when the newer ones do well")
    elif found.daemons:
        yield Found("daemons", "good", f"{len(found.daemons)} at work, {versions[0]}")
    pooling = found.pooling
    if pooling.loses:
        text = "the pooler's sessions have synchronous_commit = off: a crash would lose commits"
        yield Found("pooler", "wrong", text, "ALTER ROLE … SET synchronous_commit = on")
    elif pooling.mode == "transaction":
        text = "a pooler in transaction mode: daemons do not wake each other, they look each second"
        cure = "connect directly or in session mode, where a second matters"
        yield Found("pooler", "note", text, cure)
        if pooling.idle_timeout == "0":
            text = "a daemon that hangs in a transaction may hold the others up for long"
            cure = "ALTER ROLE … SET idle_in_transaction_session_timeout = '15s'"
            yield Found("pooler", "note", text, cure)
    elif pooling.mode == "session":
        yield Found("pooler", "good", "one in session mode")


def _directories(files: ProjectFiles) -> Iterator[Found]:
    state = files.root / ".waystage"
    if not state.exists():
        yield Found("directories", "note", ".waystage is not there yet", "waystage up makes it")
        return
    mode = stat.S_IMODE(state.stat().st_mode)
    if mode & 0o077:
        text = f".waystage is open to others ({mode:04o})"
        yield Found("directories", "wrong", text, f"chmod 700 {state}")
    elif not os.access(state, os.W_OK | os.X_OK):
        yield Found("directories", "note", ".waystage is another user's", "run it as the daemon")
    else:
        yield Found("directories", "good", ".waystage is the daemon's alone")
    yield from _address(state / "daemon.json")


def _address(file: Path) -> Iterator[Found]:
    if not file.exists():
        yield Found("daemon", "note", "no daemon runs here", "waystage up")
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        text = f"daemon.json has the owner's token and others may read it ({mode:04o})"
        yield Found("daemon", "wrong", text, f"chmod 600 {file}; then start the daemon anew")
    try:
        pid = json.loads(file.read_text())["pid"]
        os.kill(pid, 0)
        yield Found("daemon", "good", f"process {pid} is at work")
    except ProcessLookupError:
        yield Found("daemon", "wrong", f"process {pid} died without a word", "waystage up")
    except PermissionError:
        yield Found("daemon", "note", "the daemon is another user's", "ask as that user")
    except (ValueError, KeyError, TypeError):
        yield Found("daemon", "wrong", "daemon.json cannot be read", "start the daemon anew")


def _people(files: ProjectFiles) -> Iterator[Found]:
    project = files.project.spec
    for right in RIGHTS:
        if not any(right in rights_of(project, person) for person in project.people):
            cure = f"give a role of someone `{right}` in waystage.yaml"
            yield Found("people", "wrong", f"nobody may {right}", cure)
    for person, told in project.people.items():
        if not told.roles:
            yield Found("people", "note", f"{person} has no role and only looks", "")
    if project.on_behalf and len(project.people) > 1:
        text = "whoever runs the daemon may act as other people"
        yield Found("people", "note", text, "on_behalf: false, where four eyes must hold")
    if project.notify_channel is None:
        text = "nobody is told of incidents, reminders and escalations"
        yield Found("people", "note", text, "notify_channel: in waystage.yaml")
    else:
        yield Found("people", "good", f"{len(project.people)} people are listed")


def _connections(files: ProjectFiles, catalog: Mapping[str, type[Plugin]]) -> Iterator[Found]:
    state = files.root / ".waystage"
    connections = Connections(files, catalog, SystemClock(), state)
    try:
        for name, use, settings in connected(files):
            with _overheard() as warnings:
                unknown = list(_secrets(connections, settings))
                asked = [each for each in _asked(connections, use, settings) if each not in unknown]
            problems = [*unknown, *asked]
            for problem in problems:
                here = problem in unknown and problem.startswith("secret env/")
                yield Found(
                    name, "wrong", problem, HERE if here else f"see `waystage plugins {use}`"
                )
            for warning in warnings:
                yield Found(name, "wrong", warning, "see the text")
            if not problems and not warnings:
                yield Found(name, "good", use)
    finally:
        connections.close()


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """Collect what plugins warn of, for example a secret's file that everybody may read."""
    heard: list[str] = []
    log, handler = logging.getLogger("waystage.plugins"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]  # one line instead of a class
    before, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield heard
    finally:
        log.removeHandler(handler)
        log.propagate = before


def connected(files: ProjectFiles) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give name, plugin and settings of everything that the project is connected to."""
    project = files.project.spec
    for each in project.repositories:
        yield f"repository {each.name}", each.use, each.with_
    if project.scoring_log is not None:
        settings = dict(project.scoring_log.with_)
        if isinstance(settings.get("path"), str):
            settings["path"] = str(files.root / settings["path"])
        yield "scoring log", project.scoring_log.use, settings
    for place in project.connections:
        yield f"connection {place.name}", place.use, place.with_
    for name, channel in project.channels.items():
        yield f"channel {name}", channel.use, channel.with_
    for name, signer in project.signers.items():
        yield f"signer {name}", signer.use, signer.with_
    for stage, loaded in files.stages.items():
        for runtime in loaded.spec.runtimes:
            yield f"runtime {stage}/{runtime.name}", runtime.use, runtime.with_


def _secrets(connections: Connections, settings: Any) -> Iterator[str]:
    """Look up every secret that the settings name; its text is thrown away."""
    if isinstance(settings, dict):
        reference = settings.get("secret")
        if set(settings) == {"secret"} and isinstance(reference, str):
            try:
                connections.secret(reference)
            except Exception as error:  # noqa: BLE001  # a secret store may raise anything
                yield str(error)
            return
        settings = list(settings.values())
    for part in settings if isinstance(settings, list) else ():
        yield from _secrets(connections, part)


def _asked(connections: Connections, use: str, settings: Mapping[str, Any]) -> list[str]:
    from waystage.plugin import Plugin

    try:
        return connections.build(use, settings, Plugin).diagnose(connections)
    except Exception as error:  # noqa: BLE001  # a plugin may raise anything
        return [str(error) or type(error).__name__]
