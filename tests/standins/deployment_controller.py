"""Deployments and ReplicaSets as a cluster's controllers keep them."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from typing import Any

from kube_hand import Hand, conditions, is_going, is_ready, reference, seconds_since

Thing = dict[str, Any]
HASH, REVISION = "pod-template-hash", "deployment.kubernetes.io/revision"
DONE, LATE = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"


def keep_deployment(hand: Hand, thing: Thing) -> None:
    """Bring a Deployment's ReplicaSets and status to where they should be now."""
    sets = hand.owned("apps", "replicasets", thing)
    mark, wanted = template_hash(thing), int(thing["spec"].get("replicas", 1))
    new = next((each for each in sets if _mark(each) == mark), None)
    if new is None:
        new = _new_set(hand, thing, mark, sets)
        sets.append(new)
    old = [each for each in sets if each["metadata"]["uid"] != new["metadata"]["uid"]]
    surge, unavailable = _room(thing, wanted)
    if (thing["spec"].get("strategy") or {}).get("type") == "Recreate":
        for each in old:
            _scale(hand, each, 0)
        if not any(_pods(hand, each) for each in old):
            _scale(hand, new, wanted)
    else:
        total = sum(_replicas(each) for each in sets)
        room = wanted + surge - total
        _scale(hand, new, min(wanted, _replicas(new) + max(0, room)))
        _scale_down(hand, old, new, wanted - unavailable)
    keep = int(thing["spec"].get("revisionHistoryLimit", 10))
    empty = [each for each in old if not _replicas(each) and not _pods(hand, each)]
    for each in empty[: max(0, len(empty) - keep)]:
        hand.delete("apps", "replicasets", each)
    _tell(hand, thing, mark)


def keep_replica_set(hand: Hand, thing: Thing) -> None:
    """Make and take away the pods of a ReplicaSet, and tell how many there are."""
    pods, wanted, refused = _pods(hand, thing), _replicas(thing), ""
    alive = [each for each in pods if (each.get("status") or {}).get("phase") != "Failed"]
    for each in sorted(alive, key=is_ready)[: max(0, len(alive) - wanted)]:
        hand.delete("", "pods", each)
    labels = {HASH: _mark(thing)}
    for _ in range(wanted - len(alive)):
        refused = hand.pod(thing, thing["spec"]["template"], labels, thing["metadata"]["name"])
        if refused:
            hand.warn(thing, "FailedCreate", f"Error creating: {refused}")
            break
    pods = _pods(hand, thing)
    ready = sum(map(is_ready, pods))
    status: Thing = {"replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready,
                     "observedGeneration": thing["metadata"]["generation"]}  # fmt: skip
    if refused:
        status["conditions"] = conditions(thing, _failure(refused))
    hand.change("apps", "replicasets", thing, status=status)


def template_hash(thing: Thing) -> str:
    """Give the mark of a Deployment's pods: the same for the same template."""
    raw = json.dumps(thing["spec"]["template"], sort_keys=True).encode()
    return hashlib.sha256(raw).hexdigest()[:10]


def seconds_left(thing: Thing) -> float | None:
    """Give the time that a Deployment has to make progress, None if none runs."""
    told = {c["type"]: c for c in (thing.get("status") or {}).get("conditions") or ()}
    progress = told.get("Progressing") or {}
    if progress.get("reason") in (None, DONE, LATE):
        return None
    limit = float(thing["spec"].get("progressDeadlineSeconds", 600))
    return limit - seconds_since(progress["lastUpdateTime"])


def _new_set(hand: Hand, thing: Thing, mark: str, sets: list[Thing]) -> Thing:
    template = copy.deepcopy(thing["spec"]["template"])
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = mark
    chosen = thing["spec"]["selector"]["matchLabels"] | {HASH: mark}
    revision = 1 + max((int(e["metadata"]["annotations"][REVISION]) for e in sets), default=0)
    return hand.create("apps", "replicasets", {
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": f"{thing['metadata']['name']}-{mark}", "labels": chosen,
                     "annotations": {REVISION: str(revision)},
                     "ownerReferences": [reference(thing)]},
        "spec": {"replicas": 0, "selector": {"matchLabels": chosen}, "template": template},
        "status": {"replicas": 0},
    })  # fmt: skip


def _room(thing: Thing, wanted: int) -> tuple[int, int]:
    told = (thing["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = _share(told.get("maxSurge", "25%"), wanted, math.ceil)
    unavailable = _share(told.get("maxUnavailable", "25%"), wanted, math.floor)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _share(value: Any, wanted: int, rounded: Any) -> int:
    text = str(value)
    return int(rounded(wanted * int(text[:-1]) / 100)) if text.endswith("%") else int(text)


def _scale_down(hand: Hand, old: list[Thing], new: Thing, least: int) -> None:
    """Take away old pods: first those that are not ready, then as many as there are to spare."""
    old = [each for each in old if _replicas(each)]
    for each in old:
        unready = [pod for pod in _pods(hand, each) if not is_ready(pod)]
        _scale(hand, each, _replicas(each) - min(len(unready), _replicas(each)))
    ready = sum(is_ready(pod) for each in (*old, new) for pod in _pods(hand, each))
    for each in old:
        now_there = _current(hand, each)
        spare = min(max(0, ready - least), _replicas(now_there))
        _scale(hand, now_there, _replicas(now_there) - spare)
        ready -= spare


def _scale(hand: Hand, thing: Thing, replicas: int) -> None:
    there = _current(hand, thing)
    hand.change("apps", "replicasets", there, spec=there["spec"] | {"replicas": replicas})


def _current(hand: Hand, thing: Thing) -> Thing:
    name = thing["metadata"]["name"]
    return hand.store.get("apps", "replicasets", hand.namespace, name)


def _tell(hand: Hand, thing: Thing, mark: str) -> None:
    sets = hand.owned("apps", "replicasets", thing)
    pods = [pod for each in sets for pod in _pods(hand, each)]
    new = next(each for each in sets if _mark(each) == mark)
    updated, wanted = len(_pods(hand, new)), int(thing["spec"].get("replicas", 1))
    available = sum(map(is_ready, pods))
    failed = [c for each in sets for c in (each.get("status") or {}).get("conditions") or ()]
    told = [_progress(thing, new, (len(pods), updated, available), wanted)]
    enough = available >= wanted - _room(thing, wanted)[1]
    word = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
    told.insert(0, {"type": "Available", "status": str(enough), "reason": word})
    if failed:
        told.append({k: v for k, v in failed[0].items() if not k.startswith("last")})
    hand.change("apps", "deployments", thing, status={
        "observedGeneration": thing["metadata"]["generation"], "replicas": len(pods),
        "updatedReplicas": updated, "readyReplicas": available, "availableReplicas": available,
        "unavailableReplicas": max(0, wanted - available), "conditions": conditions(thing, *told),
    })  # fmt: skip


def _progress(thing: Thing, new: Thing, counts: tuple[int, int, int], wanted: int) -> Thing:
    known = {c["type"]: c for c in (thing.get("status") or {}).get("conditions") or ()}
    before = known.get("Progressing") or {}
    named = f'ReplicaSet "{new["metadata"]["name"]}"'
    done = {"type": "Progressing", "status": "True", "reason": DONE,
            "message": f"{named} has successfully progressed."}  # fmt: skip
    if counts == (wanted, wanted, wanted) or before.get("message") == done["message"]:
        return done  # what was complete once stays so until there is another template
    late = {"type": "Progressing", "status": "False", "reason": LATE,
            "message": f"{named} has timed out progressing."}  # fmt: skip
    if before.get("message") == late["message"]:
        return late
    if before.get("message") == f"{named} is progressing.":
        limit = thing["spec"].get("progressDeadlineSeconds", 600)
        if seconds_since(before["lastUpdateTime"]) > limit:
            return late
    return {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
            "message": f"{named} is progressing."}  # fmt: skip


def _failure(message: str) -> Thing:
    return {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": message}  # fmt: skip


def _pods(hand: Hand, owner: Thing) -> list[Thing]:
    return [each for each in hand.owned("", "pods", owner) if not is_going(each)]


def _replicas(thing: Thing) -> int:
    return int(thing["spec"].get("replicas", 1))


def _mark(thing: Thing) -> str:
    return str(thing["metadata"]["labels"].get(HASH))
