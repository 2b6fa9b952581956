"""Objects as the tables that `kubectl get` prints (`Accept: …;as=Table`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kube_kinds import Kind

Thing = dict[str, Any]
Cells = Callable[[Thing], list[Any]]
COLUMNS = {
    "Pod": "Ready Status Restarts Age", "Deployment": "Ready Up-to-date Available Age",
    "ReplicaSet": "Desired Current Ready Age", "Job": "Status Completions Age",
    "Service": "Type Cluster-IP External-IP Port(s) Age", "Namespace": "Status Age",
    "Event": "Last_Seen Type Reason Object Message", "ConfigMap": "Data Age",
    "Secret": "Type Data Age", "Node": "Status Roles Age Version", "Role": "Created_At",
    "ClusterRole": "Created_At", "RoleBinding": "Role Age", "ClusterRoleBinding": "Role Age",
    "Route": "Host/Port Path Services Port Termination Wildcard",
    "ResourceQuota": "Request Limit Age", "InferenceService": "URL Ready Age",
    "HorizontalPodAutoscaler": "Reference MinPods MaxPods Age",
    "PodDisruptionBudget": "Min_Available Max_Unavailable Age",
}  # fmt: skip


def table(kind: Kind, things: list[Thing], meta: Thing, *, whole: bool, head: bool = True) -> Thing:
    """Give a table of objects; the rows hold them (`whole`) or their metadata."""
    names = ["Name", *COLUMNS.get(kind.kind, "Age").split()]
    if kind.kind == "Event":
        names = names[1:]
    columns = [
        {"name": name.replace("_", " "), "type": "string", "format": "name" if not at else "",
         "description": name, "priority": 0}
        for at, name in enumerate(names)
    ]  # fmt: skip
    return {
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
        "columnDefinitions": columns if head else [],
        "rows": [{"cells": cells(kind, each), "object": each if whole else {
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": each["metadata"]}} for each in things],
    }  # fmt: skip


def cells(kind: Kind, thing: Thing) -> list[Any]:
    """Give the row of an object."""
    name, row = thing["metadata"]["name"], ROWS.get(kind.kind)
    if kind.kind == "Event":
        return _event(thing)
    return [name, *(row(thing) if row else [_age(thing["metadata"]["creationTimestamp"])])]


def _age(written: Any) -> str:
    if not written:
        return "<unknown>"
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(str(written))).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{max(0, seconds)}s"


def _born(thing: Thing) -> str:
    return _age(thing["metadata"]["creationTimestamp"])


def _pod(thing: Thing) -> list[Any]:
    status = thing.get("status") or {}
    told = status.get("containerStatuses") or []
    waiting = [(each.get("state") or {}).get("waiting", {}).get("reason") for each in told]
    phase = next(filter(None, waiting), status.get("phase", "Unknown"))
    if "deletionTimestamp" in thing["metadata"]:
        phase = "Terminating"
    ready = sum(bool(each.get("ready")) for each in told)
    restarts = sum(each.get("restartCount", 0) for each in told)
    return [f"{ready}/{len(thing['spec']['containers'])}", phase, str(restarts), _born(thing)]


def _deployment(thing: Thing) -> list[Any]:
    status = thing.get("status") or {}
    ready = status.get("readyReplicas", status.get("availableReplicas", 0))
    return [f"{ready}/{thing['spec'].get('replicas', 1)}", status.get("updatedReplicas", 0),
            status.get("availableReplicas", 0), _born(thing)]  # fmt: skip


def _replica_set(thing: Thing) -> list[Any]:
    status = thing.get("status") or {}
    return [thing["spec"].get("replicas", 1), status.get("replicas", 0),
            status.get("readyReplicas", 0), _born(thing)]  # fmt: skip


def _job(thing: Thing) -> list[Any]:
    status = thing.get("status") or {}
    ends = [c["type"] for c in status.get("conditions") or () if c["status"] == "True"]
    phase = next((each for each in ends if each in ("Complete", "Failed")), "Running")
    done = f"{status.get('succeeded', 0)}/{thing['spec'].get('completions', 1)}"
    return [phase, done, _born(thing)]


def _service(thing: Thing) -> list[Any]:
    spec = thing["spec"]
    ports = ",".join(f"{p['port']}/{p.get('protocol', 'TCP')}" for p in spec.get("ports") or ())
    return [spec["type"], spec.get("clusterIP", "<none>"), "<none>", ports or "<none>",
            _born(thing)]  # fmt: skip


def _event(thing: Thing) -> list[Any]:
    about = thing["involvedObject"]
    seen = _age(thing.get("lastTimestamp"))
    named = f"{about.get('kind', '').lower()}/{about.get('name')}"
    return [seen, thing.get("type"), thing.get("reason"), named, thing.get("message")]


def _route(thing: Thing) -> list[Any]:
    spec, told = thing["spec"], (thing.get("status") or {}).get("ingress") or [{}]
    backs = [spec.get("to") or {}, *(spec.get("alternateBackends") or ())]
    port = (spec.get("port") or {}).get("targetPort", "<all>")
    tls = (spec.get("tls") or {}).get("termination", "")
    return [told[0].get("host", spec.get("host", "")), spec.get("path", ""),
            ",".join(str(each.get("name")) for each in backs), str(port), tls,
            spec.get("wildcardPolicy", "None")]  # fmt: skip


def _quota(thing: Thing) -> list[Any]:
    hard = (thing.get("spec") or {}).get("hard") or {}
    used = (thing.get("status") or {}).get("used") or {}
    told = ", ".join(f"{what}: {used.get(what, 0)}/{most}" for what, most in sorted(hard.items()))
    return [told, "", _born(thing)]


def _binding(thing: Thing) -> list[Any]:
    return [f"{thing['roleRef']['kind']}/{thing['roleRef']['name']}", _born(thing)]


def _scaler(thing: Thing) -> list[Any]:
    spec = thing["spec"]
    target = spec["scaleTargetRef"]
    return [f"{target['kind']}/{target['name']}", str(spec.get("minReplicas", 1)),
            spec["maxReplicas"], _born(thing)]  # fmt: skip


def _served(thing: Thing) -> list[Any]:
    status = thing.get("status") or {}
    ready = [c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"]
    return [status.get("url", ""), ready[0] if ready else "", _born(thing)]


def _budget(thing: Thing) -> list[Any]:
    spec = thing.get("spec") or {}
    return [str(spec.get("minAvailable", "N/A")), str(spec.get("maxUnavailable", "N/A")),
            _born(thing)]  # fmt: skip


ROWS: dict[str, Cells] = {
    "Pod": _pod, "Deployment": _deployment, "ReplicaSet": _replica_set, "Job": _job,
    "Service": _service, "Route": _route, "ResourceQuota": _quota, "RoleBinding": _binding,
    "ClusterRoleBinding": _binding, "HorizontalPodAutoscaler": _scaler,
    "InferenceService": _served, "PodDisruptionBudget": _budget,
    "Namespace": lambda t: [(t.get("status") or {}).get("phase", ""), _born(t)],
    "ConfigMap": lambda t: [len(t.get("data") or {}), _born(t)],
    "Secret": lambda t: [t.get("type", "Opaque"), len(t.get("data") or {}), _born(t)],
    "Node": lambda t: ["Ready", "<none>", _born(t), ""],
    "Role": lambda t: [t["metadata"]["creationTimestamp"]],
    "ClusterRole": lambda t: [t["metadata"]["creationTimestamp"]],
}  # fmt: skip
