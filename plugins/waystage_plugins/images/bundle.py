"""The step `bundle.build`: everything that serves a snapshot in one reproducible archive."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal
from uuid import uuid4

from pydantic import BaseModel, Field

from waystage.plugin import Answer, Context, Done, Step
from waystage.plugin.snapshot import NAME
from waystage_plugins.repositories.tree import sync_directory, tree_files
from waystage_plugins.steps.artifact import fetch_artifact

# `repository` is the name of a connection here, which says nothing about the model
LEFT_OUT = {"repository"}


class BuildBundle(Step):
    """Pack the snapshot's files and its manifest into one archive, the same bytes every time.

        - id: bundle
          use: bundle.build
          with: {tag: "1.0.3"}

    The tar archive holds `snapshot.json` and the files below `model/`, with neither times nor
    owners, so that its digest speaks of the model alone. `tag` defaults to name and version.
    """

    use: ClassVar[str] = "bundle.build"
    refuses: ClassVar[bool] = False
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    tag: str | None = Field(default=None, pattern=NAME)

    class Output(BaseModel):
        """The archive's path, its digest, and the tag that people know it by."""

        bundle: str
        digest: str
        tag: str

    def run(self, ctx: Context) -> Answer:
        """Build the archive beside its place and move it there under its digest."""
        source = fetch_artifact(ctx)
        home = ctx.state / "bundles"
        home.mkdir(exist_ok=True)
        beside = home / f".{uuid4().hex}.new"
        try:
            _pack(ctx.snapshot.model_dump_json(exclude=LEFT_OUT).encode(), source, beside)
            digest = _digest(beside)
            bundle = home / f"{digest}.tar"
            beside.replace(bundle)
        finally:
            beside.unlink(missing_ok=True)
        sync_directory(home)
        tag = self.tag or f"{ctx.snapshot.name}-{ctx.snapshot.version}"[:128]
        return Done(self.Output(bundle=str(bundle), digest=f"sha256:{digest}", tag=tag))


def _pack(manifest: bytes, source: Path, into: Path) -> None:
    with tarfile.open(into, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(_entry("snapshot.json", len(manifest)), io.BytesIO(manifest))
        for path in sorted(tree_files(source), key=PurePosixPath):
            with (source / path).open("rb") as file:
                archive.addfile(_entry(f"model/{path}", (source / path).stat().st_size), file)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
