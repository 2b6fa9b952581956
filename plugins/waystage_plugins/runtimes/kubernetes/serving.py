"""What the online runtimes on Kubernetes share: apply, observe, requests, taking away."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    Context,
    DeploySpec,
    Endpoint,
    Handle,
    JsonObject,
    Observation,
    OnlineRuntime,
    Services,
)
from waystage.plugin.values import Value
from waystage_plugins.images.login import Registry
from waystage_plugins.runtimes.kubernetes import manifests, sharing
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.runtimes.kubernetes.asking import over_http, over_port_forward, predict
from waystage_plugins.runtimes.kubernetes.cluster import Cluster
from waystage_plugins.runtimes.kubernetes.kinds import (
    AUTOSCALER,
    BUDGET,
    DEPLOYMENT,
    SERVICE,
    Kind,
)
from waystage_plugins.runtimes.kubernetes.manifests import Plan
from waystage_plugins.runtimes.kubernetes.names import OWNER
from waystage_plugins.runtimes.kubernetes.observing import (
    logs_of,
    observe_deployment,
    ready_pod,
)

Thing = dict[str, Any]
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?$"
FORMATS = ("savedmodel",)
MODEL = r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,127})?$"


class Autoscale(Value):
    """How many pods there are, by how busy they are."""

    min: int = Field(default=1, ge=1, le=1000)
    max: int = Field(ge=1, le=1000)
    cpu_percent: int = Field(default=80, ge=1, le=100)

    @model_validator(mode="after")
    def _ordered(self) -> Autoscale:
        if self.max < self.min:
            raise ValueError("max: is not below min:")
        return self


class Resources(Value):
    """What a pod asks for and may use at most; without a limit of memory it is what it asks for."""

    cpu: str = Field(default="500m", pattern=QUANTITY)
    memory: str = Field(default="1Gi", pattern=QUANTITY)
    cpu_limit: str = Field(default="", pattern=rf"{QUANTITY}|^$")
    memory_limit: str = Field(default="", pattern=rf"{QUANTITY}|^$")

    @property
    def requests(self) -> dict[str, str]:
        """The part that the scheduler sets aside."""
        return {"cpu": self.cpu, "memory": self.memory}

    @property
    def limits(self) -> dict[str, str]:
        """The part that a pod may not go beyond."""
        limits = {"memory": self.memory_limit or self.memory}
        return limits | ({"cpu": self.cpu_limit} if self.cpu_limit else {})


class ClusterServing(Cluster, OnlineRuntime):
    """The settings of a model server on a cluster, and what is done with them."""

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
    autoscale: Autoscale | None = None
    min_available: int | None = Field(default=None, ge=1, description="of a PodDisruptionBudget")
    arguments: tuple[str, ...] = Field(default=(), description="of the server")

    @field_validator("registry", mode="before")
    @classmethod
    def _host_alone(cls, value: Any) -> Any:
        return {"host": value} if isinstance(value, str) else value

    @property
    def place(self) -> str:
        """The namespace."""
        raise NotImplementedError

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        image, problems = self._image(spec), []
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
        return self.reached(ctx, self.place, DEPLOYMENT)

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        """Make the snapshot's own objects so; requests go there by `set_traffic`."""
        if problems := self.check(spec):
            raise Hopeless("; ".join(problems))
        plan = self._plan(spec, ctx.key)
        with self.connected(ctx, self.place) as api:
            self._prepare(api)
            for kind, manifest in self._objects(plan):
                self._apply(api, kind, manifest)
        return Handle(
            ref={
                "namespace": plan.namespace, "name": plan.name, "shared": plan.shared,
                "owner": plan.owner, "service": plan.service, "stage": plan.stage,
                "role": plan.role, "image": plan.image, "model": plan.model, "port": plan.port,
                "replicas": None if plan.autoscale else plan.replicas, "key": plan.key,
            }
        )  # fmt: skip

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        """Say what really runs."""
        with self.connected(ctx, self._namespace(handle)) as api:
            seen = observe_deployment(api, handle.ref)
            if seen.phase == "absent":
                return seen
            url = f"{self._address(api, handle.ref)}/v1/models/{handle.ref['model']}"
        return seen.model_copy(update={"endpoints": (Endpoint(name="score", url=url),)})

    def set_traffic(self, ctx: Services, handle: Handle, percent: int = 100) -> None:
        """Send the requests of the service here."""
        if percent != 100:
            raise Hopeless(
                f"{self.use} sends all requests to one snapshot, not {percent} % of them"
            )
        with self.connected(ctx, self._namespace(handle)) as api:
            self._point(api, handle.ref)

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        """Send a real scoring request marked as a probe."""
        ref = handle.ref
        with self.connected(ctx, self._namespace(handle)) as api:
            if base := self._direct(api, ref):
                with over_http(ctx, base, self.ca if base.startswith("https") else "") as send:
                    return predict(send, str(ref["model"]), rows)
            pod = ready_pod(api, str(ref["name"]))
            if not pod:
                raise Retryable(f"no pod of {ref['name']} is ready in {self.place}")
            with over_port_forward(api, pod, int(str(ref["port"]))) as send:
                return predict(send, str(ref["model"]), rows)

    def delete(self, ctx: Services, handle: Handle) -> None:
        """Give the service's requests back to the champion before, then take this one away."""
        ref = handle.ref
        with self.connected(ctx, self._namespace(handle)) as api:
            self._leave(api, ref)
            for kind in reversed(self._kinds()):
                self._remove(api, kind, str(ref["name"]))

    def logs(self, ctx: Services, handle: Handle, lines: int = 50) -> str:
        """Give the last lines of what the pods printed."""
        with self.connected(ctx, self._namespace(handle)) as api:
            return logs_of(api, str(handle.ref["name"]), lines)

    # what a kind of cluster does in its own way

    def _prepare(self, api: Api) -> None:
        """Make sure of what must be there before anything is applied."""

    def _objects(self, plan: Plan) -> list[tuple[Kind, Thing]]:
        return manifests.of_version(plan)

    def _kinds(self) -> list[Kind]:
        return [DEPLOYMENT, SERVICE, AUTOSCALER, BUDGET]

    def _address(self, api: Api, ref: JsonObject) -> str:
        """Give the address of the service if it leads here, else that of the snapshot alone."""
        name = (
            ref["shared"] if sharing.target(api, str(ref["shared"])) == ref["name"] else ref["name"]
        )
        return f"http://{name}.{api.namespace}.svc:{ref['port']}"

    def _direct(self, api: Api, ref: JsonObject) -> str:
        """Give the address that this process can reach the snapshot by, if there is one."""
        return ""

    def _point(self, api: Api, ref: JsonObject) -> None:
        made = sharing.address(ref)
        self._apply(api, SERVICE, made)

    def _leave(self, api: Api, ref: JsonObject) -> None:
        if sharing.target(api, str(ref["shared"])) not in ("", ref["name"]):
            return
        heir = sharing.heir(api, ref)
        if heir:
            self._point(api, ref | {"name": heir})
        else:
            self._remove(api, SERVICE, str(ref["shared"]))

    # what all do alike

    def _apply(self, api: Api, kind: Kind, manifest: Thing) -> None:
        name = manifest["metadata"]["name"]
        there = api.get(kind, name)
        if there is not None and not self._is_ours(there):
            raise Hopeless(
                f"{kind.name} {name} in {api.namespace} is there already and not of owner "
                f"{self.owner}; it is left alone"
            )
        api.apply(kind, manifest, force=self.take_over)

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

    def _plan(self, spec: DeploySpec, key: str) -> Plan:
        model = self.model or spec.service
        return Plan(
            **Plan.names(spec, key),
            namespace=self.place, owner=self.owner, image=self._pulled(self._image(spec)),
            model=model, port=self.port, replicas=self.replicas,
            ready_path=self.ready_path or f"/v1/models/{model}/metadata",
            requests=self.resources.requests, limits=self.resources.limits,
            pull_secret=self.pull_secret, start_seconds=self.start_seconds,
            arguments=self.arguments, min_available=self.min_available,
            autoscale=self.autoscale.model_dump() if self.autoscale else None,
        )  # fmt: skip
