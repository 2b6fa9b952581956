"""The step `tfserving.build`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.errors import Hopeless
from waystage.plugin import Answer, Context, Done, Snapshot
from waystage_plugins.images.by_engine import cleared, push_by_engine, working_name
from waystage_plugins.images.compose import Base, image_config, image_of, resolve_base
from waystage_plugins.images.engine import Engine, engine
from waystage_plugins.images.layer import Layer, at_work, workshop
from waystage_plugins.images.login import Login
from waystage_plugins.images.publish import Target, publish
from waystage_plugins.images.reference import Reference, parse_reference
from waystage_plugins.images.remote import remote, sha256
from waystage_plugins.images.settings import ImageStep, login_for
from waystage_plugins.steps.artifact import fetch_artifact
from waystage_plugins.tfserving.packing import pack_model

LABEL = "waystage."
BASE = "org.opencontainers.image.base."


class BuildServingImage(ImageStep):
    """Build an image that serves the snapshot's SavedModel, and push it to a registry.

        - id: image
          use: tfserving.build
          with:
            base: "tensorflow/serving:2.19.1"
            tag: "1.0.3"
            registry:
              host: registry.example.org
              project: models
              user: builder
              token: {secret: env/REGISTRY_TOKEN}

    The image is the base with one more layer: the model, below `/models/<service>`, where
    TensorFlow Serving looks. The same model and base give the same image, whoever builds it.
    `builder: oci` needs no Docker: it writes the layer itself and talks to the registry.
    `builder: docker` has an engine do it; without a registry the image stays in the engine. A
    registry may also be a setting of the stage's runtime. `tag` may come from an approver's form;
    one that stands for another image is never moved. Deploying goes by digest:
    `steps.image.image`.
    """

    use: ClassVar[str] = "tfserving.build"

    base: str = Field(
        min_length=1, max_length=500, json_schema_extra={"format": "image"},
        description="a serving image by tag, digest, or both",
    )  # fmt: skip
    base_login: Login | None = Field(
        default=None, description="else that of `registry`, if the base is there too"
    )
    builder: Literal["oci", "docker"] = "oci"
    platform: str = Field(
        default="linux/amd64", pattern=r"^[a-z0-9]+/[a-z0-9]+(?:/[a-z0-9]+)?$",
        description="of a base that is there for several",
    )  # fmt: skip
    warm_up: bool = Field(
        default=False, description="have the server answer the example rows before it is ready"
    )
    stamp: bool = Field(
        default=False, description="label run and step too; then each run's image is another"
    )

    class Output(BaseModel):
        """The image by digest, its tag, its id, and the digest of the base it was built on."""

        image: str
        digest: str
        tag: str
        id: str
        base: str

    def run(self, ctx: Context) -> Answer:
        """Look at the model, pack it, put it on the base, and have the registry keep it."""
        base, target = parse_reference(self.base), self.target(ctx)
        if target is None and self.builder == "oci":
            raise Hopeless(
                "no registry is named: say registry: in the step or in the stage's runtime, "
                "or builder: docker to keep the image in an engine"
            )
        with at_work(ctx):
            prefix = f"models/{ctx.service}/{served_version(ctx.snapshot)}"
            warm_as = ctx.service if self.warm_up else ""
            layer = pack_model(ctx, ctx.snapshot, fetch_artifact(ctx), prefix, warm_as)
            if self.builder == "docker":
                return self._by_engine(ctx, base, layer, target)
            assert target is not None, "it was looked at above"
            return self._by_ourselves(ctx, base, layer, target)

    def _by_ourselves(self, ctx: Context, base: Reference, layer: Layer, target: Target) -> Done:
        login = login_for(base, self.base_login, target)
        with remote(ctx, base.host, login, base.path) as shelf:
            found = resolve_base(shelf, base.version, self.platform)
        image = image_of(found, layer, self._config(ctx, base, found, layer))
        pinned = base._replace(digest=found.digest)
        digest = publish(ctx, target, image, layer, pinned, login)
        return self._done(target, digest, image.id, found)

    def _by_engine(
        self, ctx: Context, base: Reference, layer: Layer, target: Target | None
    ) -> Done:
        login = login_for(base, self.base_login, target).credentials(ctx)
        with engine(self.engine, lambda: ctx.cancelled) as found:
            below = found.base(base, login, self.platform)
            config = self._config(ctx, base, below, layer)
            with cleared(found, working_name(ctx)):
                held = found.load(config, layer, below, working_name(ctx), workshop(ctx))
                if target is None:
                    return self._kept(ctx, found, held, config, below)
                digest = push_by_engine(ctx, found, target, sha256(config), held)
                return self._done(target, digest, sha256(config), below)

    def _kept(self, ctx: Context, found: Engine, held: str, config: bytes, base: Base) -> Done:
        name = f"{self.stream(ctx)}:{self.tag}"
        found.tag(held, name)
        return Done(
            self.Output(image=held, digest=held, tag=name, id=sha256(config), base=base.digest)
        )

    def _done(self, target: Target, digest: str, image: str, base: Base) -> Done:
        tag = str(target.reference)
        return Done(
            self.Output(
                image=target.pinned(digest), digest=digest, tag=tag, id=image, base=base.digest
            )
        )

    def _config(self, ctx: Context, base: Reference, found: Base, layer: Layer) -> bytes:
        labels = {
            f"{LABEL}snapshot": ctx.snapshot.id,
            f"{LABEL}digest": ctx.snapshot.digest,
            f"{LABEL}service": ctx.service,
            f"{BASE}name": str(base._replace(digest="")),
            **({f"{BASE}digest": found.digest} if found.digest else {}),
            **({f"{LABEL}run": ctx.run, f"{LABEL}key": ctx.key} if self.stamp else {}),
        }
        return image_config(found, layer, ctx.service, labels)


def served_version(snapshot: Snapshot) -> int:
    """Give the number that TensorFlow Serving shows: the version if it is one, else 1."""
    text = snapshot.version
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 63 else 1
