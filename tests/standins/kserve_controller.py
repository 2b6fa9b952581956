"""What KServe does with a predictor in raw deployment mode, without the parts between."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from kube_hand import Hand, conditions, is_going, is_ready

Thing = dict[str, Any]
HASH = "pod-template-hash"
SCALE = ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget")


def keep_inference(hand: Hand, thing: Thing) -> None:
    """Make the pods of an InferenceService, and tell whether it is ready, and where."""
    name, predictor = thing["metadata"]["name"], thing["spec"]["predictor"]
    labels = {"serving.kserve.io/inferenceservice": name}
    own = {name: value for name, value in predictor.items() if name not in SCALE}
    mark = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:10]
    for pod in hand.owned("", "pods", thing):
        if pod["metadata"]["labels"].get(HASH) != mark and not is_going(pod):
            hand.delete("", "pods", pod)
    there = [pod for pod in hand.owned("", "pods", thing) if not is_going(pod)]
    template = {"metadata": {"labels": labels}, "spec": own}
    for _ in range(int(predictor.get("minReplicas", 1)) - len(there)):
        if hand.pod(thing, template, {HASH: mark}, f"{name}-predictor-{mark}"):
            break
    pods = [pod for pod in hand.owned("", "pods", thing) if not is_going(pod)]
    ready = bool(pods) and all(map(is_ready, pods))
    told = {"type": "Ready", "status": str(ready), "reason": "", "message": ""}
    address = {"url": f"http://{name}.{hand.namespace}.example"} if ready else {}
    hand.change("serving.kserve.io", "inferenceservices", thing, status={
        "observedGeneration": thing["metadata"]["generation"],
        "conditions": conditions(thing, told),
    } | address)  # fmt: skip
