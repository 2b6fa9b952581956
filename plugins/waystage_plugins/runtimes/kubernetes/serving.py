"""What the runtimes with Deployments share: apply, observe, requests, taking away."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    Context,
    DeploySpec,
    Difference,
    Endpoint,
    Handle,
    JsonObject,
    Observation,
    Opening,
    Services,
)
from waystage_plugins.runtimes.kubernetes import manifests, sharing
from waystage_plugins.runtimes.kubernetes.api import Api, NotAllowed
from waystage_plugins.runtimes.kubernetes.asking import over_port_forward
from waystage_plugins.runtimes.kubernetes.beside import ScoringSidecar
from waystage_plugins.runtimes.kubernetes.foreign import traffic
from waystage_plugins.runtimes.kubernetes.image_serving import (
    ImageServing,
    columns_in,
    columns_of,
)
from waystage_plugins.runtimes.kubernetes.kinds import (
    AUTOSCALER,
    BUDGET,
    DEPLOYMENT,
    SERVICE,
    Kind,
)
from waystage_plugins.runtimes.kubernetes.manifests import Plan
from waystage_plugins.runtimes.kubernetes.observing import logs_of, observe_deployment, ready_pod
from waystage_plugins.tfserving.openings import endpoints, openings_of, speaks_grpc
from waystage_plugins.tfserving.rest import over_http, predict

Thing = dict[str, Any]


class ClusterServing(ImageServing):
    """The settings of a model server on a cluster, and what is done with them."""

    min_available: int | None = Field(default=None, ge=1, description="of a PodDisruptionBudget")
    grpc_port: int = Field(default=8500, ge=1, le=65535, description="where gRPC is opened")
    prometheus: bool = Field(
        default=False, description="have the server tell its figures, and say so to who scrapes"
    )

    scoring_log: ScoringSidecar | None = Field(
        default=None, description="tell the project's scoring log what is answered"
    )

    @model_validator(mode="after")
    def _nodes_can_be_emptied(self) -> ClusterServing:
        if self.autoscale is None and (self.min_available or 0) >= self.replicas:
            raise ValueError(
                f"min_available: {self.min_available} of replicas: {self.replicas} would let no "
                f"node be emptied, which holds up the cluster's upgrades; say fewer, or more pods"
            )
        return self

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        problems = super().check(spec)
        if self.scoring_log is not None and self.scoring_log.port in (self.port, self.grpc_port):
            problems.append(
                f"scoring_log: port {self.scoring_log.port} is the model server's own; "
                "give the sidecar another"
            )
        return problems

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        """Make the snapshot's own objects so; requests go there by `set_traffic`."""
        if problems := self.check(spec):
            raise Hopeless("; ".join(problems))
        plan = self._budgeted(spec, ctx.key)
        with self.connected(ctx, self.place) as api:
            self._prepare(api)
            for kind in self._unused():  # what earlier settings asked for
                self._drop(api, kind, plan.name)
            self._apply_all(api, self._objects(plan))
        return Handle(
            warnings=tuple(api.warnings),
            ref={
                "namespace": plan.namespace, "name": plan.name, "shared": plan.shared,
                "owner": plan.owner, "service": plan.service, "stage": plan.stage,
                "role": plan.role, "image": plan.image, "model": plan.model, "port": plan.port,
                "replicas": None if plan.autoscale else plan.replicas, "key": plan.key,
                "columns": columns_of(spec), "grpc_port": plan.grpc_port,
                "openings": [each.model_dump() for each in openings_of(spec)],
            },
        )  # fmt: skip

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        """Say what really runs."""
        ref = handle.ref
        with self.connected(ctx, self._namespace(handle)) as api:
            seen = observe_deployment(api, ref, self._same(ctx, str(ref["image"])))
            if seen.phase == "absent":
                return seen
            opened = self._opened(api, ref)
            led = self._led_elsewhere(api, ref) if ref["role"] == "champion" else ()
        return seen.model_copy(update={"endpoints": opened, "differs": (*seen.differs, *led)})

    def restore(self, ctx: Context, spec: DeploySpec, handle: Handle, *, serves: bool) -> Handle:
        """Apply it anew, and take back the fields and the requests that others took."""
        if not spec.image:
            spec = spec.model_copy(update={"image": str(handle.ref["image"])})
        firm = self.model_copy(update={"take_over": True})
        made = firm.apply(ctx, spec)
        if serves and spec.role == "champion":
            with firm.connected(ctx, firm.place) as api:
                if firm._led_elsewhere(api, made.ref):
                    firm._lead_back(ctx, api, made.ref)
        return made

    def set_traffic(self, ctx: Services, handle: Handle, percent: int = 100) -> None:
        """Send the requests of the service here."""
        if percent != 100:
            raise Hopeless(
                f"{self.use} sends all requests to one snapshot, not {percent} % of them"
            )
        with self.connected(ctx, self._namespace(handle)) as api:
            self._point(api, handle.ref)

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        """Send a real scoring request marked as a probe, in the shape of the model's signature."""
        ref, model = handle.ref, str(handle.ref["model"])
        with self.connected(ctx, self._namespace(handle)) as api:
            if base := self._direct(api, ref):
                with over_http(ctx, base, api.trusted if base.startswith("https") else "") as send:
                    return predict(send, model, rows, columns_in(ref))
            pod = ready_pod(api, str(ref["name"]))
            if not pod:
                raise Retryable(f"no pod of {ref['name']} is ready in {self.place}")
            with over_port_forward(api, pod, int(str(ref["port"]))) as send:
                return predict(send, model, rows, columns_in(ref))

    def delete(self, ctx: Services, handle: Handle) -> None:
        """Give the service's requests back to the champion before, then take this one away."""
        ref = handle.ref
        with self.connected(ctx, self._namespace(handle)) as api:
            self._leave(api, ref)
            for kind in reversed(self._kinds()):
                self._drop(api, kind, str(ref["name"]))

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

    def _unused(self) -> list[Kind]:
        """Give the kinds that settings may ask for and these do not."""
        told = ((AUTOSCALER, self.autoscale), (BUDGET, self.min_available))
        return [kind for kind, asked in told if asked is None]

    def _drop(self, api: Api, kind: Kind, name: str) -> None:
        """Take something away; where nothing asks for its kind, the right to may be missing."""
        try:
            self._remove(api, kind, name)
        except NotAllowed:
            if kind not in self._unused():
                raise

    def _led_elsewhere(self, api: Api, ref: JsonObject) -> tuple[Difference, ...]:
        """Give how somebody else led requests that are this champion's elsewhere."""
        live = api.get(SERVICE, str(ref["shared"]))
        return traffic(live, str(ref["name"]), sharing.leads_to(live))

    def _lead_back(self, ctx: Context, api: Api, ref: JsonObject) -> None:
        self._point(api, ref)

    def _opened(self, api: Api, ref: JsonObject) -> tuple[Endpoint, ...]:
        """Give the endpoints; gRPC is reached from inside of the cluster alone."""
        rest = f"{self._address(api, ref)}/v1/models/{ref['model']}"
        inside = ClusterServing._address(self, api, ref).removeprefix("http://")
        told = ref.get("openings")
        opened = (
            [Opening.model_validate(e) for e in told] if isinstance(told, list) else [Opening()]
        )
        grpc = f"{inside.rpartition(':')[0]}:{ref.get('grpc_port')}"
        return endpoints(tuple(opened), rest, grpc)

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

    def _budgeted(self, spec: DeploySpec, key: str) -> Plan:
        opened = self.grpc_port if speaks_grpc(openings_of(spec)) else 0
        more = {
            "grpc_port": opened, "prometheus": self.prometheus, "scoring_log": self.scoring_log
        }  # fmt: skip
        return self._plan(spec, key).model_copy(
            update={"min_available": self.min_available, **more}
        )
