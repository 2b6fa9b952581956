"""The online runtime `local.serving`: model servers as processes of this machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any, ClassVar

import httpx
from pydantic import Field

from waystage.clock import CLOCK_FILE_VARIABLE
from waystage.errors import Retryable
from waystage.plugin import (
    Context,
    DeploySpec,
    Endpoint,
    Handle,
    JsonObject,
    Observation,
    OnlineRuntime,
    Services,
)
from waystage_plugins.runtimes.holder import (
    alive,
    end,
    exclusive,
    exists,
    last_lines,
    read_json,
    spawn,
    write_json,
)
from waystage_plugins.runtimes.numbers import version_number

SCORING_LOGS = ("scoring_log.sqlite",)


class LocalServing(OnlineRuntime):
    """Serve models on loopback by TensorFlow Serving's REST protocol.

        - name: serving
          use: local.serving
          mode: online
          services: ["*"]
          with: {port: 0}

    One server process per service and stage holds all its versions side by side, so that the
    address stays and a new version takes over without a gap. The process outlives the daemon.
    `port: 0` takes a free port once and keeps it.
    """

    use: ClassVar[str] = "local.serving"
    capabilities: ClassVar[frozenset[str]] = frozenset({"labels", "logs", "in_place_update"})

    port: int = Field(default=0, ge=0, le=65535, description="0: any free port")

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        problems = []
        if spec.snapshot.format != "onnx":
            problems.append(
                f"local.serving serves onnx models, {spec.snapshot.id} is "
                f"{spec.snapshot.format or 'of no stated format'}"
            )
        log = spec.scoring_log or {}
        if log and log.get("use") not in SCORING_LOGS:
            problems.append(f"local.serving cannot write the scoring log {log.get('use')!r}")
        return problems

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        """Add the version to the server's configuration and make sure that the server runs."""
        directory = self._directory(ctx, spec.service, spec.stage)
        directory.mkdir(parents=True, exist_ok=True)
        number = version_number(spec.snapshot.version)
        with exclusive(directory / "apply.lock"):
            _place(Path(spec.source), directory / "models" / str(number))
            config = self._config(directory, spec)
            entry = {"snapshot": spec.snapshot.model_dump(mode="json"), "role": spec.role,
                     "key": ctx.key}  # fmt: skip
            config["versions"] = config["versions"] | {str(number): entry}
            config["labels"] = config["labels"] | {spec.role: number}
            write_json(directory / "config.json", config)
            self._start(directory)
        return Handle(ref={"directory": str(directory), "version": number, "key": ctx.key,
                           "service": spec.service})  # fmt: skip

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        """Say what really runs."""
        directory, number = _parts(handle)
        config = read_json(directory / "config.json")
        if str(number) not in config.get("versions", {}):
            return Observation(phase="absent", reason="absent", message="it is not deployed here")
        if not alive(directory):
            return self._dead(directory)
        server = read_json(directory / "server.json")
        seen = _versions(ctx.http, server.get("port")) if server else None
        if seen is None:
            return Observation(phase="pending", reason="starting", message="the server is starting")
        return _observed(seen, number, _endpoint(server["port"], config["model"]))

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        """Send a real scoring request marked as a probe."""
        directory, number = _parts(handle)
        port = read_json(directory / "server.json").get("port")
        url = f"{_url(port, str(handle.ref['service']))}/versions/{number}:predict"
        try:
            answer = ctx.http.post(url, json={"instances": rows}, headers={"X-Waystage-Probe": "1"})
        except httpx.TransportError as error:
            raise Retryable(f"{url}: {error}") from error
        body = answer.json()
        if answer.status_code != 200:
            raise Retryable(f"{url}: HTTP {answer.status_code}: {body.get('error', '')}")
        predictions: list[JsonObject] = body["predictions"]
        return predictions

    def delete(self, ctx: Services, handle: Handle) -> None:
        """Unload the version; the server ends with its last one."""
        directory, number = _parts(handle)
        if not directory.is_dir():
            return
        with exclusive(directory / "apply.lock"):
            config = read_json(directory / "config.json")
            versions = {n: v for n, v in config.get("versions", {}).items() if n != str(number)}
            if versions:
                labels = {k: n for k, n in config["labels"].items() if n != number}
                write_json(
                    directory / "config.json", config | {"versions": versions, "labels": labels}
                )
                shutil.rmtree(directory / "models" / str(number), ignore_errors=True)
                return
            self._end(directory)
        shutil.rmtree(directory, ignore_errors=True)

    def logs(self, ctx: Services, handle: Handle, lines: int = 50) -> str:
        """Give the last lines of what the server printed."""
        return last_lines(_parts(handle)[0] / "log.txt", lines)

    def _directory(self, ctx: Services, service: str, stage: str) -> Path:
        return ctx.state / "serving" / f"{stage}-{service}"

    def _config(self, directory: Path, spec: DeploySpec) -> dict[str, Any]:
        known = read_json(directory / "config.json")
        port = self.port or read_json(directory / "server.json").get("port") or 0
        return {
            "model": spec.service,
            "service": spec.service,
            "stage": spec.stage,
            "port": port,
            "scoring_log": spec.scoring_log,
            "versions": known.get("versions", {}),
            "labels": known.get("labels", {}),
        }

    def _start(self, directory: Path) -> None:
        if alive(directory):
            return
        failed = read_json(directory / "failed.json")
        if failed and not self.port:
            # a port that was only kept from before may be another's now: take a new one
            config = read_json(directory / "config.json") | {"port": 0}
            write_json(directory / "config.json", config)
        (directory / "failed.json").unlink(missing_ok=True)
        kept = ("PATH", "HOME", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", CLOCK_FILE_VARIABLE)
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        command = [sys.executable, "-m", "waystage_plugins.runtimes.serving", str(directory)]
        write_json(directory / "started.json", {"pid": spawn(
            command, directory, environment, directory / "log.txt")})  # fmt: skip

    def _end(self, directory: Path) -> None:
        pid = read_json(directory / "server.json").get("pid")
        if isinstance(pid, int):
            end(directory, pid)

    def _dead(self, directory: Path) -> Observation:
        failed = read_json(directory / "failed.json")
        if failed:
            text = f"port {failed['port']} on 127.0.0.1 is in use by another process"
            return Observation(phase="failed", reason="port_in_use", message=text)
        pid = read_json(directory / "started.json").get("pid")
        if isinstance(pid, int) and exists(pid):
            return Observation(phase="pending", reason="starting", message="the server is starting")
        last = last_lines(directory / "log.txt", 1) or "it printed nothing"
        text = f"the serving process is gone; its last line: {last}"
        return Observation(phase="failed", reason="died", message=text)


def _place(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    beside = target.with_name(f"{target.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(source, beside, ignore=shutil.ignore_patterns("manifest.yaml"))
    beside.rename(target)


def _parts(handle: Handle) -> tuple[Path, int]:
    return Path(str(handle.ref["directory"])), int(str(handle.ref["version"]))


def _url(port: object, model: str) -> str:
    return f"http://127.0.0.1:{port}/v1/models/{model}"


def _endpoint(port: object, model: str) -> Endpoint:
    return Endpoint(url=_url(port, model))


def _versions(http: httpx.Client, port: object) -> list[dict[str, Any]] | None:
    try:
        answer = http.get(f"http://127.0.0.1:{port}/waystage/versions", timeout=5)
    except httpx.TransportError:
        return None
    found: list[dict[str, Any]] = answer.json()["versions"]
    return found


def _observed(seen: list[dict[str, Any]], number: int, endpoint: Endpoint) -> Observation:
    mine = next((each for each in seen if each["version"] == str(number)), None)
    if mine is None or mine["state"] == "LOADING":
        return Observation(phase="pending", reason="loading", message="the version is loading")
    if mine["state"] != "AVAILABLE":
        text = mine["status"]["error_message"]
        reason = "digest_mismatch" if "digest" in text else "bad_model"
        return Observation(phase="failed", reason=reason, message=text)
    return Observation(
        phase="ready", digest=mine["digest"], endpoints=(endpoint,), generation=mine["key"]
    )
