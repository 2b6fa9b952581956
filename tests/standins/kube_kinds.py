"""The kinds of objects that the stand-in for a Kubernetes API serves, and their addresses."""

from __future__ import annotations

from dataclasses import dataclass

STATUS = ("status",)
SCALED = ("status", "scale")
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Kind:
    """A kind: where its objects are, what they are called, which subresources they have."""

    group: str
    version: str
    kind: str
    plural: str
    parts: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    namespaced: bool = True
    in_all: bool = False  # is among what `kubectl get all` shows

    @property
    def api_version(self) -> str:
        """The version as objects tell it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """The address of the group's version."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"

    @property
    def named(self) -> str:
        """The plural as messages tell it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


KINDS = (
    Kind("", "v1", "Namespace", "namespaces", ("status", "finalize"), ("ns",), namespaced=False),
    Kind("", "v1", "Node", "nodes", STATUS, ("no",), namespaced=False),
    Kind("", "v1", "Pod", "pods", ("status", "log", "portforward", "binding"), ("po",),
         in_all=True),
    Kind("", "v1", "Service", "services", STATUS, ("svc",), in_all=True),
    Kind("", "v1", "Event", "events", (), ("ev",)),
    Kind("", "v1", "Endpoints", "endpoints", (), ("ep",)),
    Kind("", "v1", "ConfigMap", "configmaps", (), ("cm",)),
    Kind("", "v1", "Secret", "secrets"),
    Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", STATUS, ("pvc",)),
    Kind("", "v1", "ResourceQuota", "resourcequotas", STATUS, ("quota",)),
    Kind("", "v1", "ServiceAccount", "serviceaccounts", ("token",), ("sa",)),
    Kind("apps", "v1", "Deployment", "deployments", SCALED, ("deploy",), in_all=True),
    Kind("apps", "v1", "ReplicaSet", "replicasets", SCALED, ("rs",), in_all=True),
    Kind("batch", "v1", "Job", "jobs", STATUS, in_all=True),
    Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", STATUS,
         ("hpa",), in_all=True),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", STATUS, ("pdb",)),
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    Kind(RBAC, "v1", "Role", "roles"),
    Kind(RBAC, "v1", "RoleBinding", "rolebindings"),
    Kind(RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False),
    Kind(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    Kind("route.openshift.io", "v1", "Route", "routes", STATUS),
    Kind("image.openshift.io", "v1", "ImageStream", "imagestreams", STATUS, ("is",)),
    Kind("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices", STATUS,
         ("isvc",)),
)  # fmt: skip
BY_PLACE = {(kind.group, kind.plural): kind for kind in KINDS}
# kinds that are described by no schema of Kubernetes: what is in them is kept as it comes
CUSTOM = {"route.openshift.io", "image.openshift.io", "serving.kserve.io"}


def built_in(kind: Kind) -> bool:
    """Say whether Kubernetes itself has the kind."""
    return kind.group not in CUSTOM


def counts_generations(kind: Kind) -> bool:
    """Say whether objects of the kind tell how often what is wanted of them has changed."""
    return (kind.group not in ("", RBAC) and kind.plural != "endpointslices") or (
        kind.plural == "pods"
    )
