"""The batch runtime `docker.job`: one container for each job."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Literal
from uuid import uuid4

from pydantic import Field

from waystage.clock import wall_seconds
from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    BatchRuntime,
    Context,
    DeploySpec,
    Job,
    JobStatus,
    JsonObject,
    Services,
    Wanted,
)
from waystage_plugins.images.login import Login
from waystage_plugins.repositories.layout import locked
from waystage_plugins.runtimes import submitted
from waystage_plugins.runtimes.docker.job_containers import JobContainers, job_containers
from waystage_plugins.runtimes.docker.job_files import (
    HOME,
    OUTPUT,
    SHARE,
    only_file,
    pack,
    seen_as,
    unpack,
)
from waystage_plugins.runtimes.docker.settings import DockerPlace
from waystage_plugins.runtimes.files import last_lines, read_json, write_json
from waystage_plugins.runtimes.job_words import filled, score_job, variable
from waystage_plugins.runtimes.kubernetes.names import KEY, MANAGED, OWNER, plain, short_hash

Thing = dict[str, Any]
JOB, STARTED, CANCELLED = "container.json", "started.json", "cancelled.json"
ENDED, CLEARED = "ended.json", "cleared.json"
LOG = "log.txt"
MARK = "waystage.dev/mark"
LOG_LINES = 2_000  # that are kept of a job that has ended
NAME = r"ws-[a-z0-9-]{1,100}"
KILLED = 137


class DockerJob(DockerPlace, BatchRuntime):
    """Run jobs as containers of a Docker engine, never two for one key.

        - use: docker.job
          with:
            image: r.io/job@sha256:7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730
            limits: {cpus: 2, memory: 4g}
            seconds: 3600

    Inputs and outputs are copied, so the engine may be on another machine. A container has no
    network unless `network` names one, no capabilities, a root file system that it cannot write
    to, and is taken away when it has ended. The image has Python, and Waystage where snapshots
    are to be scored. Needs `waystage[docker]`.
    """

    use: ClassVar[str] = "docker.job"
    capabilities: ClassVar[frozenset[str]] = frozenset({"logs"})

    image: str = Field(
        pattern=r"^(\S+@)?sha256:[0-9a-f]{64}$", json_schema_extra={"format": "image"}
    )
    login: Login | None = Field(default=None, description="as whom the image is pulled")
    seconds: int | None = Field(default=None, ge=1, description="longest time of a job")
    network: str = Field(default="none", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    restart: Literal["no"] = Field(default="no", description="the next attempt is a new container")

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the engine answers."""
        try:
            with job_containers(self.engine) as engine:
                engine.find("waystage-is-it-there")
        except (Hopeless, Retryable) as error:
            return [str(error)]
        return []

    def forget(self, ctx: Services, runs: Collection[str]) -> None:
        """Take away the runs' containers and files, except of a job that is still at work."""
        for place in (ctx.state / "jobs").glob("ws-*/"):
            told = read_json(place / JOB)
            if str(told.get("key", "")).partition("/")[0] not in runs:
                continue
            if self.poll(ctx, {"name": place.name}).phase not in ("pending", "running"):
                shutil.rmtree(place, ignore_errors=True)

    def submit(self, ctx: Context, job: Job, *, key: str) -> JsonObject:
        """Start the container once per key, also when it was cancelled or removed meanwhile."""
        # projects that share an engine may have runs of one name
        here = str(ctx.state.resolve())
        name = f"ws-{plain(job.name, 30)}-{short_hash(self.owner, here, key, length=16)}"
        place = ctx.state / "jobs" / name
        place.mkdir(parents=True, exist_ok=True)
        submitted.remember(self, ctx, {"name": name}, key)
        with locked(place / "submit.lock"):
            if not any((place / each).exists() for each in (ENDED, CANCELLED)):
                if not (place / JOB).exists():
                    write_json(place / JOB, {"key": key, "mark": uuid4().hex})
                with job_containers(self.engine, lambda: ctx.cancelled) as engine:
                    self._start(ctx, engine, job, place)
        return {"name": name}

    def poll(self, ctx: Services, ref: JsonObject) -> JobStatus:
        """Say how far the job is; take what it wrote, and its container away, once it ended."""
        place = _place(ctx, ref)
        if not (place / JOB).exists():
            return JobStatus(phase="absent", message="there is no such job")
        with locked(place / "submit.lock"):
            if not (place / ENDED).exists():
                with job_containers(self.engine) as engine:
                    status = self._look(engine, place)
                if status is not None:
                    return status
            elif not (place / CLEARED).exists():  # the daemon died before it took it away
                with job_containers(self.engine) as engine:
                    self._clear(engine, place)
        return _ended(read_json(place / ENDED))

    def outputs(self, ctx: Services, ref: JsonObject) -> Path:
        """Give the directory with what the job wrote."""
        return _place(ctx, ref) / OUTPUT

    def cancel(self, ctx: Services, ref: JsonObject) -> None:
        """End the container: asked first, killed some seconds later."""
        place = _place(ctx, ref)
        if not (place / JOB).exists():
            return
        with locked(place / "submit.lock"):
            if not (place / ENDED).exists():
                write_json(place / CANCELLED, {"at": ctx.now.isoformat()})
                with job_containers(self.engine) as engine:
                    self._close(engine, place, None, "it was cancelled")

    def logs(self, ctx: Services, ref: JsonObject, lines: int = 50) -> str:
        """Give the last lines of what the job printed."""
        place = _place(ctx, ref)
        if (place / ENDED).exists() or not (place / JOB).exists():
            return last_lines(place / LOG, lines)
        with job_containers(self.engine) as engine:
            return engine.logs(place.name, lines)

    def end_unwanted(self, ctx: Services, wanted: Wanted) -> list[str]:
        """End the jobs that nobody waits for any more."""
        return submitted.end_unwanted(self, ctx, wanted)

    def score_command(self, spec: DeploySpec, rows: str) -> Job:
        """Give the job that scores a JSON-lines file with the snapshot."""
        return score_job(spec, rows)

    def _start(self, ctx: Context, engine: JobContainers, job: Job, place: Path) -> None:
        live = self._ours(engine, place)
        if (place / STARTED).exists() and (live is None or live["State"]["Status"] != "created"):
            return  # this key has had its container, also if somebody removed it
        try:
            if live is None:
                self._make(ctx, engine, job, place)
            self._fill(ctx, engine, job, place)
        except Exception:
            with suppress(Exception):  # nothing has run: the key may be used once it is mended
                self._remove(engine, place)
            raise
        write_json(place / STARTED, {"at": wall_seconds()})
        self._begin(engine, place)

    def _make(self, ctx: Context, engine: JobContainers, job: Job, place: Path) -> None:
        login = self.login.credentials(ctx) if self.login else None
        image = engine.image(self.image, login).id
        engine.volume(place.name, self._labels(place))
        engine.create(place.name, image, self._told(ctx, job, place))

    def _fill(self, ctx: Context, engine: JobContainers, job: Job, place: Path) -> None:
        archive = place / "inputs.tar"
        try:
            pack({plain(k): ctx.project / path for k, path in job.inputs.items()}, archive)
            engine.put(place.name, HOME, archive)
        finally:
            archive.unlink(missing_ok=True)

    def _begin(self, engine: JobContainers, place: Path) -> None:
        """Have the container run; one that cannot is a job that failed, not one to wait for."""
        import docker.errors

        try:
            engine.start(place.name)
        except docker.errors.APIError as error:
            if error.is_server_error() and "executable" not in str(error.explanation):
                raise
            said = " ".join(str(error.explanation).split())[:300]
            self._close(engine, place, 127, f"it could not be started: {said}")

    def _told(self, ctx: Context, job: Job, place: Path) -> Thing:
        inputs = {
            variable(label): seen_as(plain(label), ctx.project / path)
            for label, path in job.inputs.items()
        }
        own = {"WAYSTAGE_OUTPUT": f"{HOME}/{OUTPUT}", "WAYSTAGE_PROGRESS": SHARE}
        environment = {"HOME": "/tmp", **job.environment, **inputs, **own}  # noqa: S108  # in the container
        mounts = [{"Type": "volume", "Source": place.name, "Target": HOME, "ReadOnly": False}]
        return {
            "command": [filled(word, environment) for word in job.command],
            "entrypoint": [],
            "environment": environment,
            "labels": self._labels(place),
            "user": self.user,
            "working_dir": HOME,
            "host": {**self.hardened(), "mounts": [*mounts, *self.mounted()]},
        }

    def _labels(self, place: Path) -> dict[str, str]:
        told = read_json(place / JOB)
        return MANAGED | {OWNER: self.owner, KEY: told["key"], MARK: told["mark"]}

    def _look(self, engine: JobContainers, place: Path) -> JobStatus | None:
        """Say how far it is; None when it has ended, and what there is to know is on disk."""
        live = self._ours(engine, place)
        if live is None and not (place / STARTED).exists():
            return JobStatus(phase="absent", message="it was never started: submit it again")
        if live is None:
            self._close(engine, place, None, "its container is gone: somebody removed it")
            return None
        state = live["State"]
        if (place / CANCELLED).exists():
            self._close(engine, place, None, "it was cancelled")
        elif state["Status"] == "created":
            return JobStatus(phase="pending", message="its container is being made")
        elif state["Running"] and self._too_long(place):
            self._close(engine, place, None, f"it ran longer than the {self.seconds} s it may take")
        elif state["Running"]:
            return self._running(engine, place)
        else:
            self._take(engine, place, state)
        return None

    def _running(self, engine: JobContainers, place: Path) -> JobStatus:
        share = None
        with suppress(ValueError):
            share = float(only_file(engine.get(place.name, SHARE)) or "nothing")
        return JobStatus(
            phase="running",
            message=engine.logs(place.name, 1)[:500],
            progress=share if share is not None and 0 <= share <= 1 else None,
        )

    def _take(self, engine: JobContainers, place: Path, state: Thing) -> None:
        """Keep what a container that ended leaves, then take it away."""
        code, last = int(state["ExitCode"]), engine.logs(place.name, 1)[:400]
        line = last or state.get("Error") or "it printed nothing"
        if code == 0:
            try:
                unpack(engine.get(place.name, f"{HOME}/{OUTPUT}"), place / OUTPUT)
            except Hopeless as error:
                self._close(engine, place, None, str(error))
                return
        if state.get("OOMKilled"):
            line = f"out of memory: limits: {{memory: {self.limits.memory}}} is too little; {line}"
        elif code == KILLED:
            line = f"killed, by somebody or with its engine; {line}"
        self._close(engine, place, code, f"exit code {code}: {line}" if code else "")

    def _close(self, engine: JobContainers, place: Path, code: int | None, why: str) -> None:
        """Write down how it ended, and leave nothing of it in the engine."""
        live = self._ours(engine, place)
        if live is not None and live["State"].get("Running"):
            engine.stop(place.name)
        (place / LOG).write_text(engine.logs(place.name, LOG_LINES))
        write_json(place / ENDED, {"code": code, "why": why[:500]})
        self._clear(engine, place)

    def _clear(self, engine: JobContainers, place: Path) -> None:
        self._remove(engine, place)
        write_json(place / CLEARED, {"at": wall_seconds()})

    def _remove(self, engine: JobContainers, place: Path) -> None:
        if self._ours(engine, place) is not None:
            engine.remove(place.name)
        if _is_of(place, engine.volume_labels(place.name)):
            engine.remove_volume(place.name)

    def _ours(self, engine: JobContainers, place: Path) -> Thing | None:
        live = engine.find(place.name)
        if live is not None and not _is_of(place, live["Config"].get("Labels")):
            raise Hopeless(
                f"the engine has a container {place.name} that this daemon did not make: "
                f"remove it, or give owner: another name"
            )
        return live

    def _too_long(self, place: Path) -> bool:
        began = read_json(place / STARTED).get("at", wall_seconds())
        return self.seconds is not None and wall_seconds() - float(began) > self.seconds


def _place(ctx: Services, ref: JsonObject) -> Path:
    name = str(ref.get("name"))
    if not re.fullmatch(NAME, name):
        raise Hopeless(f"{name!r} is no job of this runtime")
    return ctx.state / "jobs" / name


def _is_of(place: Path, labels: Mapping[str, str] | None) -> bool:
    """Whether a container or volume was made for this very directory."""
    return bool((labels or {}).get(MARK) == read_json(place / JOB).get("mark", ""))


def _ended(told: Thing) -> JobStatus:
    if told.get("code") == 0:
        return JobStatus(phase="succeeded", exit_code=0)
    return JobStatus(phase="failed", exit_code=told.get("code"), message=str(told.get("why", "")))
