"""The batch runtime `spark.submit`: Python programs as Spark applications."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from waystage.clock import wall_seconds
from waystage.errors import Hopeless
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
from waystage_plugins.repositories.layout import locked
from waystage_plugins.runtimes import submitted
from waystage_plugins.runtimes.files import last_lines, read_json, read_share, write_json
from waystage_plugins.runtimes.job_words import filled, score_job, variable
from waystage_plugins.runtimes.kubernetes.cluster import LABEL
from waystage_plugins.runtimes.kubernetes.names import plain, short_hash
from waystage_plugins.runtimes.local_process import LocalProcess
from waystage_plugins.runtimes.shared_files import SharedFiles
from waystage_plugins.runtimes.spark import driver_script
from waystage_plugins.runtimes.spark.driver_script import (
    ALIVE,
    APPLICATION,
    CANCELLED,
    CLAIMED,
    ENDED,
    JOB,
    LOG,
)
from waystage_plugins.runtimes.spark.master import OVER, Master, tasks_done

OUTPUT, PROGRESS, SUBMITTED, SCRIPT = "output", "progress.txt", "submitted.json", "driver.py"
SILENT_SECONDS = 60.0  # after which a driver that the master does not know counts as dead
NAME = r"ws-[a-z0-9-]{1,100}"


class SparkSubmit(BatchRuntime):
    """Run Python programs as Spark applications, never twice for one key.

        - use: spark.submit
          with:
            master: spark://spark.example:7077
            rest: http://spark.example:6066
            directory: /srv/waystage-spark
            conf: {spark.executor.memory: 2g}
            seconds: 3600

    With `rest` a standalone master starts the driver on one of its workers, by its REST
    submission protocol; without, `program` (`spark-submit`) starts it on the daemon's machine,
    for any `master`. The daemon and the drivers share `directory`, which they may see under
    another path, `mount`. A job's command begins with `python`, and its program gets its session
    by `SparkSession.builder.getOrCreate()`.
    """

    use: ClassVar[str] = "spark.submit"
    capabilities: ClassVar[frozenset[str]] = frozenset({"logs"})

    master: str = Field(min_length=1, max_length=1000, pattern=r"^\S+$")
    rest: str = Field(default="", max_length=500, pattern=r"^(https?://[^\s/]+/?)?$")
    program: str = Field(default="spark-submit", min_length=1, max_length=1000)
    directory: str = Field(default="", description="default: in the daemon's own directory")
    mount: str = Field(default="", pattern=r"^(/\S*)?$", description="default: as the daemon")
    python: str = Field(default="python3", description="the interpreter of driver and executors")
    conf: dict[str, str] = Field(default={}, description="Spark's settings; no secrets")
    environment: tuple[str, ...] = Field(
        default=("JAVA_HOME", "SPARK_HOME", "SPARK_CONF_DIR", "HADOOP_CONF_DIR", "SPARK_LOCAL_IP"),
        description="variables passed on to `program`",
    )
    owner: str = Field(default="waystage", pattern=LABEL, description="part of jobs' names")
    seconds: int | None = Field(default=None, ge=1, description="longest time of a job")

    @model_validator(mode="after")
    def _shared(self) -> SparkSubmit:
        if self.rest and not self.master.startswith("spark://"):
            raise ValueError("rest: is a part of standalone masters, spark://HOST:PORT")
        if self.mount and not self.directory:
            raise ValueError("mount: says how drivers see directory:, so say that too")
        return self

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the directory is there, and the master answers or the program is found."""
        place = self._files(ctx).local
        problems = [] if place.is_dir() else [f"directory: {place} is no directory"]
        if not self.rest:
            found = shutil.which(self.program)
            return problems if found else [*problems, f"program: there is no {self.program}"]
        try:
            Master(ctx, self.rest).status("waystage-is-it-there")
        except Exception as error:  # noqa: BLE001  # whatever it is, the doctor tells it
            problems.append(str(error))
        return problems

    def forget(self, ctx: Services, runs: Collection[str]) -> None:
        """Remove the files of the runs' jobs, except of one that is still at work."""
        for place in (self._files(ctx).local / "jobs").glob("ws-*/"):
            key = str(read_json(place / JOB).get("key", ""))
            if key.partition("/")[0] not in runs or not self._is_ours(place):
                continue
            ref: JsonObject = {"name": place.name}
            if self.poll(ctx, ref).phase not in ("pending", "running"):
                shutil.rmtree(place, ignore_errors=True)
        self._local().forget(ctx, runs)

    def submit(self, ctx: Context, job: Job, *, key: str) -> JsonObject:
        """Submit once per key; what was submitted twice by a crash runs once."""
        name = f"ws-{plain(job.name, 30)}-{short_hash(self.owner, key, length=16)}"
        files = self._files(ctx)
        place = files.local / "jobs" / name
        (place / OUTPUT).mkdir(parents=True, exist_ok=True)
        ref: JsonObject = {"name": name}
        submitted.remember(self, ctx, ref, key)
        with locked(place / "submit.lock"):
            if any((place / each).exists() for each in (CLAIMED, ENDED, CANCELLED)):
                return ref
            if self.rest and read_json(place / SUBMITTED).get("driver"):
                return ref
            self._describe(ctx, files, place, job, key)
            if self.rest:
                self._submit_to_master(ctx, files, place)
            else:
                self._start_program(ctx, files, place, key)
        return ref

    def poll(self, ctx: Services, ref: JsonObject) -> JobStatus:
        """Say how far the job is."""
        place = self._place(ctx, ref)
        if not (place / JOB).exists():
            return JobStatus(phase="absent", message="there is no such job")
        if (place / ENDED).exists():
            return _ended(place)
        if self._too_long(place):
            self._stop(ctx, place, f"it ran longer than the {self.seconds} s it may take")
        seen = self._by_master(ctx, place) if self.rest else self._by_process(ctx, place)
        if seen.phase == "running":
            return self._running(ctx, place)
        return _ended(place) if (place / ENDED).exists() else seen

    def outputs(self, ctx: Services, ref: JsonObject) -> Path:
        """Give the directory with what the job wrote."""
        return self._place(ctx, ref) / OUTPUT

    def cancel(self, ctx: Services, ref: JsonObject) -> None:
        """End the driver and with it the application; harmless when it has ended."""
        place = self._place(ctx, ref)
        if (place / JOB).exists() and not (place / ENDED).exists():
            self._stop(ctx, place, "it was cancelled")

    def logs(self, ctx: Services, ref: JsonObject, lines: int = 50) -> str:
        """Give the last lines of what the program printed; Spark's own log stays with Spark."""
        return last_lines(self._place(ctx, ref) / LOG, lines)

    def end_unwanted(self, ctx: Services, wanted: Wanted) -> list[str]:
        """End the jobs that nobody waits for any more."""
        ended = submitted.end_unwanted(self, ctx, wanted)
        self._local().end_unwanted(ctx, wanted)
        return ended

    def score_command(self, spec: DeploySpec, rows: str) -> Job:
        """Give the job that scores a JSON-lines file with the snapshot, in the driver."""
        return score_job(spec, rows)

    def _describe(self, ctx: Services, files: SharedFiles, place: Path, job: Job, key: str) -> None:
        first, *rest = job.command
        if first != "python" or not rest:
            raise Hopeless(f"job {job.name}: spark.submit runs programs in Python, not {first}")
        inputs = {
            variable(label): files.given(ctx.project / path, place / "inputs" / plain(label))
            for label, path in job.inputs.items()
        }
        seen = files.seen(place)
        own = {"WAYSTAGE_OUTPUT": f"{seen}/{OUTPUT}", "WAYSTAGE_PROGRESS": f"{seen}/{PROGRESS}"}
        environment = {**job.environment, **inputs, **own}
        shutil.copyfile(str(driver_script.__file__), place / SCRIPT)
        write_json(place / JOB, {
            "key": key, "owner": self.owner, "environment": environment,
            "command": [filled(word, environment) for word in rest],
        })  # fmt: skip

    def _arguments(self, files: SharedFiles, place: Path) -> list[str]:
        settings = {"spark.waystage.job": place.name, **self.conf}
        told = [f"{name}={value}" for name, value in sorted(settings.items())]
        seen = files.seen(place)
        return [
            "--master", self.master, "--deploy-mode", "client", "--name", place.name,
            *(word for each in told for word in ("--conf", each)), f"{seen}/{SCRIPT}", seen,
        ]  # fmt: skip

    def _submit_to_master(self, ctx: Services, files: SharedFiles, place: Path) -> None:
        # drivers have no key: one whose name a crash has lost finds the job claimed, or claims it
        write_json(place / SUBMITTED, {"at": wall_seconds()})
        environment = {"SPARK_ENV_LOADED": "1", "PYSPARK_PYTHON": self.python}
        properties = {
            **self.conf,
            "spark.app.name": place.name,
            "spark.master": self.master,
            "spark.submit.deployMode": "cluster",
            "spark.driver.supervise": "false",
        }
        driver = Master(ctx, self.rest).create(
            self._arguments(files, place), environment, properties
        )
        write_json(place / SUBMITTED, {"at": wall_seconds(), "driver": driver})

    def _start_program(self, ctx: Context, files: SharedFiles, place: Path, key: str) -> None:
        job = Job(
            name="spark",
            command=(self.program, *self._arguments(files, place)),
            environment={"PYSPARK_PYTHON": self.python},
        )
        process = self._local().submit(ctx, job, key=f"{key}/spark/{self.owner}")
        write_json(place / SUBMITTED, {"at": wall_seconds(), "process": process})

    def _by_master(self, ctx: Services, place: Path) -> JobStatus:
        """Ask the master for the driver that has claimed the job, or was submitted last."""
        sent = read_json(place / SUBMITTED)
        driver = str(read_json(place / CLAIMED).get("driver") or sent.get("driver") or "")
        if not driver:
            return JobStatus(phase="absent", message="it was never submitted: submit it again")
        seen = Master(ctx, self.rest).status(driver)
        if (place / CANCELLED).exists() and seen.state not in OVER:
            Master(ctx, self.rest).kill(driver)
        if seen.state in OVER:
            return _gone(place, f"Spark's {driver} is {seen.state.lower()}", seen.message)
        if not seen.state and _silent_for(place) > SILENT_SECONDS:
            return _gone(place, f"the Spark master no longer knows {driver}", "")
        if seen.state == "SUBMITTED":
            return JobStatus(phase="pending", message="no worker has room for the driver yet")
        if not (place / CLAIMED).exists():
            return JobStatus(phase="pending", message="the driver starts")
        return JobStatus(phase="running")

    def _by_process(self, ctx: Services, place: Path) -> JobStatus:
        process = read_json(place / SUBMITTED).get("process")
        if not isinstance(process, dict):
            return JobStatus(phase="absent", message="it was never started: submit it again")
        seen = self._local().poll(ctx, process)
        if seen.phase in ("failed", "absent", "succeeded"):
            return _gone(place, f"{self.program} ended", seen.message)
        running = (place / CLAIMED).exists()
        return JobStatus(phase="running" if running else "pending")

    def _running(self, ctx: Services, place: Path) -> JobStatus:
        told = [last_lines(place / LOG, 1)[:300], tasks_done(ctx, read_json(place / APPLICATION))]
        return JobStatus(
            phase="running",
            message="; ".join(filter(None, told)),
            progress=read_share(place / PROGRESS),
        )

    def _stop(self, ctx: Services, place: Path, why: str) -> None:
        """Have the driver end by itself, and ask who started it to end it."""
        write_json(place / CANCELLED, {"why": why})
        sent = read_json(place / SUBMITTED)
        if isinstance(sent.get("process"), dict):
            self._local().cancel(ctx, sent["process"])
        for driver in {sent.get("driver"), read_json(place / CLAIMED).get("driver")}:
            if self.rest and driver:
                Master(ctx, self.rest).kill(str(driver))

    def _too_long(self, place: Path) -> bool:
        began = read_json(place / CLAIMED).get("at")
        late = isinstance(began, int | float) and self.seconds is not None
        return late and wall_seconds() - float(began) > (self.seconds or 0)  # type: ignore[arg-type]  # a number by now

    def _local(self) -> LocalProcess:
        return LocalProcess(environment=self.environment)

    def _files(self, ctx: Services) -> SharedFiles:
        local = ctx.project / self.directory if self.directory else ctx.state / "spark"
        if not self.directory:
            local.mkdir(exist_ok=True)
        return SharedFiles(local, self.mount or str(local.resolve()))

    def _place(self, ctx: Services, ref: JsonObject) -> Path:
        name = str(ref.get("name"))
        if not re.fullmatch(NAME, name):
            raise Hopeless(f"{name!r} is no job of this runtime")
        return self._files(ctx).local / "jobs" / name

    def _is_ours(self, place: Path) -> bool:
        return read_json(place / JOB).get("owner") == self.owner


def _ended(place: Path) -> JobStatus:
    told = read_json(place / ENDED)
    code, why = told.get("code"), read_json(place / CANCELLED).get("why") or told.get("why")
    if code == 0:
        return JobStatus(phase="succeeded", exit_code=0)
    last = last_lines(place / LOG, 1)[:400] or "it printed nothing"
    return JobStatus(phase="failed", exit_code=code, message=why or f"exit code {code}: {last}")


def _gone(place: Path, what: str, said: str) -> JobStatus:
    """Tell of a driver that ended without saying how."""
    if (place / ENDED).exists():
        return _ended(place)
    why = str(read_json(place / CANCELLED).get("why") or "")
    last = last_lines(place / LOG, 1)[:300]
    told = why or f"{what}{f': {said}' if said else ''}; last line: {last or 'it printed nothing'}"
    return JobStatus(phase="failed", message=told[:500])


def _silent_for(place: Path) -> float:
    """Give for how long the driver has not shown that it lives, by the clock of the files."""
    probe = place / "look"
    probe.touch()
    try:
        return probe.stat().st_mtime - (place / ALIVE).stat().st_mtime
    except FileNotFoundError:
        return wall_seconds() - float(read_json(place / SUBMITTED).get("at", 0))
