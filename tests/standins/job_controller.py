"""Jobs as a cluster's controller keeps them: pods until one is through or too many failed."""

from __future__ import annotations

from typing import Any

from kube_hand import Hand, conditions, is_going, now, seconds_since

Thing = dict[str, Any]


def keep_job(hand: Hand, thing: Thing) -> None:
    """Make the pods of a Job, and tell how it goes."""
    status = dict(thing.get("status") or {})
    if is_over(thing):
        return
    spec, pods = thing["spec"], hand.owned("", "pods", thing)
    phases = [(each.get("status") or {}).get("phase") for each in pods]
    failed, succeeded = phases.count("Failed"), phases.count("Succeeded")
    active = [p for p, phase in zip(pods, phases, strict=True)
              if phase not in ("Failed", "Succeeded") and not is_going(p)]  # fmt: skip
    status |= {"failed": failed, "succeeded": succeeded, "active": len(active)}
    status.setdefault("startTime", now())
    limit = spec.get("activeDeadlineSeconds")
    if succeeded >= int(spec.get("completions", 1)):
        told = "Reached expected number of succeeded pods"
        _end(hand, thing, status, active, "Complete", "CompletionsReached", told)
    elif failed > int(spec.get("backoffLimit", 6)):
        told = "Job has reached the specified backoff limit"
        _end(hand, thing, status, active, "Failed", "BackoffLimitExceeded", told)
    elif limit is not None and seconds_since(status["startTime"]) >= int(limit):
        told = "Job was active longer than specified deadline"
        _end(hand, thing, status, active, "Failed", "DeadlineExceeded", told)
    else:
        missing = int(spec.get("parallelism", 1)) - len(active)
        status["active"] += _add(hand, thing, missing)
        hand.change("batch", "jobs", thing, status=status)


def seconds_left(thing: Thing) -> float | None:
    """Give the time that a Job may still be at work, None if it has no end or has ended."""
    limit, begun = thing["spec"].get("activeDeadlineSeconds"), (thing.get("status") or {})
    if limit is None or "startTime" not in begun or is_over(thing):
        return None
    return float(limit) - seconds_since(begun["startTime"])


def is_over(thing: Thing) -> bool:
    """Whether a Job has ended, well or not."""
    told = (thing.get("status") or {}).get("conditions") or ()
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in told)


def _add(hand: Hand, thing: Thing, missing: int) -> int:
    name, uid = thing["metadata"]["name"], thing["metadata"]["uid"]
    labels = {"batch.kubernetes.io/job-name": name, "batch.kubernetes.io/controller-uid": uid,
              "job-name": name, "controller-uid": uid}  # fmt: skip
    for made in range(missing):
        refused = hand.pod(thing, thing["spec"]["template"], labels, name)
        if refused:
            hand.warn(thing, "FailedCreate", f"Error creating: {refused}")
            return made
    return max(0, missing)


def _end(
    hand: Hand, thing: Thing, status: Thing, active: list[Thing], kind: str, reason: str, told: str
) -> None:
    for pod in active:
        hand.delete("", "pods", pod)
    status |= {"active": 0}
    if kind == "Complete":
        status["completionTime"] = now()
    ended = {"type": kind, "status": "True", "reason": reason, "message": told}
    hand.change("batch", "jobs", thing, status=status | {"conditions": conditions(thing, ended)})
