"""What online runtimes of this machine share: one process per service and stage."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
import uuid
from abc import abstractmethod
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from waystage.clock import CLOCK_FILE_VARIABLE
from waystage.errors import Hopeless
from waystage.plugin import (
    ELSEWHERE,
    Context,
    DeploySpec,
    Handle,
    JsonObject,
    Observation,
    OnlineRuntime,
    Services,
)
from waystage_plugins.repositories.layout import locked
from waystage_plugins.repositories.tree import copy_tree, difference, tree_digest, tree_files
from waystage_plugins.runtimes.files import last_lines, read_json
from waystage_plugins.runtimes.holder import alive, end, start
from waystage_plugins.runtimes.serving.config import (
    FAILURE,
    LOG,
    SERVER,
    UNLOADABLE,
    Config,
    Entry,
    read_config,
    write_config,
)
from waystage_plugins.runtimes.serving.look import ask, await_notice, dead, gone, said
from waystage_plugins.scoring import SCORING_LOGS

LOGS = tuple(log.use for log in SCORING_LOGS)
KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH"),
    # what PostgreSQL's driver reads, for the scoring log
    *("PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGSSLMODE", "PGSSLROOTCERT"),
)
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
PLACE = "place.id"  # tells one machine's directory from another's with the same path
HOMES = ("serving", "kafka")  # below the daemon's directory, one for each kind of process


class LocalOnline(OnlineRuntime):
    """A process per service and stage that holds all its versions side by side.

    The process follows a file that says what it should hold, and outlives the daemon. The
    latest version of a role takes over once it is loaded, so that there is no gap.
    """

    home: ClassVar[str]  # one of `HOMES`
    program: ClassVar[str]  # the module that the process runs
    written: ClassVar[type[Config]] = Config  # the file's kind
    one_process: ClassVar[bool] = True

    threads: int = Field(default=1, ge=1, le=64, description="threads of one scoring request")
    memory_mb: int | None = Field(
        default=None, ge=256, description="limit of the process's address space, for all versions"
    )
    max_log_bytes: int = Field(default=5_000_000, ge=10_000, description="one old log is kept")
    python: str = Field(default="", description="the interpreter; default: the daemon's own")
    restart: Literal["always", "never"] = Field(
        default="always", description="whether a process that died is started again"
    )

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        problems = [
            f"{what} {name!r} cannot be part of a server's path"
            for what, name in (("service", spec.service), ("stage", spec.stage))
            if not PLAIN.fullmatch(name)
        ]
        if spec.snapshot.format != "onnx":
            told = spec.snapshot.format or "of no stated format"
            problems.append(f"{self.use} serves onnx models, {spec.snapshot.id} is {told}")
        log = (spec.scoring_log or {}).get("use")
        if spec.scoring_log is not None and log not in LOGS:
            problems.append(f"{self.use} writes {' or '.join(LOGS)}, not the scoring log {log!r}")
        if not self.python and find_spec("onnxruntime") is None:
            problems.append("onnxruntime is not installed: pip install 'waystage[onnx]'")
        wanted = {each.protocol for each in spec.endpoints}
        problems += [f"{self.use} does not speak {e}" for e in sorted(wanted - self.speaks())]
        return problems

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether what the servers run on is installed."""
        if self.python:
            good = os.access(self.python, os.X_OK)
            return [] if good else [f"python: {self.python} is no program"]
        if find_spec("onnxruntime") is None:
            return ["onnxruntime is not installed: pip install 'waystage[onnx]'"]
        return []

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        """Add the version to what the service's process holds, and make sure that it runs."""
        return self._hold(ctx, spec, ctx.key, latest=True)

    def restore(self, ctx: Context, spec: DeploySpec, handle: Handle, *, serves: bool) -> Handle:
        """Make sure of what is held already, in its place; start the process again if it died."""
        known = None
        if self._is_here(ctx, handle):
            directory, number, role = self._parts(ctx, handle)
            config = read_config(directory, self.written)
            known = config.find(number, role) if config else None
        return self._hold(ctx, spec, known.key if known else ctx.key, latest=serves)

    def _hold(self, ctx: Context, spec: DeploySpec, key: str, *, latest: bool) -> Handle:
        if problems := self.check(spec):
            raise Hopeless("; ".join(problems))
        directory = _home(ctx, self.home) / f"{spec.stage}-{spec.service}"
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory.with_suffix(".lock")):
            known = read_config(directory, self.written)
            config = self._config(ctx, directory, known, spec)
            number = config.number_of(spec.snapshot)
            _place(Path(spec.source), directory / "models" / str(number), spec)
            entry = Entry(number=number, snapshot=spec.snapshot, role=spec.role, key=key)
            again = str(number) in read_json(directory / UNLOADABLE)
            self._make_room(ctx, directory, known, config)
            write_config(directory, config.with_entry(entry, again=again, latest=latest))
            self._start(ctx, directory)
        return Handle(
            ref={
                "directory": str(directory), "service": spec.service, "version": number,
                "role": spec.role, "key": key, "place": place_id(ctx.state, make=True),
            }
        )  # fmt: skip

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        """Say what really runs."""
        if not self._is_here(ctx, handle):
            text = f"it was started in {handle.ref['directory']}, which is not this daemon's"
            return gone(said("unknown", ELSEWHERE, text), restart=self.restart == "always")
        directory, number, role = self._parts(ctx, handle)
        config = read_config(directory, self.written)
        entry = config.find(number, role) if config else None
        if config is None or entry is None:
            return said("absent", "absent", "it is not deployed here")
        if not alive(directory):
            return dead(directory, restart=self.restart == "always")
        port = read_json(directory / SERVER).get("port")
        if port is None:
            return said("pending", "starting", "the server is starting")
        seen = ask(ctx, port)
        if seen is None and not alive(directory):
            return dead(directory, restart=self.restart == "always")
        if seen is None:
            return said("unknown", "no_answer", f"the server on port {port} does not answer")
        return self._judged(ctx, handle, seen, config, entry)

    def delete(self, ctx: Services, handle: Handle) -> None:
        """Unload the version; the server ends with its last one."""
        directory, number, role = self._parts(ctx, handle)
        if not directory.is_dir():
            return
        with locked(directory.with_suffix(".lock")):
            config = read_config(directory, self.written)
            if config and config.find(number, role):
                config = config.without(number, role)
                write_config(directory, config)
            if config is None or not config.entries:
                end(directory)
                shutil.rmtree(directory, ignore_errors=True)
                return
            await_notice(ctx, directory, config.revision)
            if number not in config.numbers:
                shutil.rmtree(directory / "models" / str(number), ignore_errors=True)

    def logs(self, ctx: Services, handle: Handle, lines: int = 50) -> str:
        """Give the last lines of what the server printed."""
        return last_lines(self._parts(ctx, handle)[0] / LOG, lines)

    @abstractmethod
    def _settings(
        self, ctx: Context, directory: Path, known: Config | None, spec: DeploySpec
    ) -> dict[str, Any]:
        """Give what the file says beside what all kinds have in it."""

    @abstractmethod
    def _judged(
        self, ctx: Services, handle: Handle, seen: dict[str, Any], config: Any, entry: Entry
    ) -> Observation:
        """Say how a deployment fares by what its process told."""

    def _make_room(
        self, ctx: Services, directory: Path, known: Config | None, wanted: Config
    ) -> None:
        """End a process that cannot follow to the new settings."""

    def _told(self, ctx: Services) -> bytes:
        """Give what the process is told at its start, and nowhere else."""
        return b""

    def _config(
        self, ctx: Context, directory: Path, known: Config | None, spec: DeploySpec
    ) -> Config:
        shared: dict[str, Any] = {
            "threads": self.threads,
            "memory_mb": self.memory_mb,
            "max_log_bytes": self.max_log_bytes,
            "scoring_log": _absolute(ctx.project, spec.scoring_log),
            **self._settings(ctx, directory, known, spec),
        }
        if known is None:
            return self.written(model=spec.service, stage=spec.stage, **shared)
        return known.model_copy(update=shared)

    def _start(self, ctx: Services, directory: Path) -> None:
        if alive(directory):
            return
        for stale in (SERVER, FAILURE):
            (directory / stale).unlink(missing_ok=True)
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        if clock := os.environ.get(CLOCK_FILE_VARIABLE):
            environment[CLOCK_FILE_VARIABLE] = str(Path(clock).absolute())
        # -P: a file beside the models must never pass for one of Python's own
        command = [self.python or sys.executable, "-P", "-m", self.program, str(directory)]
        try:
            start(directory, command, environment, directory / LOG, told=self._told(ctx))
        except FileNotFoundError as error:
            raise Hopeless(f"there is no interpreter {command[0]}") from error

    def _parts(self, ctx: Services, handle: Handle) -> tuple[Path, int, str]:
        ref = handle.ref
        directory = Path(str(ref["directory"]))
        if not self._is_here(ctx, handle):
            raise Hopeless(f"{directory} is not a directory of this daemon's servers")
        return directory, int(str(ref["version"])), str(ref.get("role", "champion"))

    def _is_here(self, ctx: Services, handle: Handle) -> bool:
        """Whether what a handle stands for is this daemon's; machines may have equal paths."""
        home, parent = _home(ctx, self.home), Path(str(handle.ref["directory"])).parent
        told = handle.ref.get("place")
        return parent.resolve() == home.resolve() and told in (None, place_id(ctx.state))


def stop_all(ctx: Services) -> int:
    """End every process that runs below the daemon's directory; what they serve is kept.

    Answers how many ran. The next `apply` for a service starts its process again.
    """
    places = [place for home in HOMES for place in _home(ctx, home).glob("*")]
    running = [each for each in places if each.is_dir() and alive(each)]
    for directory in running:
        end(directory)
    return len(running)


def _home(ctx: Services, home: str) -> Path:
    return ctx.state / home


def place_id(state: Path, *, make: bool = False) -> str:
    """Give what the daemon's directory is known by; nothing if nothing ever ran below it."""
    if make:
        beside = state / f"{PLACE}.{os.getpid()}.{threading.get_ident()}"
        beside.write_text(uuid.uuid4().hex)
        with suppress(FileExistsError):  # the first one stays
            os.link(beside, state / PLACE)
        beside.unlink()
    try:
        return (state / PLACE).read_text()
    except FileNotFoundError:
        return ""


def _place(source: Path, target: Path, spec: DeploySpec) -> None:
    """Put the snapshot's files where the server loads them, unless they are there."""
    if target.is_dir() and tree_digest(tree_files(target)) == spec.snapshot.digest:
        return
    beside = target.with_name(f"{target.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    files = copy_tree(source, beside)
    if tree_digest(files) != spec.snapshot.digest:
        shutil.rmtree(beside)
        told = difference(spec.snapshot.files, files) if spec.snapshot.files else ""
        raise Hopeless(f"{source} does not hold {spec.snapshot.id}: {told or 'another digest'}")
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)


def _absolute(project: Path, log: JsonObject | None) -> JsonObject | None:
    """Make the log's path hold also where the server's process runs."""
    settings = (log or {}).get("with")
    if log is None or not isinstance(settings, dict) or not isinstance(settings.get("path"), str):
        return log
    path = str((project / str(settings["path"])).absolute())
    return {**log, "with": {**settings, "path": path}}
