"""Which pods Services lead to, and how many pods an autoscaler wants at least and at most."""

from __future__ import annotations

from typing import Any

from kube_hand import Hand, is_going, is_ready

Thing = dict[str, Any]


def keep_endpoints(hand: Hand, service: Thing) -> None:
    """Write the Endpoints of a Service: those of its pods that are ready, and the others."""
    name, chosen = service["metadata"]["name"], service["spec"].get("selector") or {}
    if not chosen:
        return
    pods = [
        pod for pod in hand.all("", "pods")
        if chosen.items() <= (pod["metadata"].get("labels") or {}).items()
        and (pod.get("status") or {}).get("podIP") and not is_going(pod)
        and pod["status"].get("phase") not in ("Succeeded", "Failed")
    ]  # fmt: skip
    subsets = [_subset(service, pod) for pod in pods]
    live = hand.store.all("", "endpoints", hand.namespace).get(name)
    if live is None:
        hand.create("", "endpoints", {
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name}, "subsets": subsets,
        })  # fmt: skip
    else:
        hand.change("", "endpoints", live, subsets=subsets)


def drop_endpoints(hand: Hand) -> None:
    """Take away the Endpoints of Services that are gone."""
    services = {each["metadata"]["name"] for each in hand.all("", "services")}
    for each in hand.all("", "endpoints"):
        if each["metadata"]["name"] not in services:
            hand.delete("", "endpoints", each)


def keep_scale(hand: Hand, scaler: Thing) -> None:
    """Hold a Deployment within what its autoscaler allows; there are no figures to scale by."""
    spec = scaler["spec"]
    there = hand.store.all("apps", "deployments", hand.namespace).get(
        spec["scaleTargetRef"]["name"]
    )
    if there is None:
        return
    now_there = int(there["spec"].get("replicas", 1))
    wanted = min(max(now_there, int(spec.get("minReplicas", 1))), int(spec["maxReplicas"]))
    if wanted != now_there:
        hand.change("apps", "deployments", there, spec=there["spec"] | {"replicas": wanted})


def _subset(service: Thing, pod: Thing) -> Thing:
    named = {p["name"]: p["containerPort"] for c in pod["spec"]["containers"]
             for p in c.get("ports") or () if "name" in p}  # fmt: skip
    ports = [
        {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"),
         "port": number if isinstance(number, int) else named.get(number, 0)}
        for port in service["spec"]["ports"]
        for number in [port.get("targetPort", port["port"])]
    ]  # fmt: skip
    target = {"kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    address = {"ip": pod["status"]["podIP"], "targetRef": target}
    return {"addresses" if is_ready(pod) else "notReadyAddresses": [address], "ports": ports}
