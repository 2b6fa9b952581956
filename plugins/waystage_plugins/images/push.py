"""The step `image.push`."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import BaseModel, Field

from waystage.errors import Hopeless
from waystage.plugin import Answer, Context, Done
from waystage_plugins.images.by_engine import push_by_engine
from waystage_plugins.images.engine import engine
from waystage_plugins.images.layer import at_work
from waystage_plugins.images.login import Login
from waystage_plugins.images.publish import Target, copy
from waystage_plugins.images.reference import DIGEST, parse_reference
from waystage_plugins.images.settings import ImageStep, login_for


class PushImage(ImageStep):
    """Bring an image that was built before into a registry, byte by byte what it was.

        - id: live
          use: image.push
          with:
            image: "{{ steps.image.image }}"
            tag: "1.0.3"
            registry: {host: live.example.org, project: models, user: waystage,
                       token: {secret: file/run/secrets/live}}

    An image of a registry is copied by digest from there, through this daemon and without
    Docker; its digest stays the same. An image of an engine (an id, as `tfserving.build` gives
    it without a registry) is pushed by the engine. What arrived is asked for again.
    """

    use: ClassVar[str] = "image.push"

    image: str = Field(min_length=1, max_length=500, description="by digest, or an engine's id")
    from_login: Login | None = Field(
        default=None, description="else that of `registry`, if the image is there too"
    )

    class Output(BaseModel):
        """The image by digest, its tag, and its id."""

        image: str
        digest: str
        tag: str
        id: str

    def run(self, ctx: Context) -> Answer:
        """Copy or push, unless the tag stands for this very image already."""
        target = self.target(ctx)
        if target is None:
            raise Hopeless(
                "no registry is named: say registry: in the step or in the stage's runtime"
            )
        if re.fullmatch(DIGEST, self.image):
            return self._from_engine(ctx, target)
        source = parse_reference(self.image)
        if not source.digest:
            raise Hopeless(f"{self.image} names no digest; a tag may have moved since it was built")
        login = login_for(source, self.from_login, target)
        with at_work(ctx):
            digest, image = copy(ctx, target, source, login)
        return self._done(target, digest, image)

    def _from_engine(self, ctx: Context, target: Target) -> Done:
        with engine(self.engine, lambda: ctx.cancelled) as found:
            if found.image(self.image) is None:
                raise Hopeless(f"the engine has no image {self.image}")
            digest = push_by_engine(ctx, found, target, self.image, self.image)
        return self._done(target, digest, self.image)

    def _done(self, target: Target, digest: str, image: str) -> Done:
        tag = str(target.reference)
        return Done(self.Output(image=target.pinned(digest), digest=digest, tag=tag, id=image))
