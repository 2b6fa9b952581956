"""A repository with a model, and runtimes whose whole world is a directory of files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from saved_models import saved_model

from waystage.plugin import (
    BatchRuntime,
    Championed,
    Context,
    Deployed,
    DeploySpec,
    Done,
    Endpoint,
    Handle,
    Job,
    JobStatus,
    JsonObject,
    Observation,
    OnlineRuntime,
    Placement,
    Services,
    Undeployed,
)
from waystage.testing import FakeContext
from waystage_plugins.repositories.folder import Folder

SCORE = """
import json, os
rows = [json.loads(line) for line in open(os.environ["WAYSTAGE_INPUT_ROWS"])]
with open(os.path.join(os.environ["WAYSTAGE_OUTPUT"], "scores.jsonl"), "w") as file:
    for row in rows:
        print(json.dumps({"score": row["income"] / 100}), file=file)
"""


class FileRuntime(OnlineRuntime):
    """An online runtime that keeps what runs as one JSON file per deployment.

    Below `home`, `phases` says how the next observations of a deployment end up, `answers`
    what `predict` gives; without them a deployment is ready and scores are income / 100.
    """

    use: ClassVar[str] = "test.files"
    home: str
    problems: tuple[str, ...] = ()

    def check(self, spec: DeploySpec) -> list[str]:
        return list(self.problems)

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        assert (Path(spec.source) / "model.onnx").exists()
        name = spec.snapshot.id.replace("/", "-") + ".json"
        told = {"digest": spec.snapshot.digest, "generation": ctx.key}
        Path(self.home, name).write_text(json.dumps(told))
        return Handle(ref={"file": name})

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        place = Path(self.home, str(handle.ref["file"]))
        if not place.exists():
            return Observation(phase="absent")
        told = json.loads(place.read_text()) | self._next_phase()
        endpoint = Endpoint(url="http://127.0.0.1:1/score")
        return Observation.model_validate({"phase": "ready", "endpoints": [endpoint], **told})

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        planted = Path(self.home, "answers")
        if planted.exists():
            answers: list[JsonObject] = json.loads(planted.read_text())
            return answers
        return [{"score": float(str(row["income"])) / 100} for row in rows]

    def delete(self, ctx: Services, handle: Handle) -> None:
        Path(self.home, str(handle.ref["file"])).unlink(missing_ok=True)

    def logs(self, ctx: Services, handle: Handle, lines: int = 50) -> str:
        return ""

    def _next_phase(self) -> dict[str, Any]:
        planned = Path(self.home, "phases")
        phases = json.loads(planned.read_text()) if planned.exists() else []
        if not phases:
            return {}
        planned.write_text(json.dumps(phases[1:]))
        phase: dict[str, Any] = phases[0]
        return phase


class DirectoryBatch(BatchRuntime):
    """A batch runtime that runs real processes at once, one directory per key.

    The first look at a job says that it runs.
    """

    use: ClassVar[str] = "test.batch"
    home: str

    def submit(self, ctx: Context, job: Job, *, key: str) -> JsonObject:
        place = Path(self.home, hashlib.sha256(key.encode()).hexdigest()[:16])
        if not place.exists():
            (place / "out").mkdir(parents=True)
            done = subprocess.run(
                job.command,
                env=job.environment
                | {f"WAYSTAGE_INPUT_{name.upper()}": path for name, path in job.inputs.items()}
                | {"WAYSTAGE_OUTPUT": str(place / "out"), "STARTED": key},
                capture_output=True,
                text=True,
                check=False,
            )
            (place / "code").write_text(f"{done.returncode}\n{done.stderr}")
        return {"place": str(place)}

    def poll(self, ctx: Services, ref: JsonObject) -> JobStatus:
        place = Path(str(ref["place"]))
        if not (place / "seen").exists():
            (place / "seen").touch()
            return JobStatus(phase="running")
        code, _, printed = (place / "code").read_text().partition("\n")
        if code == "0":
            return JobStatus(phase="succeeded", exit_code=0)
        return JobStatus(
            phase="failed", exit_code=int(code), message=(printed.splitlines() or [""])[-1]
        )

    def outputs(self, ctx: Services, ref: JsonObject) -> Path:
        return Path(str(ref["place"])) / "out"

    def cancel(self, ctx: Services, ref: JsonObject) -> None:
        Path(str(ref["place"]), "cancelled").touch()

    def logs(self, ctx: Services, ref: JsonObject, lines: int = 50) -> str:
        return ""

    def score_command(self, spec: DeploySpec, rows: str) -> Job:
        return Job(name="score", command=(sys.executable, "-c", SCORE), inputs={"rows": rows})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "runtime"
    directory.mkdir()
    return directory


@pytest.fixture
def online(home: Path) -> FileRuntime:
    return FileRuntime(home=str(home))


@pytest.fixture
def batch(home: Path) -> DirectoryBatch:
    return DirectoryBatch(home=str(home))


@pytest.fixture
def manifest() -> JsonObject:
    return {
        "name": "credit",
        "services": ["credit-risk"],
        "format": "savedmodel",
        "author": "ada",
        "inputs": [{"name": "income"}, {"name": "owner", "type": "boolean"}],
        "outputs": [{"name": "score"}],
        "example": [{"income": 20.0, "owner": True}, {"income": 70.0, "owner": False}],
    }


@pytest.fixture
def release(tmp_path: Path, manifest: JsonObject) -> Callable[..., FakeContext]:
    """Register a version with these files and fields and give the context of a run on it."""
    repository = Folder(path="models")

    def make(files: dict[str, bytes] | None = None, **fields: Any) -> FakeContext:
        ctx = FakeContext(tmp_path, repository=repository)
        number = len(repository.snapshots(ctx)) + 1
        source = tmp_path / f"source-{number}"
        source.mkdir()
        for name, content in (
            files or {"saved_model.pb": saved_model(), "model.onnx": b"weights"}
        ).items():
            (source / name).write_bytes(content)
        ctx.snapshot = repository.register(ctx, source, {**manifest, **fields}, key=f"k{number}")
        ctx.run, ctx.key = f"credit-risk-{number}", f"credit-risk-{number}/1/step"
        return ctx

    return make


@pytest.fixture
def ctx(release: Callable[..., FakeContext], online: FileRuntime) -> FakeContext:
    made = release()
    made.runtimes["serving"] = online
    return made


@pytest.fixture
def commit() -> Callable[[FakeContext, object], None]:
    """Take an answer's facts into the inventory as the engine does."""

    def take(ctx: FakeContext, answer: object) -> None:
        assert isinstance(answer, Done), answer
        for fact in answer.facts:
            ctx.clock.turn(timedelta(seconds=1))
            if isinstance(fact, Deployed):
                ctx.inventory.append(Placement(ctx.service, ctx.snapshot, fact, ctx.run, ctx.now))
            if isinstance(fact, Undeployed):
                ctx.inventory[:] = [
                    row
                    for row in ctx.inventory
                    if (row.snapshot.id, row.deployed.stage, row.deployed.runtime)
                    != (ctx.snapshot.id, fact.stage, fact.runtime)
                ]
            assert not isinstance(fact, Championed) or ctx.snapshot

    return take
