"""What KServe does with a predictor in raw deployment mode, without autoscaler and ingress.

After its controller: pods come by a Deployment `<name>-predictor` that the InferenceService owns.
`status.observedGeneration` is that Deployment's and not the InferenceService's own, and until its
release 0.15 an InferenceService was ready as long as the Deployment was available, also while old
pods still answered. Both are played: they are what callers must not fall for.
"""

from __future__ import annotations

import copy
from typing import Any

from kube_hand import NAME, Hand, conditions, reference

Thing = dict[str, Any]
SCALE = ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget")
SERVICE, COMPONENT = "serving.kserve.io/inferenceservice", "component"
NOT_YET = {"reason": "PredictorNotReady", "message": ""}


def keep_inference(hand: Hand, thing: Thing) -> None:
    """Bring the Deployment of an InferenceService up to date, and tell what is told of it."""
    status = _kept(hand, _deployment(thing)).get("status") or {}
    told = {each["type"]: each for each in status.get("conditions") or ()}
    available = told.get("Available") or {}
    ready = available.get("status") == "True"
    why = {"reason": str(available.get("reason", "")), "message": ""} if not ready else {}
    parts = [
        {"type": "PredictorReady", "status": str(ready)} | why,
        {"type": "IngressReady", "status": str(ready)} | ({} if ready else NOT_YET),
        {"type": "Ready", "status": str(ready)} | why,
    ]
    before, meta = thing.get("status") or {}, thing["metadata"]
    url = f"http://{meta['name']}-{hand.namespace}.example" if ready else before.get("url")
    hand.change("serving.kserve.io", "inferenceservices", thing, status={
        "observedGeneration": status.get("observedGeneration", 0),
        "conditions": conditions(thing, *parts),
    } | ({"url": url} if url else {}))  # fmt: skip


def _deployment(thing: Thing) -> Thing:
    meta, predictor = thing["metadata"], copy.deepcopy(thing["spec"]["predictor"])
    name = f"{meta['name']}-predictor"
    labels = {**(meta.get("labels") or {}), SERVICE: meta["name"], COMPONENT: "predictor"}
    chosen = {"app": f"isvc.{name}"}
    notes = dict(meta.get("annotations") or {})
    spec = {key: value for key, value in predictor.items() if key not in SCALE}
    pods = {"metadata": {"labels": labels | chosen, "annotations": notes}, "spec": spec}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": labels | chosen, "annotations": notes,
                     "ownerReferences": [reference(thing)]},
        "spec": {"replicas": int(predictor.get("minReplicas", 1)), "template": pods,
                 "selector": {"matchLabels": chosen}},
    }  # fmt: skip


def _kept(hand: Hand, wanted: Thing) -> Thing:
    """Make the Deployment, or change it where trying says that something would change."""
    live = hand.store.all("apps", "deployments", hand.namespace).get(wanted["metadata"]["name"])
    if live is None:
        return hand.create("apps", "deployments", wanted)
    place = ("apps", "deployments", hand.namespace)
    tried = hand.store.replace(place, copy.deepcopy(live | wanted), NAME, dry=True)
    if tried["spec"] == live["spec"]:
        return live
    return hand.change("apps", "deployments", live, spec=wanted["spec"])
