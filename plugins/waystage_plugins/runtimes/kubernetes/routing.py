"""Routes with weights and ImageStreams, as OpenShift has them."""

from __future__ import annotations

from typing import Any

from waystage_plugins.runtimes.kubernetes.kinds import IMAGE_STREAM, ROUTE
from waystage_plugins.runtimes.kubernetes.manifests import REST, Plan, head

Thing = dict[str, Any]


def weights(main: str, beside: str = "", percent: int = 0) -> list[tuple[str, int]]:
    """Give the share of each target, in percent; the main one gets what is left."""
    return [(main, 100 - percent), (beside, percent)] if beside else [(main, 100)]


def route(
    name: str, labels: dict[str, str], shares: list[tuple[str, int]], *, host: str, tls: bool
) -> Thing:
    """Give the Route that splits requests between Services by these shares."""
    targets = [{"kind": "Service", "name": to, "weight": weight} for to, weight in shares]
    spec: Thing = {"to": targets[0], "port": {"targetPort": REST}, "wildcardPolicy": "None"}
    if targets[1:]:
        spec["alternateBackends"] = targets[1:]
    if host:
        spec["host"] = host
    if tls:
        spec["tls"] = {"termination": "edge", "insecureEdgeTerminationPolicy": "None"}
    # a client that came once must be able to get another snapshot the next time
    notes = {"haproxy.router.openshift.io/disable_cookies": "true"}
    if len(targets) > 1:
        notes["haproxy.router.openshift.io/balance"] = "roundrobin"
    return head(ROUTE, name, labels, notes) | {"spec": spec}


def shares_of(live: Thing | None) -> dict[str, int]:
    """Give the weight of each Service that a Route names."""
    spec = (live or {}).get("spec") or {}
    rows = [spec.get("to") or {}, *(spec.get("alternateBackends") or ())]
    return {str(row["name"]): int(row.get("weight", 100)) for row in rows if row.get("name")}


def targets(live: Thing | None) -> set[str]:
    """Give the names of the Services that a Route sends requests to."""
    return {name for name, weight in shares_of(live).items() if weight > 0}


def url(live: Thing | None) -> str:
    """Give the address of a Route that a router has taken in, or nothing."""
    for ingress in ((live or {}).get("status") or {}).get("ingress") or ():
        for each in ingress.get("conditions") or ():
            if each.get("type") == "Admitted" and each.get("status") == "True":
                scheme = "https" if (live or {})["spec"].get("tls") else "http"
                return f"{scheme}://{ingress['host']}"
    return ""


def not_taken(live: Thing) -> str:
    """Say why no router has taken a Route in; empty when none has said anything yet."""
    for ingress in (live.get("status") or {}).get("ingress") or ():
        for each in ingress.get("conditions") or ():
            if each.get("type") == "Admitted" and each.get("status") == "False":
                return f"{each.get('reason')}: {each.get('message')}"
    return ""


def image_stream(plan: Plan) -> Thing:
    """Give the ImageStream with the one image that the snapshot runs in, by its digest."""
    tag = {
        "name": plan.digest.removeprefix("sha256:")[:12],
        "from": {"kind": "DockerImage", "name": plan.image},
        "referencePolicy": {"type": "Source"},
        "importPolicy": {"importMode": "PreserveOriginal"},
    }
    spec = {"lookupPolicy": {"local": False}, "tags": [tag]}
    return head(IMAGE_STREAM, plan.name, plan.labels, {}) | {"spec": spec}
