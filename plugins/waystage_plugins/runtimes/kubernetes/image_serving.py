"""What the runtimes that serve images share: settings, checks, what is theirs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

from pydantic import Field, field_validator

from waystage.errors import Hopeless, Retryable, WaystageError
from waystage.plugin import DeploySpec, Handle, Json, JsonObject, OnlineRuntime, Services
from waystage_plugins.images.login import Registry
from waystage_plugins.images.sameness import same_image
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.runtimes.kubernetes.cluster import USER, Cluster
from waystage_plugins.runtimes.kubernetes.kinds import DEPLOYMENT, Kind
from waystage_plugins.runtimes.kubernetes.manifests import Plan
from waystage_plugins.runtimes.kubernetes.names import OWNER
from waystage_plugins.runtimes.kubernetes.scaling import handed_over, taken_back
from waystage_plugins.runtimes.kubernetes.sizes import Autoscale, Resources

Thing = dict[str, Any]
FORMATS = ("savedmodel",)
MODEL = r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,127})?$"


class ImageServing(Cluster, OnlineRuntime):
    """The settings of a model server that is an image, whatever the cluster runs it by."""

    seen_kind: ClassVar[Kind] = DEPLOYMENT

    image: str = Field(default="", description="what runs when no step has built an image")
    registry: Registry | None = Field(
        default=None, description="that images must come from; a host alone will do"
    )
    pull_registry: str = Field(default="", description="what the cluster calls that registry")
    pull_secret: str = Field(default="", description="name of the cluster's secret for pulling")
    model: str = Field(default="", pattern=MODEL, description="name in URLs; default: the service")
    port: int = Field(default=8501, ge=1, le=65535, description="of the REST protocol")
    ready_path: str = Field(default="", description="answers 200 once the model is loaded")
    replicas: int = Field(default=1, ge=1, le=1000)
    resources: Resources = Resources()
    start_seconds: int = Field(default=300, ge=10, le=3600, description="until it must be ready")
    drain_seconds: int = Field(
        default=5, ge=0, le=25, description="that a pod which must go still answers requests"
    )
    autoscale: Autoscale | None = None
    arguments: tuple[str, ...] = Field(default=(), description="of the server")
    user: int | None = Field(default=None, ge=1, description=USER)

    @field_validator("registry", mode="before", json_schema_input_type=Registry | str | None)
    @classmethod
    def _host_alone(cls, value: Any) -> Any:
        return {"host": value} if isinstance(value, str) else value

    @property
    @abstractmethod
    def place(self) -> str:
        """The namespace."""

    @property
    def logged_in(self) -> Registry | None:
        """The registry, with what it is logged in to by."""
        return self.registry

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        image, problems = self._image(spec), self.installed()
        if spec.snapshot.format not in FORMATS:
            told = spec.snapshot.format or "of no stated format"
            problems.append(
                f"{self.use} serves {' or '.join(FORMATS)} models, {spec.snapshot.id} is {told}"
            )
        if not image:
            problems.append(f"{self.use} runs an image: build one before, or set image:")
        elif "@sha256:" not in image:
            problems.append(f"image {image} is named without its digest: write …@sha256:…")
        if image and self.registry and not image.startswith(f"{self.registry.host}/"):
            problems.append(f"image {image} is not of the registry {self.registry.host}")
        return problems

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the cluster answers and takes the account."""
        return self.reached(ctx, self.place, self.seen_kind)

    def _apply_all(self, api: Api, objects: list[tuple[Kind, Thing]]) -> None:
        """Apply one after the other; when one is refused, take away what is new among them."""
        new: list[tuple[Kind, str]] = []
        try:
            for kind, manifest in objects:
                if self._apply(api, kind, manifest):
                    new.append((kind, str(manifest["metadata"]["name"])))
        except WaystageError:
            for kind, name in reversed(new):
                with suppress(WaystageError):  # what cannot be reached is applied again later
                    self._remove(api, kind, name)
            raise

    def _apply(self, api: Api, kind: Kind, manifest: Thing) -> bool:
        """Make an object so; say whether it was not there before."""
        name = manifest["metadata"]["name"]
        there = api.get(kind, name)
        if there is not None and not self._is_ours(there):
            raise Hopeless(
                f"{kind.name} {name} in {api.namespace} is there already and not of owner "
                f"{self.owner}; it is left alone"
            )
        if there is not None and "deletionTimestamp" in there["metadata"]:
            raise Retryable(
                f"{kind.name} {name} in {api.namespace} is being taken away; it is made anew once "
                f"it is gone"
            )
        force = self.take_over or taken_back(kind, there, self.autoscale)
        api.apply(kind, handed_over(kind, manifest, there, self.autoscale), force=force)
        return there is None

    def _remove(self, api: Api, kind: Kind, name: str) -> None:
        there = api.get(kind, name)
        if there is not None and self._is_ours(there):
            api.delete(kind, there)

    def _is_ours(self, thing: Thing) -> bool:
        return bool(thing["metadata"].get("labels", {}).get(OWNER) == self.owner)

    def _namespace(self, handle: Handle) -> str:
        named = str(handle.ref.get("namespace"))
        if named != self.place:
            raise Hopeless(
                f"{handle.ref.get('name')} was deployed to namespace {named}, and the runtime is "
                f"set to {self.place} now; set it back or take the deployment away by hand"
            )
        return named

    def _image(self, spec: DeploySpec) -> str:
        return spec.image or self.image

    def _pulled(self, image: str) -> str:
        if self.registry and self.pull_registry:
            return self.pull_registry + image.removeprefix(self.registry.host)
        return image

    def _same(self, ctx: Services, image: str) -> Callable[[str], bool]:
        """Give who knows whether what a node tells is this image by another digest."""

        def asked(running: str) -> bool:
            told = running.partition("://")[2] or running
            registry = self.logged_in
            return registry is not None and same_image(
                ctx, registry, self._pushed(image), self._pushed(told)
            )

        return asked

    def _pushed(self, image: str) -> str:
        """Give the name that an image was pushed by."""
        if self.registry and self.pull_registry and image.startswith(f"{self.pull_registry}/"):
            return self.registry.host + image.removeprefix(self.pull_registry)
        return image

    def _plan(self, spec: DeploySpec, key: str) -> Plan:
        model = self.model or spec.service
        own: Thing = {
            "namespace": self.place, "owner": self.owner, "model": model, "port": self.port,
            "image": self._pulled(self._image(spec)), "replicas": self.replicas,
            "ready_path": self.ready_path or f"/v1/models/{model}/metadata",
            "requests": self.resources.requests, "limits": self.resources.limits,
            "pull_secret": self.pull_secret, "start_seconds": self.start_seconds,
            "arguments": self.arguments, "user": self.user,
            "drain_seconds": self.drain_seconds,
            "autoscale": self.autoscale.model_dump() if self.autoscale else None,
        }  # fmt: skip
        return Plan.model_validate(Plan.names(spec, key) | own)


def columns_of(spec: DeploySpec) -> list[Json]:
    """Give the names of the snapshot's inputs in the manifest's order, for a handle."""
    return [each.name for each in spec.snapshot.inputs]


def columns_in(ref: JsonObject) -> tuple[str, ...]:
    """Give the names of the inputs that a handle has; older handles have none."""
    found = ref.get("columns")
    return tuple(str(each) for each in found) if isinstance(found, list) else ()
