"""The online runtime `kubernetes.tfserving`: model servers on any Kubernetes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from waystage.plugin import JsonObject
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.runtimes.kubernetes.cluster import LABEL
from waystage_plugins.runtimes.kubernetes.serving import ClusterServing


class KubernetesServing(ClusterServing):
    """Serve an image with TensorFlow Serving on Kubernetes.

        - use: kubernetes.tfserving
          with:
            api: "https://cluster.example:6443"
            token: {secret: env/CLUSTER_TOKEN}
            ca: cluster-ca.pem
            namespace: models-prod
            replicas: 2

    Each snapshot has a Deployment and a Service of its own (and on demand a
    HorizontalPodAutoscaler and a PodDisruptionBudget), all by server-side apply. One more
    Service per service and stage keeps its address and leads to the champion. What is probed is
    reached through the cluster's API, or with `reach: service` from inside the cluster.
    """

    use: ClassVar[str] = "kubernetes.tfserving"
    capabilities: ClassVar[frozenset[str]] = frozenset({"grpc", "logs", "rest", "switch"})

    namespace: str = Field(pattern=LABEL)
    reach: Literal["port_forward", "service"] = Field(
        default="port_forward", description="how probes get to the pods"
    )

    @property
    def place(self) -> str:
        """The namespace."""
        return self.namespace

    def _direct(self, api: Api, ref: JsonObject) -> str:
        if self.reach != "service":
            return ""
        return f"http://{ref['name']}.{api.namespace}.svc:{ref['port']}"
