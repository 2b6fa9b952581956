"""The online runtime `kserve`: a snapshot's image as an InferenceService."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    Context,
    DeploySpec,
    Endpoint,
    Handle,
    JsonObject,
    Observation,
    Services,
)
from waystage_plugins.runtimes.kubernetes.asking import over_port_forward
from waystage_plugins.runtimes.kubernetes.cluster import LABEL
from waystage_plugins.runtimes.kubernetes.image_serving import (
    ImageServing,
    columns_in,
    columns_of,
)
from waystage_plugins.runtimes.kubernetes.inference import (
    PODS,
    inference_service,
    observe_inference,
    scale_of,
    url_of,
)
from waystage_plugins.runtimes.kubernetes.kinds import INFERENCE, Kind
from waystage_plugins.runtimes.kubernetes.observing import logs_of, ready_pod
from waystage_plugins.tfserving.rest import over_http, predict

Thing = dict[str, Any]


class KServe(ImageServing):
    """Serve an image with TensorFlow Serving by KServe, in its raw deployment mode.

        - use: kserve
          with: {kubeconfig: kserve.yaml, namespace: models-prod, replicas: 2}

    Each snapshot is an InferenceService of its own with the address that KServe gives it, so
    the address changes with the version. What is probed is reached through the cluster's API, or
    with `reach: url` at that address.
    """

    use: ClassVar[str] = "kserve"
    capabilities: ClassVar[frozenset[str]] = frozenset({"logs"})
    seen_kind: ClassVar[Kind] = INFERENCE

    namespace: str = Field(pattern=LABEL)
    reach: Literal["port_forward", "url"] = Field(
        default="port_forward", description="how probes get to the pods"
    )

    @property
    def place(self) -> str:
        """The namespace."""
        return self.namespace

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        """Make the InferenceService so."""
        if problems := self.check(spec):
            raise Hopeless("; ".join(problems))
        plan = self._plan(spec, ctx.key)
        with self.connected(ctx, self.place) as api:
            made = inference_service(plan, api.get(INFERENCE, plan.name))
            self._apply(api, INFERENCE, made)
        return Handle(
            warnings=tuple(api.warnings),
            ref={
                "namespace": plan.namespace, "name": plan.name, "owner": plan.owner,
                "image": plan.image, "model": plan.model, "port": plan.port, "key": plan.key,
                "columns": columns_of(spec), "scale": [*scale_of(made["spec"]["predictor"])],
            },
        )  # fmt: skip

    def restore(self, ctx: Context, spec: DeploySpec, handle: Handle, *, serves: bool) -> Handle:
        """Apply it anew, and take back the fields that others took."""
        if not spec.image:
            spec = spec.model_copy(update={"image": str(handle.ref["image"])})
        return self.model_copy(update={"take_over": True}).apply(ctx, spec)

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        """Say what really runs."""
        with self.connected(ctx, self._namespace(handle)) as api:
            live = api.get(INFERENCE, str(handle.ref["name"]))
            if live is None or not self._is_ours(live):
                return Observation(phase="absent", reason="absent", message="it is not deployed")
            seen = observe_inference(
                api, live, handle.ref, self._same(ctx, str(handle.ref["image"]))
            )
        base = url_of(live)
        url = f"{base}/v1/models/{handle.ref['model']}"
        endpoints = (Endpoint(name="score", url=url),) if base else ()
        return seen.model_copy(update={"endpoints": endpoints})

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        """Send a real scoring request marked as a probe, in the shape of the model's signature."""
        ref, name = handle.ref, str(handle.ref["name"])
        with self.connected(ctx, self._namespace(handle)) as api:
            base = url_of(api.get(INFERENCE, name)) if self.reach == "url" else ""
            if base:
                with over_http(ctx, base, api.trusted if base.startswith("https") else "") as send:
                    return predict(send, str(ref["model"]), rows, columns_in(ref))
            pod = ready_pod(api, name, PODS)
            if not pod:
                raise Retryable(f"no pod of {name} is ready in {self.place}")
            with over_port_forward(api, pod, int(str(ref["port"]))) as send:
                return predict(send, str(ref["model"]), rows, columns_in(ref))

    def delete(self, ctx: Services, handle: Handle) -> None:
        """Take the InferenceService away; KServe takes the rest."""
        with self.connected(ctx, self._namespace(handle)) as api:
            self._remove(api, INFERENCE, str(handle.ref["name"]))

    def logs(self, ctx: Services, handle: Handle, lines: int = 50) -> str:
        """Give the last lines of what the pods printed."""
        with self.connected(ctx, self._namespace(handle)) as api:
            return logs_of(api, str(handle.ref["name"]), lines, PODS)
