"""The step `repository.register`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.plugin import Answer, Context, Done, JsonObject, Registered, Step
from waystage.plugin.snapshot import DIGEST, NAME
from waystage_plugins.repositories.manifest import merged, read_manifest
from waystage_plugins.repositories.tree import MANIFEST
from waystage_plugins.steps.commit import COMMIT

INHERITED = ("services", "format", "author", "inputs", "outputs", "example")


class Register(Step):
    """Keep a directory with model files as a new version that comes from the run's snapshot.

        - use: repository.register
          with: {from: out/model, tags: {candidate: challenger}}

    What a `manifest.yaml` in the directory does not say is taken over from the run's
    snapshot; the repository chooses the version unless `version` names one.
    """

    use: ClassVar[str] = "repository.register"
    refuses: ClassVar[bool] = False
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    from_: str = Field(alias="from", min_length=1, max_length=4096)
    name: str | None = Field(default=None, pattern=NAME)
    version: str | None = Field(default=None, pattern=NAME)
    tags: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    data: str | None = Field(
        default=None, pattern=DIGEST, description="digest of what it learnt from"
    )
    commit: str | None = Field(default=None, pattern=COMMIT, description="of the code that made it")

    class Output(BaseModel):
        """The new version."""

        name: str
        version: str
        digest: str

    def run(self, ctx: Context) -> Answer:
        """Register under the step's key, so that a repeat finds the version it made."""
        source = ctx.project / self.from_
        manifest = self._manifest(ctx, source / MANIFEST)
        made = ctx.repository.register(ctx, source, manifest, key=ctx.key)
        told = {"name": made.name, "version": made.version, "digest": made.digest}
        return Done(self.Output(**told), facts=(Registered(**told),))

    def _manifest(self, ctx: Context, place: Path) -> JsonObject:
        """Lay what the step says over what the directory says over what the parent says."""
        parent = ctx.snapshot.model_dump(mode="json", include=set(INHERITED))
        base = {"name": ctx.snapshot.name, **parent, "tags": {"candidate": "challenger"}}
        own = read_manifest(place) if place.exists() else {}
        given = self.model_dump(mode="json", include={"name", "tags", "metrics"})
        given = {field: value for field, value in given.items() if value}
        lineage = {"parent": ctx.snapshot.id, "run": ctx.run}
        lineage |= {"data": self.data} if self.data else {}
        given["lineage"] = lineage | ({"commit": self.commit} if self.commit else {})
        # a script that copied its parent's manifest means a new version: null stands for that
        given["version"] = self.version
        return merged(merged(base, own), given)
