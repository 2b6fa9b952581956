"""How model servers are made as containers: settings, checks, bringing a version there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from pydantic import Field

from waystage.errors import Hopeless, WaystageError
from waystage.plugin import (
    Context,
    DeploySpec,
    OnlineRuntime,
    Services,
)
from waystage_plugins.images.compose import MODELS as IMAGE_MODELS
from waystage_plugins.images.login import Registry
from waystage_plugins.images.tfserving import LABEL, served_version
from waystage_plugins.runtimes.docker import labels as moving
from waystage_plugins.runtimes.docker.containers import (
    MISSING,
    Containers,
    Held,
    containers,
)
from waystage_plugins.runtimes.docker.served import MODELS, ROOT, Served
from waystage_plugins.runtimes.docker.serving import (
    Own,
    Wanted,
    bring,
    forgotten,
    take_away,
)
from waystage_plugins.runtimes.docker.settings import DockerPlace
from waystage_plugins.runtimes.kubernetes.names import (
    DEPLOYMENT_LABEL,
    labels_of,
)
from waystage_plugins.runtimes.local_online import place_id
from waystage_plugins.runtimes.serving.config import Entry, write_config
from waystage_plugins.tfserving.messages import installed
from waystage_plugins.tfserving.openings import openings_of, speaks_grpc
from waystage_plugins.tfserving.packing import pack_model

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # addresses that are not ones to ask at


class ModelServers(DockerPlace, OnlineRuntime):
    """The settings of model servers on a Docker engine, and how they are made."""

    image: str = Field(default="", description="TensorFlow Serving's, when no step built one")
    registry: Registry | None = Field(default=None, description="that images come from")
    model: str = Field(
        default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,127})?$",
        description="name in URLs; default: the service",
    )  # fmt: skip
    address: str = Field(
        default="127.0.0.1", pattern=r"^[0-9a-fA-F.:]{2,45}$", description="of published ports"
    )
    port: int = Field(default=0, ge=0, le=65535, description="REST; 0: a free one that stays")
    arguments: tuple[str, ...] = Field(default=(), description="more of them for the server")
    warm_up: bool = Field(
        default=True, description="the example rows are answered before a version is available"
    )

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        image, problems = spec.image or self.image, [] if find_spec("docker") else [MISSING]
        if spec.snapshot.format != "savedmodel":
            told = spec.snapshot.format or "of no stated format"
            problems.append(f"{self.use} serves savedmodel, {spec.snapshot.id} is {told}")
        if not image:
            problems.append(f"{self.use} runs an image: set image:, or build one before")
        if spec.image and "sha256:" not in spec.image:
            problems.append(f"image {spec.image} is named without its digest: write …@sha256:…")
        if self.registry and spec.image and not spec.image.startswith(f"{self.registry.host}/"):
            problems.append(f"image {spec.image} is not of the registry {self.registry.host}")
        asked = {each.protocol for each in spec.endpoints} - self.speaks()
        problems += [f"{self.use} does not speak {each}" for each in sorted(asked)]
        if self.network == "host":
            problems.append("network: host has no ports of its own to publish; name another")
        return problems

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the engine answers."""
        try:
            with containers(self.engine) as found:
                found.ping()
        except WaystageError as error:
            return [str(error)]
        return []

    # how a version gets there

    def _apply(self, ctx: Context, spec: DeploySpec, directory: Path, known: Served) -> int:
        number = served_version(spec.snapshot) if spec.image else known.number_of(spec.snapshot)
        image = self._image(ctx, spec)
        layer = None
        if not spec.image:
            warm_as = known.model if self.warm_up and installed() else ""
            layer = pack_model(ctx, spec.snapshot, Path(spec.source), f"models/{number}", warm_as)
        entry = Entry(number=number, snapshot=spec.snapshot, role=spec.role, key=ctx.key)
        again = number in known.refused
        served = known.admitting(number).with_entry(entry, again=again).model_copy(
            update={
                "image": spec.image or self.image, "image_id": image.id,
                "openings": openings_of(spec),
            }
        )  # fmt: skip
        write_config(directory, served)
        with self._reached(ctx) as found:
            port = bring(found, self._wanted(ctx, spec, served, image), served, layer)
        write_config(directory, served.model_copy(update={"port": port}))
        moving.tell(served, self._url(port))
        return number

    def _new(self, spec: DeploySpec, name: str) -> Served:
        base = f"{IMAGE_MODELS}/{spec.service}" if spec.image else MODELS
        return Served(name=name, model=self.model or spec.service, stage=spec.stage, base_path=base)

    def _wanted(self, ctx: Context, spec: DeploySpec, served: Served, image: Held) -> Wanted:
        own = self._own(ctx)
        labels = labels_of(spec.service, spec.stage, self.owner) | own.labels
        return Wanted(
            served.name, image, labels | {DEPLOYMENT_LABEL: served.name}, own, self,
            self.address, self.port, self.arguments, served.model, speaks_grpc(served.openings),
        )  # fmt: skip

    def _own(self, ctx: Services) -> Own:
        return Own(self.owner, place_id(ctx.state, make=True))

    def _image(self, ctx: Context, spec: DeploySpec) -> Held:
        """Give the image, pulled before anything is touched; refuse that of another snapshot."""
        name = spec.image or self.image
        login = self.registry.credentials(ctx) if self.registry and spec.image else None
        with self._reached(ctx) as found:
            image = found.image(name, login)
        built = image.labels.get(f"{LABEL}digest", spec.snapshot.digest)
        if spec.image and built != spec.snapshot.digest:
            told = image.labels.get(f"{LABEL}snapshot", built)
            raise Hopeless(f"the image {name} was built of {told}, not of {spec.snapshot.id}")
        return image

    def _take_back(
        self, ctx: Context, spec: DeploySpec, directory: Path, known: Served | None
    ) -> None:
        """Leave behind what was there before; a dead engine keeps what it has until it is asked.

        What has answered once is never taken away, whichever call failed since.
        """
        kept = known.worth_keeping(ctx.key) if known else ()
        with suppress(WaystageError):
            if known is not None and kept:
                # files may have come to the volume already: their number stays theirs
                left = {**known.left, known.number_of(spec.snapshot): spec.snapshot.id}
                known = known.model_copy(update={"left": left, "entries": kept})
                write_config(directory, known)
                with self._reached(ctx) as found:
                    if found.find(known.name) is not None:
                        found.put(known.name, ROOT, known.files())
                return
            with self._reached(ctx) as found:
                take_away(found, directory.name, self._own(ctx))
            forgotten(directory)

    def _url(self, port: int) -> str:
        own = "127.0.0.1" if self.address in EVERYWHERE else self.address
        host = self.engine_host() or own
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    @contextmanager
    def _reached(self, ctx: Services) -> Iterator[Containers]:
        with containers(self.engine, lambda: bool(getattr(ctx, "cancelled", False))) as found:
            yield found


def home_of(ctx: Services) -> Path:
    """Give where the daemon keeps what its containers serve."""
    return ctx.state / "docker"
