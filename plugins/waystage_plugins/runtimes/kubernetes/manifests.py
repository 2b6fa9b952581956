"""The objects that serve a snapshot on Kubernetes, as plain data for server-side apply.

Pods run under OpenShift's `restricted-v2` and Kubernetes' `restricted` rules: no fixed user,
no capabilities, a root file system that is read only, no token of the cluster.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from waystage.plugin import DeploySpec
from waystage_plugins.runtimes.kubernetes import beside
from waystage_plugins.runtimes.kubernetes.beside import ScoringSidecar
from waystage_plugins.runtimes.kubernetes.kinds import AUTOSCALER, BUDGET, DEPLOYMENT, SERVICE, Kind
from waystage_plugins.runtimes.kubernetes.names import (
    AUTOSCALED,
    DEPLOYMENT_LABEL,
    DIGEST,
    KEY,
    ROLE_LABEL,
    RUN,
    SNAPSHOT,
    labels_of,
    shared_name,
    version_name,
)
from waystage_plugins.tfserving.prometheus import CONFIG
from waystage_plugins.tfserving.rest import METRICS

CONTAINER = "model"
REST, GRPC = "rest", "grpc"
USUAL = {"--rest_api_port": 8501, "--port": 8500}  # what the image says before our arguments
BEHIND = "model"  # the server's REST port behind a sidecar
# the server's configuration is an annotation of its pod, read back as a file: no object beside it
MONITORING = "waystage.dev/monitoring"
MONITORING_PLACE, MONITORING_FILE = "/etc/waystage", "monitoring.config"
SHUTDOWN_SECONDS = 30
POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
}

Thing = dict[str, Any]


class Plan(BaseModel):
    """What should be on the cluster for one snapshot: everything that manifests are made of."""

    namespace: str
    name: str
    shared: str
    owner: str
    service: str
    stage: str
    role: str
    snapshot: str
    digest: str
    run: str
    key: str
    image: str
    model: str
    port: int
    ready_path: str
    replicas: int
    requests: dict[str, str]
    limits: dict[str, str]
    pull_secret: str = ""
    start_seconds: int = 300
    user: int | None = None
    drain_seconds: int = 0
    arguments: tuple[str, ...] = ()
    autoscale: dict[str, int] | None = None
    min_available: int | None = None
    grpc_port: int = 0  # none
    prometheus: bool = False
    scoring_log: ScoringSidecar | None = None

    @classmethod
    def names(cls, spec: DeploySpec, key: str) -> dict[str, str]:
        """Give the parts that follow from what is to be deployed alone."""
        return {
            "name": version_name(spec),
            "shared": shared_name(spec.service, spec.stage),
            "service": spec.service,
            "stage": spec.stage,
            "role": spec.role,
            "snapshot": spec.snapshot.id,
            "digest": spec.snapshot.digest,
            "run": spec.run,
            "key": key,
        }

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all that belongs to this snapshot alone."""
        return labels_of(self.service, self.stage, self.owner) | {
            ROLE_LABEL: self.role,
            DEPLOYMENT_LABEL: self.name,
        }

    @property
    def scraped(self) -> dict[str, str]:
        """What whoever scrapes a pod looks at, and the configuration that its server reads."""
        if not self.prometheus:
            return {}
        return {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(self.port),
            "prometheus.io/path": METRICS,
            MONITORING: CONFIG,
        }

    @property
    def annotations(self) -> dict[str, str]:
        """What a person, and `observe`, want to know of an object."""
        told = {KEY: self.key, DIGEST: self.digest, SNAPSHOT: self.snapshot, RUN: self.run}
        return {name: value for name, value in told.items() if value}


def head(kind: Kind, name: str, labels: dict[str, str], annotations: dict[str, str]) -> Thing:
    """Begin an object."""
    meta: Thing = {"name": name, "labels": labels}
    if annotations:
        meta["annotations"] = annotations
    return {"apiVersion": kind.version, "kind": kind.name, "metadata": meta}


def deployment(plan: Plan) -> Thing:
    """Give the Deployment: a new version comes up whole before anything of the old one goes."""
    chosen = {DEPLOYMENT_LABEL: plan.name}
    spec: Thing = {
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": plan.start_seconds,
        "selector": {"matchLabels": chosen},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        },
        "template": {
            # the key stays out of it: asking again for the same must not restart anything
            "metadata": {
                "labels": plan.labels,
                "annotations": {DIGEST: plan.digest, SNAPSHOT: plan.snapshot} | plan.scraped,
            },
            "spec": _with_sidecar(plan, pod_spec(plan, _with_grpc(plan, _server(plan)))),
        },
    }
    notes = plan.annotations
    if plan.autoscale is None:
        spec["replicas"] = plan.replicas
    else:
        notes |= {AUTOSCALED: "true"}
    return head(DEPLOYMENT, plan.name, plan.labels, notes) | {"spec": spec}


def pod_security(user: int | None) -> Thing:
    """Give the rules for a pod; the user is a fixed one only if it is named."""
    return POD_SECURITY | ({"runAsUser": user} if user else {})


def pod_spec(plan: Plan, server: Thing) -> Thing:
    """Give the pod that serves, with its one container."""
    spec: Thing = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(plan.user),
        "terminationGracePeriodSeconds": SHUTDOWN_SECONDS,
        "containers": [server],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}],
    }
    if plan.prometheus:
        path = f"metadata.annotations['{MONITORING}']"
        item = {"path": MONITORING_FILE, "fieldRef": {"fieldPath": path}}
        spec["volumes"].append({"name": "monitoring", "downwardAPI": {"items": [item]}})
    if plan.pull_secret:
        spec["imagePullSecrets"] = [{"name": plan.pull_secret}]
    return spec


def container(plan: Plan, name: str, port: str) -> Thing:
    """Give the container with the model server, under the names that a cluster wants."""
    asked = {"httpGet": {"path": plan.ready_path, "port": port, "scheme": "HTTP"}}
    made: Thing = {
        "name": name,
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": port, "containerPort": plan.port, "protocol": "TCP"}],
        "resources": {"requests": plan.requests, "limits": plan.limits},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  # in the container
        "startupProbe": asked
        | {"periodSeconds": 2, "failureThreshold": max(1, plan.start_seconds // 2)},
        "readinessProbe": asked | {"periodSeconds": 5, "timeoutSeconds": 3},
        "livenessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 10, "failureThreshold": 6},
    }
    if plan.drain_seconds:
        made["lifecycle"] = drained(plan.drain_seconds)
    if plan.prometheus:
        own = {"name": "monitoring", "mountPath": MONITORING_PLACE, "readOnly": True}
        made["volumeMounts"].append(own)
    if arguments := [*monitored(plan), *ports(plan), *plan.arguments]:
        made["args"] = arguments
    return made


def drained(seconds: int) -> Thing:
    """Have a container that must go answer on until routers and Services know that it goes.

    An image without `sleep` goes at once, as without this.
    """
    return {"preStop": {"exec": {"command": ["sleep", str(seconds)]}}}


def monitored(plan: Plan) -> list[str]:
    """Give the server's flag that has it tell Prometheus its figures."""
    if not plan.prometheus:
        return []
    return [f"--monitoring_config_file={MONITORING_PLACE}/{MONITORING_FILE}"]


def ports(plan: Plan) -> list[str]:
    """Give the server's flags for ports that are not those of TensorFlow Serving's image."""
    told = {"--rest_api_port": plan.port, "--port": plan.grpc_port}
    said = {each.partition("=")[0] for each in plan.arguments}
    return [
        f"{flag}={number}"
        for flag, number in told.items()
        if number and number != USUAL[flag] and flag not in said
    ]


def service(name: str, labels: dict[str, str], target: str, port: int, grpc_port: int = 0) -> Thing:
    """Give a Service that leads to the pods of one snapshot."""
    named = {REST: port} | ({GRPC: grpc_port} if grpc_port else {})
    spec = {
        "type": "ClusterIP",
        "selector": {DEPLOYMENT_LABEL: target},
        "ports": [
            {"name": name, "port": number, "targetPort": name, "protocol": "TCP"}
            for name, number in named.items()
        ],
    }
    return head(SERVICE, name, labels, {}) | {"spec": spec}


def _server(plan: Plan) -> Thing:
    # requests come to the port that is named so, be it the server's or the sidecar's
    return container(plan, CONTAINER, REST if plan.scoring_log is None else BEHIND)


def _with_sidecar(plan: Plan, pod: Thing) -> Thing:
    if plan.scoring_log is not None:
        about = {
            "service": plan.service, "stage": plan.stage, "snapshot": plan.snapshot,
            "role": plan.role,
        }  # fmt: skip
        made = beside.container(plan.scoring_log, about, plan.port, REST)
        if plan.drain_seconds:
            made["lifecycle"] = drained(plan.drain_seconds)
        pod["containers"].append(made | {"securityContext": CONTAINER_SECURITY})
        pod["volumes"] += beside.volumes(plan.scoring_log)
    return pod


def _with_grpc(plan: Plan, made: Thing) -> Thing:
    if plan.grpc_port:
        made["ports"].append({"name": GRPC, "containerPort": plan.grpc_port, "protocol": "TCP"})
    return made


def version_service(plan: Plan) -> Thing:
    """Give the address of this snapshot alone."""
    return service(plan.name, plan.labels, plan.name, plan.port, plan.grpc_port)


def autoscaler(plan: Plan) -> Thing:
    """Give the HorizontalPodAutoscaler; the Deployment says no number of replicas then."""
    asked = plan.autoscale or {}
    spec = {
        "scaleTargetRef": {
            "apiVersion": DEPLOYMENT.version,
            "kind": DEPLOYMENT.name,
            "name": plan.name,
        },
        "minReplicas": asked["min"],
        "maxReplicas": asked["max"],
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": asked["cpu_percent"]},
                },
            }
        ],
    }
    return head(AUTOSCALER, plan.name, plan.labels, {}) | {"spec": spec}


def budget(plan: Plan) -> Thing:
    """Give the PodDisruptionBudget."""
    spec = {
        "minAvailable": plan.min_available,
        "selector": {"matchLabels": {DEPLOYMENT_LABEL: plan.name}},
    }
    return head(BUDGET, plan.name, plan.labels, {}) | {"spec": spec}


def of_version(plan: Plan) -> list[tuple[Kind, Thing]]:
    """Give all that serves one snapshot, in the order in which it is made."""
    made = [(DEPLOYMENT, deployment(plan)), (SERVICE, version_service(plan))]
    if plan.autoscale is not None:
        made.append((AUTOSCALER, autoscaler(plan)))
    if plan.min_available is not None:
        made.append((BUDGET, budget(plan)))
    return made
