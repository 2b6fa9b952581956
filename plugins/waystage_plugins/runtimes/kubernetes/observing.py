"""What a Deployment and its pods say of a snapshot: does it run, is it the one, why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from waystage.errors import Retryable
from waystage.plugin import Difference, Observation, Phase
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.runtimes.kubernetes.foreign import differences, said
from waystage_plugins.runtimes.kubernetes.kinds import DEPLOYMENT, EVENT, POD, SERVICE
from waystage_plugins.runtimes.kubernetes.manifests import CONTAINER
from waystage_plugins.runtimes.kubernetes.names import DEPLOYMENT_LABEL, DIGEST, KEY, OWNER
from waystage_plugins.runtimes.kubernetes.reasons import Trouble, pod_trouble, refused_pods

Thing = dict[str, Any]
Same = Callable[[str], bool]
DONE = "NewReplicaSetAvailable"  # the rollout was complete once
LATE = "ProgressDeadlineExceeded"


def observe_deployment(api: Api, ref: Thing, same: Same) -> Observation:
    """Say what really runs of what a handle stands for; endpoints are the caller's.

    `same` knows whether what a node tells is the wanted image by another digest.
    """
    live = api.get(DEPLOYMENT, ref["name"])
    if live is None or live["metadata"].get("labels", {}).get(OWNER) != ref["owner"]:
        return Observation(phase="absent", reason="absent", message="it is not deployed here")
    notes = live["metadata"].get("annotations", {})
    told = {"generation": notes.get(KEY, ""), "digest": notes.get(DIGEST)}
    if changed := differences(live, ref["image"], ref["replicas"]):
        told |= {"digest": None, "differs": changed}
        return _seen("degraded", "foreign_change", said(changed), told)
    if api.get(SERVICE, ref["name"]) is None:
        gone = Difference(what="deleted", wanted=f"Service {ref['name']}", found="nothing")
        message = f"its Service {ref['name']} is gone"
        return _seen("degraded", "foreign_change", message, told | {"differs": (gone,)})
    status = live.get("status") or {}
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return _seen("pending", "rollout", "the cluster has not begun with it yet", told)
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    if trouble := refused_pods(conditions):
        return _kept_out(trouble, status, conditions, told)
    pods = pods_of(api, ref["name"])
    if other := other_image(pods, ref["image"], same):
        return _seen("degraded", "digest_mismatch", other, told | {"digest": None})
    wanted = live["spec"].get("replicas", 1)
    if _complete(status, wanted):
        return _seen("ready", "", f"{wanted} of {wanted} pods are ready", told)
    return _incomplete(api, pods, status, conditions, wanted, told)


def _complete(status: Thing, wanted: int) -> bool:
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return wanted > 0 and counts == [wanted] * 3


def _incomplete(
    api: Api, pods: list[Thing], status: Thing, conditions: dict[str, Thing], wanted: int,
    told: Thing,
) -> Observation:  # fmt: skip
    progress = (conditions.get("Progressing") or {}).get("reason")
    for pod in pods:
        trouble = trouble_of(api, pod)
        if trouble is not None and (trouble.lasting or progress == LATE):
            return _troubled(trouble, status, told)
        if trouble is not None:
            return _seen(_unsettled(status, progress), trouble.reason, trouble.message, told)
    available = status.get("availableReplicas", 0)
    message = f"{available} of {wanted} pods are ready"
    if progress == LATE:
        return _troubled(Trouble("too_slow", f"{message} within its time", True), status, told)
    # pods that nothing is wrong with are on their way, also where others ran before them
    phase: Phase = _unsettled(status, progress) if available else "pending"
    return _seen(phase, "starting", message, told)


def _kept_out(
    trouble: Trouble, status: Thing, conditions: dict[str, Thing], told: Thing
) -> Observation:
    progress = (conditions.get("Progressing") or {}).get("reason")
    if trouble.lasting or progress == LATE:
        return _troubled(trouble, status, told)
    return _seen(_unsettled(status, progress), trouble.reason, trouble.message, told)


def _unsettled(status: Thing, progress: object) -> Phase:
    """Tell a first start from something that ran whole once and lost pods."""
    if progress != DONE:
        return "pending"
    return "degraded" if status.get("availableReplicas", 0) else "failed"


def _troubled(trouble: Trouble, status: Thing, told: Thing) -> Observation:
    # what still answers is degraded; with nothing left it has failed
    phase: Phase = "degraded" if status.get("availableReplicas", 0) else "failed"
    return _seen(phase, trouble.reason, trouble.message, told)


def _seen(phase: Phase, reason: str, message: str, told: Thing) -> Observation:
    line = " ".join(message.split())[:500]
    return Observation(phase=phase, reason=reason, message=line, **told)


def pods_of(api: Api, name: str, label: str = DEPLOYMENT_LABEL) -> list[Thing]:
    """Give the pods of a deployment, without those that are on their way out.

    Pods that have ended (they were evicted, say) come last: others are there in their place.
    """
    found = api.list(POD, {label: name})
    left = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
    return sorted(left, key=has_ended)


def has_ended(pod: Thing) -> bool:
    """Say whether a pod is over and never starts again; a cluster keeps some to be looked at."""
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def ready_pod(api: Api, name: str, label: str = DEPLOYMENT_LABEL) -> str:
    """Give the name of the newest pod that serves, or nothing: older ones may be about to go."""
    found = pods_of(api, name, label)
    for pod in sorted(found, key=lambda each: str(each["metadata"]["creationTimestamp"]))[::-1]:
        for each in (pod.get("status") or {}).get("conditions", ()):
            if each["type"] == "Ready" and each["status"] == "True":
                return str(pod["metadata"]["name"])
    return ""


def trouble_of(api: Api, pod: Thing) -> Trouble | None:
    """Say what keeps a pod from serving, nothing if it serves."""
    return pod_trouble(
        pod, lambda each: events_of(api, each), lambda each, name: last_line(api, each, name)
    )


def other_image(pods: list[Thing], image: str, same: Same, container: str = CONTAINER) -> str:
    """Say which pod runs another image than the one that is wanted, by its digest."""
    wanted = image.rpartition("@")[2]
    # pods that were asked to run another image belong to a rollout that goes on
    for pod in [pod for pod in pods if asked_image(pod, container) == image]:
        for each in (pod.get("status") or {}).get("containerStatuses", ()):
            running = str(each.get("imageID") or "")
            if each["name"] != container or "@" not in running or running.endswith(wanted):
                continue
            if not same(running):
                return f"pod {pod['metadata']['name']} runs {running}, not {wanted}"
    return ""


def asked_image(pod: Thing, container: str) -> str:
    """Give the image that a pod's container was asked to run; others may have put some beside."""
    found = pod["spec"]["containers"]
    return next((str(each["image"]) for each in found if each["name"] == container), "")


def events_of(api: Api, pod: Thing) -> list[Thing]:
    """Give what happened to a pod, oldest first."""
    found = api.list(EVENT, {}, f"involvedObject.uid={pod['metadata']['uid']}")
    return sorted(found, key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime")))


def last_line(api: Api, pod: Thing, container: str = "") -> str:
    """Give the last line that a container printed before it ended; by default the first one.

    Nothing where the node does not answer: what is known without it is told all the same.
    """
    name, which = pod["metadata"]["name"], container or _first(pod)
    try:
        text = api.log(name, 1, previous=True, container=which) or api.log(name, 1, container=which)
    except Retryable:
        return ""
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def logs_of(api: Api, name: str, lines: int, label: str = DEPLOYMENT_LABEL) -> str:
    """Give the last lines of every pod, each below its name when there are several."""
    pods = {str(pod["metadata"]["name"]): _first(pod) for pod in pods_of(api, name, label)}
    told = {pod: api.log(pod, lines, container=which) for pod, which in pods.items()}
    if len(told) == 1:
        return next(iter(told.values()))
    return "\n".join(f"== {pod}\n{text}" for pod, text in told.items())


def _first(pod: Thing) -> str:
    """Give the name of a pod's first container, where there are several: it is the server."""
    containers = pod["spec"]["containers"]
    return str(containers[0]["name"]) if len(containers) > 1 else ""
