"""The kinds of objects that the runtimes read and write, and where the API keeps them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of namespaced object: `apps/v1` `Deployment`, kept under `deployments`."""

    version: str
    name: str
    plural: str

    def path(self, namespace: str, name: str = "", part: str = "") -> str:
        """Give the path of an object, of a part of it (`log`), or of all objects."""
        root = "/api/v1" if self.version == "v1" else f"/apis/{self.version}"
        tail = "".join(f"/{each}" for each in (name, part) if each)
        return f"{root}/namespaces/{namespace}/{self.plural}{tail}"


DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
SERVICE = Kind("v1", "Service", "services")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
JOB = Kind("batch/v1", "Job", "jobs")
ROUTE = Kind("route.openshift.io/v1", "Route", "routes")
IMAGE_STREAM = Kind("image.openshift.io/v1", "ImageStream", "imagestreams")
INFERENCE = Kind("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
