"""What the steps about images share: where the image shall be, and by which tag."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from waystage.errors import Hopeless
from waystage.plugin import Context, Step
from waystage_plugins.images.login import Login, Registry
from waystage_plugins.images.publish import Target
from waystage_plugins.images.reference import TAG, Reference, checked_path


class ImageStep(Step):
    """A step whose image is `<registry>/<project>/<imagestream>:<tag>` when it is done."""

    refuses: ClassVar[bool] = False
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    tag: str = Field(pattern=rf"^{TAG}$", description="never moved from one image to another")
    registry: Registry | None = Field(
        default=None, description="else that of the stage's runtime, if it has one"
    )
    imagestream: str | None = Field(
        default=None, min_length=1, max_length=200, description="else the service's name"
    )
    engine: str = Field(
        default="", max_length=500, description="Docker's address, else as DOCKER_HOST says"
    )

    def target(self, ctx: Context) -> Target | None:
        """Give where the image goes, None if no registry is named here or by the stage."""
        registry = self.registry or _of_stage(ctx)
        if registry is None:
            return None
        path = checked_path(*filter(None, (registry.project, self.stream(ctx))))
        return Target(Reference(registry.host, path, self.tag), registry)

    def stream(self, ctx: Context) -> str:
        """Give the image's own name: the service's, if the step says none."""
        return checked_path(self.imagestream or ctx.service)


def login_for(reference: Reference, named: Login | None, target: Target | None) -> Login:
    """Give as whom a registry is read: as said, else as the one that is pushed to, else nobody."""
    if named is not None:
        return named
    if target is not None and reference.host == target.reference.host:
        return target.login
    return Login()


def _of_stage(ctx: Context) -> Registry | None:
    """Give the `registry` of the stage's runtime, if the state has a stage with one."""
    if ctx.stage is None:
        return None
    try:
        runtime = ctx.runtime().plugin
    except Hopeless:
        return None  # no runtime, or several: the step must say it then
    # some runtimes lend a token of their cluster with it
    found = getattr(runtime, "logged_in", None) or getattr(runtime, "registry", None)
    return found if isinstance(found, Registry) else None
