"""What a Kubernetes API fills in that was not told, as a real one was seen to do it."""

from __future__ import annotations

import hashlib
from typing import Any

from kube_kinds import Kind

Thing = dict[str, Any]
ASSIGNED = {"Service": ("clusterIP", "clusterIPs"), "Pod": ("nodeName",)}
ROUTER_DOMAIN = "apps.example"
PROBE = {"failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}


def fill(kind: Kind, thing: Thing, live: Thing | None = None) -> None:
    """Fill in, in place, what was not told of an object; what was assigned to `live` stays."""
    filling = {
        "Deployment": _deployment, "ReplicaSet": _replica_set, "Job": _job, "Service": _service,
        "Pod": _pod, "Namespace": _namespace, "PodDisruptionBudget": _nothing,
        "HorizontalPodAutoscaler": _autoscaler, "Secret": _secret, "Route": _route,
        "RoleBinding": _binding, "ClusterRoleBinding": _binding,
    }  # fmt: skip
    if live and kind.kind in ASSIGNED and "spec" in thing:
        _put(thing["spec"], **{n: live["spec"].get(n) for n in ASSIGNED[kind.kind]})
    filling.get(kind.kind, _nothing)(thing)


def _nothing(thing: Thing) -> None: ...


def _put(into: Thing, **told: Any) -> None:
    for name, value in told.items():
        if into.get(name) is None:
            into[name] = value


def _deployment(thing: Thing) -> None:
    spec = thing.setdefault("spec", {})
    _put(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    _put(spec["strategy"], type="RollingUpdate")
    if spec["strategy"]["type"] == "RollingUpdate":
        _put(spec["strategy"], rollingUpdate={})
        _put(spec["strategy"]["rollingUpdate"], maxSurge="25%", maxUnavailable="25%")
    _template(spec)


def _replica_set(thing: Thing) -> None:
    spec = thing.setdefault("spec", {})
    _put(spec, replicas=1)
    _template(spec)


def _job(thing: Thing) -> None:
    spec = thing.setdefault("spec", {})
    _put(spec, backoffLimit=6, parallelism=1, completionMode="NonIndexed", suspend=False,
         podReplacementPolicy="TerminatingOrFailed", manualSelector=False)  # fmt: skip
    if spec["parallelism"] == 1:
        _put(spec, completions=1)
    _template(spec)
    own = {"batch.kubernetes.io/controller-uid": thing["metadata"]["uid"]}
    _put(spec, selector={"matchLabels": own})
    name, inner = thing["metadata"]["name"], spec["template"]["metadata"]
    inner["labels"] = (inner.get("labels") or {}) | own | {
        "controller-uid": thing["metadata"]["uid"], "job-name": name,
        "batch.kubernetes.io/job-name": name}  # fmt: skip


def _template(spec: Thing) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}))


def pod_spec(spec: Thing) -> None:
    """Fill in what was not told of a pod."""
    _put(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler",
         securityContext={}, terminationGracePeriodSeconds=30)  # fmt: skip
    if spec.get("serviceAccountName"):
        _put(spec, serviceAccount=spec["serviceAccountName"])
    for name in ("containers", "initContainers"):
        for each in spec.get(name) or ():
            _container(each)
    for each in spec.get("volumes") or ():
        for source in ("configMap", "secret"):
            if isinstance(each.get(source), dict):
                _put(each[source], defaultMode=420)


def _container(container: Thing) -> None:
    tag = str(container.get("image", "")).rpartition("/")[2].partition("@")
    latest = not tag[1] and tag[0].partition(":")[2] in ("", "latest")
    _put(
        container,
        imagePullPolicy="Always" if latest else "IfNotPresent",
        resources={},
        terminationMessagePolicy="File",
        terminationMessagePath="/dev/termination-log",
    )
    for each in container.get("ports") or ():
        _put(each, protocol="TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(name), dict):
            _put(container[name], **PROBE)
            if isinstance(container[name].get("httpGet"), dict):
                _put(container[name]["httpGet"], scheme="HTTP", path="/")


def _pod(thing: Thing) -> None:
    spec = thing.setdefault("spec", {})
    pod_spec(spec)
    _put(spec, enableServiceLinks=True, serviceAccountName="default", preemptionPolicy=(
        "PreemptLowerPriority"), priority=0)  # fmt: skip
    _put(spec, serviceAccount=spec["serviceAccountName"])
    for each in spec.get("containers") or ():  # of pods alone, not of their templates
        wanted = each["resources"]
        if wanted.get("limits"):
            wanted["requests"] = wanted["limits"] | (wanted.get("requests") or {})
    _put(thing, status={})
    _put(thing["status"], phase="Pending", qosClass=_class(spec))


def _class(spec: Thing) -> str:
    wanted = [each.get("resources") or {} for each in spec.get("containers") or ()]
    if not any(each.get("limits") or each.get("requests") for each in wanted):
        return "BestEffort"
    full = all(each.get("limits") and each["limits"] == each.get("requests") for each in wanted)
    return "Guaranteed" if full and all(
        {"cpu", "memory"} <= set(each["limits"]) for each in wanted
    ) else "Burstable"  # fmt: skip


def _service(thing: Thing) -> None:
    spec = thing.setdefault("spec", {})
    _put(spec, type="ClusterIP", sessionAffinity="None")
    for each in spec.get("ports") or ():
        _put(each, protocol="TCP", targetPort=each.get("port"))
    if spec["type"] != "ExternalName":
        mark = hashlib.sha256(thing["metadata"]["uid"].encode()).digest()
        _put(spec, clusterIP=f"10.0.{mark[0]}.{mark[1] % 254 + 1}")
        _put(spec, clusterIPs=[spec["clusterIP"]], ipFamilies=["IPv4"],
             ipFamilyPolicy="SingleStack", internalTrafficPolicy="Cluster")  # fmt: skip
    _put(thing, status={"loadBalancer": {}})


def _namespace(thing: Thing) -> None:
    thing["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = thing["metadata"][
        "name"
    ]
    _put(thing, spec={"finalizers": ["kubernetes"]}, status={"phase": "Active"})


def _autoscaler(thing: Thing) -> None:
    _put(thing.setdefault("spec", {}), minReplicas=1)


def _secret(thing: Thing) -> None:
    _put(thing, type="Opaque")


def _route(thing: Thing) -> None:
    spec = thing.setdefault("spec", {})
    meta = thing["metadata"]
    if not spec.get("host"):  # the router's own domain, as OpenShift gives it
        spec["host"] = f"{meta['name']}-{meta.get('namespace', '')}.{ROUTER_DOMAIN}"
        meta.setdefault("annotations", {})["openshift.io/host.generated"] = "true"
    _put(spec, wildcardPolicy="None")
    for each in [spec.get("to"), *(spec.get("alternateBackends") or ())]:
        if isinstance(each, dict):
            _put(each, kind="Service", weight=100)


def _binding(thing: Thing) -> None:
    for each in thing.get("subjects") or ():
        if each.get("kind") in ("User", "Group"):
            _put(each, apiGroup="rbac.authorization.k8s.io")
