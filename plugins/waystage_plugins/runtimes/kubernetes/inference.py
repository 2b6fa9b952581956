"""InferenceServices: what they are made of, and what KServe says of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from waystage.plugin import Difference, JsonObject, Observation, Phase
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.runtimes.kubernetes.foreign import changer, said
from waystage_plugins.runtimes.kubernetes.kinds import INFERENCE
from waystage_plugins.runtimes.kubernetes.manifests import Plan, container, head, pod_spec
from waystage_plugins.runtimes.kubernetes.names import DIGEST, KEY
from waystage_plugins.runtimes.kubernetes.observing import (
    Same,
    asked_image,
    has_ended,
    other_image,
    pods_of,
    trouble_of,
)

Thing = dict[str, Any]
CONTAINER = "kserve-container"  # KServe's name for the one that answers
PORT = "http1"  # and for its port
PODS = "serving.kserve.io/inferenceservice"
MODE = "serving.kserve.io/deploymentMode"
RAW, STANDARD = "RawDeployment", "Standard"  # KServe's words for one mode, before and since 0.16
# since 0.16 KServe takes `scaleMetric: cpu` in the older word's mode only with Knative's word too
SCALED = {
    "serving.kserve.io/autoscalerClass": "hpa",
    "autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev",
}
PREDICTOR = ("f:spec", "f:predictor")
CONTAINERS, LEAST, MOST = (
    (*PREDICTOR, field) for field in ("f:containers", "f:minReplicas", "f:maxReplicas")
)


def inference_service(plan: Plan, live: Thing | None = None) -> Thing:
    """Give the InferenceService with a predictor of our own image.

    Of a `live` one the word for its mode stays, which newer versions of KServe put in its place.
    """
    predictor = pod_spec(plan, container(plan, CONTAINER, PORT))
    asked = plan.autoscale
    predictor |= {
        "minReplicas": asked["min"] if asked else plan.replicas,
        "maxReplicas": asked["max"] if asked else plan.replicas,
    }
    if asked:
        predictor |= {"scaleMetric": "cpu", "scaleTarget": asked["cpu_percent"]}
    said = ((live or {}).get("metadata") or {}).get("annotations") or {}
    notes = {MODE: STANDARD if said.get(MODE) == STANDARD else RAW} | (SCALED if asked else {})
    made = head(INFERENCE, plan.name, plan.labels, plan.annotations | notes)
    return made | {"spec": {"predictor": predictor}}


def observe_inference(api: Api, live: Thing, ref: JsonObject, same: Same) -> Observation:
    """Say what really runs of what a handle stands for."""
    notes, image = live["metadata"].get("annotations", {}), str(ref["image"])
    told = {"generation": notes.get(KEY, ""), "digest": notes.get(DIGEST)}
    if changed := tuple(_changed(live["spec"]["predictor"], live, ref)):
        told |= {"digest": None, "differs": changed}
        return _seen("degraded", "foreign_change", said(changed), told)
    pods = pods_of(api, str(ref["name"]), PODS)
    if other := other_image(pods, image, same, CONTAINER):
        return _seen("degraded", "digest_mismatch", other, told | {"digest": None})
    status = live.get("status") or {}
    ready = {c["type"]: c for c in status.get("conditions") or ()}.get("Ready") or {}
    # which generation KServe speaks of is not to be had: what it writes as `observedGeneration`
    # is that of the Deployment below. So its word counts once no pod of an earlier one is left.
    alive = [pod for pod in pods if not has_ended(pod)]
    new = all(asked_image(pod, CONTAINER) == image for pod in alive)
    if ready.get("status") == "True" and new and alive:
        return _seen("ready", "", f"{len(alive)} pods", told)
    for pod in pods:
        trouble = trouble_of(api, pod)
        if trouble is not None:
            phase: Phase = "failed" if trouble.lasting else "pending"
            return _seen(phase, trouble.reason, trouble.message, told)
    line = f"{ready.get('reason', '')} {ready.get('message', '')}".strip()
    return _seen("pending", "starting", line or "KServe has not said that it is ready", told)


def scale_of(predictor: Thing) -> list[int]:
    """Give the least and the greatest number of pods."""
    return [int(predictor.get("minReplicas", 1)), int(predictor.get("maxReplicas", 0))]


def _changed(predictor: Thing, live: Thing, ref: JsonObject) -> Iterator[Difference]:
    """Give what somebody else made of it; handles of before know no number of pods."""
    containers, image = predictor.get("containers") or [{}], str(ref["image"])
    found = str(containers[0].get("image"))
    if found != image or len(containers) != 1:
        who, at = changer(live, CONTAINERS)
        yield Difference(what="image", wanted=image, found=found, by=who, at=at)
    there = scale_of(predictor)
    if ref.get("scale") not in (None, there):
        least, most = changer(live, LEAST), changer(live, MOST)
        who, at = least if least[0] else most
        yield Difference(
            what="replicas", wanted=_words(ref["scale"]), found=_words(there), by=who, at=at
        )


def _words(scale: object) -> str:
    return " to ".join(map(str, scale)) if isinstance(scale, list) else ""


def url_of(live: Thing | None) -> str:
    """Give the address that KServe has given, or nothing."""
    return str(((live or {}).get("status") or {}).get("url") or "").rstrip("/")


def _seen(phase: Phase, reason: str, message: str, told: Thing) -> Observation:
    line = " ".join(message.split())[:500]
    return Observation(phase=phase, reason=reason, message=line, **told)
