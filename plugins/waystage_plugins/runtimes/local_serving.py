"""The online runtime `local.serving`: model servers as processes of this machine."""

from __future__ import annotations

import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from waystage.clock import CLOCK_FILE_VARIABLE
from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
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
    PROBE_HEADER,
    SERVER,
    UNLOADABLE,
    Config,
    Entry,
    read_config,
    write_config,
)
from waystage_plugins.runtimes.serving.look import (
    ask,
    await_notice,
    dead,
    model_url,
    observed,
    said,
)

SCORING_LOGS = ("scoring_log.sqlite",)
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH")
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class LocalServing(OnlineRuntime):
    """Serve ONNX models on loopback by TensorFlow Serving's REST protocol.

        - use: local.serving
          with: {port: 8501, threads: 2}

    One server process per service and stage holds all its versions side by side, with the
    labels `champion` and `challenger`, so that the address stays and a new version takes over
    without a gap. The process outlives the daemon. `port: 0` takes a free port and keeps it;
    a fixed port suits a runtime that serves one service.
    """

    use: ClassVar[str] = "local.serving"
    capabilities: ClassVar[frozenset[str]] = frozenset({"labels", "logs", "in_place_update"})

    port: int = Field(default=0, ge=0, le=65535, description="0: any free port")
    threads: int = Field(default=1, ge=1, le=64, description="threads of one scoring request")
    max_log_bytes: int = Field(default=5_000_000, ge=10_000, description="one old log is kept")
    python: str = Field(default="", description="the interpreter; default: the daemon's own")

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        problems = [
            f"{what} {name!r} cannot be part of a server's path"
            for what, name in (("service", spec.service), ("stage", spec.stage))
            if not PLAIN.fullmatch(name)
        ]
        if spec.snapshot.format != "onnx":
            told = spec.snapshot.format or "of no stated format"
            problems.append(f"local.serving serves onnx models, {spec.snapshot.id} is {told}")
        log = (spec.scoring_log or {}).get("use")
        if spec.scoring_log is not None and log not in SCORING_LOGS:
            problems.append(
                f"local.serving writes {' or '.join(SCORING_LOGS)}, not the scoring log {log!r}"
            )
        if not self.python and find_spec("onnxruntime") is None:
            problems.append("onnxruntime is not installed: pip install 'waystage[onnx]'")
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
        """Add the version to what the service's server serves, and make sure that it runs."""
        if problems := self.check(spec):
            raise Hopeless("; ".join(problems))
        directory = _home(ctx) / f"{spec.stage}-{spec.service}"
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory.with_suffix(".lock")):
            config = self._config(ctx, directory, spec)
            number = config.number_of(spec.snapshot)
            _place(Path(spec.source), directory / "models" / str(number), spec)
            entry = Entry(number=number, snapshot=spec.snapshot, role=spec.role, key=ctx.key)
            again = str(number) in read_json(directory / UNLOADABLE)
            self._make_room(directory)
            write_config(directory, config.with_entry(entry, again=again))
            self._start(directory)
        return Handle(
            ref={
                "directory": str(directory), "service": spec.service, "version": number,
                "role": spec.role, "key": ctx.key,
            }
        )  # fmt: skip

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        """Say what really runs."""
        directory, number, role = _parts(ctx, handle)
        config = read_config(directory)
        entry = config.find(number, role) if config else None
        if config is None or entry is None:
            return said("absent", "absent", "it is not deployed here")
        if not alive(directory):
            return dead(directory)
        port = read_json(directory / SERVER).get("port")
        if port is None:
            return said("pending", "starting", "the server is starting")
        seen = ask(ctx, port)
        if seen is None and not alive(directory):
            return dead(directory)
        if seen is None:
            return said("unknown", "no_answer", f"the server on port {port} does not answer")
        return observed(seen, config, entry, port)

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        """Send a real scoring request marked as a probe."""
        import httpx

        directory, number, _ = _parts(ctx, handle)
        port = read_json(directory / SERVER).get("port")
        if port is None or not alive(directory):
            raise Retryable(f"no server runs for {handle.ref['service']}")
        url = f"{model_url(port, str(handle.ref['service']))}/versions/{number}:predict"
        try:
            answer = ctx.http.post(url, json={"instances": rows}, headers={PROBE_HEADER: "1"})
        except httpx.TransportError as error:
            raise Retryable(f"{url}: {error or type(error).__name__}") from error
        if answer.status_code != 200:
            kind = Hopeless if 400 <= answer.status_code < 500 else Retryable
            raise kind(f"{url}: HTTP {answer.status_code}: {answer.text[:500]}")
        return [{"score": each["score"]} for each in answer.json()["predictions"]]

    def delete(self, ctx: Services, handle: Handle) -> None:
        """Unload the version; the server ends with its last one."""
        directory, number, role = _parts(ctx, handle)
        if not directory.is_dir():
            return
        with locked(directory.with_suffix(".lock")):
            config = read_config(directory)
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
        return last_lines(_parts(ctx, handle)[0] / LOG, lines)

    def _config(self, ctx: Services, directory: Path, spec: DeploySpec) -> Config:
        known = read_config(directory) or Config(model=spec.service, stage=spec.stage)
        kept = 0 if known.fixed else read_json(directory / SERVER).get("port") or known.port
        return known.model_copy(
            update={
                "port": self.port or kept,
                "fixed": bool(self.port),
                "threads": self.threads,
                "max_log_bytes": self.max_log_bytes,
                "scoring_log": _absolute(ctx.project, spec.scoring_log),
            }
        )

    def _make_room(self, directory: Path) -> None:
        """End a server that listens at another port than the one that is fixed now."""
        port = read_json(directory / SERVER).get("port")
        if self.port and port not in (None, self.port):
            end(directory)

    def _start(self, directory: Path) -> None:
        if alive(directory):
            return
        for stale in (SERVER, FAILURE):
            (directory / stale).unlink(missing_ok=True)
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        if clock := os.environ.get(CLOCK_FILE_VARIABLE):
            environment[CLOCK_FILE_VARIABLE] = str(Path(clock).absolute())
        # -P: a file beside the models must never pass for one of Python's own
        command = [self.python or sys.executable, "-P", "-m", "waystage_plugins.runtimes.serving"]
        try:
            start(directory, [*command, str(directory)], environment, directory / LOG)
        except FileNotFoundError as error:
            raise Hopeless(f"there is no interpreter {command[0]}") from error


def stop_all(ctx: Services) -> int:
    """End every server that runs below the daemon's directory; what they serve is kept.

    Answers how many ran. The next `apply` for a service starts its server again.
    """
    running = [each for each in _home(ctx).glob("*") if each.is_dir() and alive(each)]
    for directory in running:
        end(directory)
    return len(running)


def _home(ctx: Services) -> Path:
    return ctx.state / "serving"


def _parts(ctx: Services, handle: Handle) -> tuple[Path, int, str]:
    ref = handle.ref
    directory = Path(str(ref["directory"]))
    if directory.parent.resolve() != _home(ctx).resolve():
        raise Hopeless(f"{directory} is not a directory of this daemon's servers")
    return directory, int(str(ref["version"])), str(ref.get("role", "champion"))


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
