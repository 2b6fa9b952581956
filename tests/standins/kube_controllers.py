"""What controllers of a cluster do with Deployments and Jobs, for a stand-in API."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from kube_store import Store

Thing = dict[str, Any]


class Controllers:
    """Pods for Deployments (one more at a time, none less) and for Jobs, and their status."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._busy = False
        store.after.append(self.settle)

    def settle(self) -> None:
        """Do what there is to do, until there is nothing more."""
        if self._busy:
            return
        self._busy = True
        try:
            for (group, plural, namespace), things in list(self.store.things.items()):
                for thing in list(things.values()):
                    if (group, plural) == ("apps", "deployments"):
                        self._deployment(thing, namespace)
                    elif (group, plural) == ("batch", "jobs"):
                        self._job(thing, namespace)
                    elif plural == "inferenceservices":
                        self._inference(thing, namespace)
        finally:
            self._busy = False

    def _deployment(self, thing: Thing, namespace: str) -> None:
        spec = thing["spec"]
        template = spec["template"]
        mark = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        wanted, refused = spec.setdefault("replicas", 1), ""
        for _ in range(wanted + 2):
            pods = self._owned(thing, namespace)
            new = [pod for pod in pods if _mark(pod) == mark]
            old = [pod for pod in pods if _mark(pod) != mark]
            if len(new) < wanted and len(pods) <= wanted:
                refused = self._pod(thing, namespace, mark)
                if refused:
                    break
            elif len(new) > wanted:
                self._drop(new[-1], namespace)
            elif old and (sum(map(_ready, pods)) > wanted or not _ready(old[0])):
                self._drop(old[0], namespace)
            else:
                break
        self._status(thing, namespace, mark, refused)

    def _status(self, thing: Thing, namespace: str, mark: str, refused: str) -> None:
        pods = self._owned(thing, namespace)
        new = [pod for pod in pods if _mark(pod) == mark]
        available, wanted = sum(map(_ready, pods)), thing["spec"]["replicas"]
        done = len(pods) == len(new) == available == wanted
        before = {c["type"]: c for c in thing.get("status", {}).get("conditions", ())}
        was = before.get("Progressing", {}).get("reason") == "NewReplicaSetAvailable"
        complete = done or (was and len(new) == wanted)
        reason = "NewReplicaSetAvailable" if complete else "ReplicaSetUpdated"
        conditions = [{"type": "Progressing", "status": "True", "reason": reason}]
        if refused:
            conditions.append({"type": "ReplicaFailure", "status": "True",
                               "reason": "FailedCreate", "message": refused})  # fmt: skip
        thing["status"] = {
            "observedGeneration": thing["metadata"]["generation"], "replicas": len(pods),
            "updatedReplicas": len(new), "availableReplicas": available,
            "conditions": conditions,
        }  # fmt: skip

    def _pod(self, owner: Thing, namespace: str, mark: str) -> str:
        """Make a pod; answer why the quota does not let it be."""
        pods = self.store.all("", "pods", namespace)
        for quota in self.store.all("", "resourcequotas", namespace).values():
            most = int(quota["spec"]["hard"]["pods"])
            if len(pods) >= most:
                return (
                    f'pods "{owner["metadata"]["name"]}-x" is forbidden: exceeded quota: '
                    f"{quota['metadata']['name']}, requested: pods=1, used: pods={len(pods)}, "
                    f"limited: pods={most}"
                )
        pod = copy.deepcopy(owner["spec"]["template"])
        meta = pod.setdefault("metadata", {})
        meta["generateName"] = f"{owner['metadata']['name']}-{mark[:5]}-"
        meta.setdefault("labels", {})["pod-template-hash"] = mark
        meta["ownerReferences"] = [{"uid": owner["metadata"]["uid"], "kind": owner["kind"]}]
        pod |= {"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Pending"}}
        self.store.create(("", "pods", namespace), pod, "controllers")
        return ""

    def _job(self, thing: Thing, namespace: str) -> None:
        status = thing.setdefault("status", {})
        if any(each["status"] == "True" for each in status.get("conditions", ())):
            return
        pods = self._owned(thing, namespace)
        if not pods:
            refused = self._pod(thing, namespace, "job")
            if refused:
                status["refused"] = refused
            return
        phase = pods[0].get("status", {}).get("phase")
        status["active"] = int(phase in ("Pending", "Running"))
        if phase in ("Succeeded", "Failed"):
            kind = "Complete" if phase == "Succeeded" else "Failed"
            status["conditions"] = [{"type": kind, "status": "True",
                                     "reason": "", "message": ""}]  # fmt: skip
            status["completionTime"] = datetime.now(UTC).isoformat()

    def _inference(self, thing: Thing, namespace: str) -> None:
        """What KServe does with a predictor in raw deployment mode, without the parts between."""
        name, predictor = thing["metadata"]["name"], thing["spec"]["predictor"]
        inside = {"template": {"metadata": {"labels": {"serving.kserve.io/inferenceservice": name}},
                               "spec": predictor}}  # fmt: skip
        image = predictor["containers"][0]["image"]
        mark = hashlib.sha256(image.encode()).hexdigest()[:10]
        for pod in self._owned(thing, namespace):
            if _mark(pod) != mark:
                self._drop(pod, namespace)
        pods = self._owned(thing, namespace)
        for _ in range(predictor["minReplicas"] - len(pods)):
            self._pod(thing | {"spec": inside}, namespace, mark)
        pods = self._owned(thing, namespace)
        ready = "True" if all(map(_ready, pods)) else "False"
        thing["status"] = {
            "observedGeneration": thing["metadata"]["generation"],
            "conditions": [{"type": "Ready", "status": ready, "reason": "", "message": ""}],
        } | ({"url": f"http://{name}.{namespace}.example"} if ready == "True" else {})

    def _owned(self, owner: Thing, namespace: str) -> list[Thing]:
        uid = owner["metadata"]["uid"]
        return [
            pod
            for pod in self.store.all("", "pods", namespace).values()
            if any(each["uid"] == uid for each in pod["metadata"].get("ownerReferences", ()))
        ]

    def _drop(self, pod: Thing, namespace: str) -> None:
        self.store.delete(("", "pods", namespace), pod["metadata"]["name"], {})


def _mark(pod: Thing) -> str:
    return str(pod["metadata"]["labels"].get("pod-template-hash"))


def _ready(pod: Thing) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
