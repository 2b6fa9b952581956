"""The step `evidence.archive`: what a decision stood on, kept as one file."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal
from uuid import uuid4

from pydantic import BaseModel, Field

from waystage.errors import Hopeless
from waystage.plugin import Answer, Context, Done, JsonObject, Step
from waystage_plugins.repositories.tree import sync_directory, tree_files
from waystage_plugins.steps.artifact import fetch_artifact


class ArchiveEvidence(Step):
    """Keep what a decision stands on as one file, whose digest people can be shown.

        - id: evidence
          use: evidence.archive
          with:
            about: annual-review
            facts: {monitors: "{{ monitors }}", asked_by: "{{ run.starter }}"}
            model: true

    The tar archive has `evidence.json` (run, snapshot, time, `facts`) and with `model: true` the
    model's files, each held against its digest. It lies in `to`, from the project's directory,
    below the service and the snapshot, is written once, and is read-only from then on.
    """

    use: ClassVar[str] = "evidence.archive"
    refuses: ClassVar[bool] = False
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    about: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$", description="begins the file's name")
    facts: JsonObject = Field(default_factory=dict)
    model: bool = False
    to: str = Field(default="evidence", min_length=1, max_length=4096)

    class Output(BaseModel):
        """The archive's path, from the project's directory where it lies there, and its digest."""

        archive: str
        digest: str

    def run(self, ctx: Context) -> Answer:
        """Write the archive beside its place and move it there; a repeat finds it."""
        home = ctx.project / self.to / ctx.service / f"{ctx.snapshot.name}-{ctx.snapshot.version}"
        home.mkdir(parents=True, exist_ok=True)
        place = home / f"{self.about}-{ctx.run}-{_short(ctx.key)}.tar"
        if not place.exists():
            self._write(ctx, place)
        inside = place.is_relative_to(ctx.project)
        told = place.relative_to(ctx.project) if inside else place
        return Done(self.Output(archive=str(told), digest=_digest(place)))

    def _write(self, ctx: Context, place: Path) -> None:
        beside = place.with_name(f".{uuid4().hex}.new")
        try:
            with tarfile.open(beside, "w", format=tarfile.PAX_FORMAT) as archive:
                evidence = _evidence(ctx, self.about, self.facts)
                archive.addfile(_entry("evidence.json", len(evidence)), io.BytesIO(evidence))
                if self.model:
                    _add_model(archive, fetch_artifact(ctx))
            beside.chmod(0o444)
            beside.replace(place)
        finally:
            beside.unlink(missing_ok=True)
        sync_directory(place.parent)


def _evidence(ctx: Context, about: str, facts: JsonObject) -> bytes:
    told = {
        "about": about,
        "service": ctx.service,
        "run": ctx.run,
        "at": ctx.now.isoformat(),
        "snapshot": ctx.snapshot.model_dump(mode="json", exclude={"example"}),
        "facts": facts,
    }
    try:
        return json.dumps(told, indent=1, sort_keys=True, allow_nan=False).encode()
    except ValueError as error:
        raise Hopeless(f"the facts of the evidence are no JSON: {error}") from error


def _add_model(archive: tarfile.TarFile, source: Path) -> None:
    for path in sorted(tree_files(source), key=PurePosixPath):
        with (source / path).open("rb") as file:
            archive.addfile(_entry(f"model/{path}", (source / path).stat().st_size), file)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o444
    return entry


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
