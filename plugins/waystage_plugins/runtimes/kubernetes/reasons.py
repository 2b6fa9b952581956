"""Why pods do not run, in one word and one line for a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Thing = dict[str, Any]
PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "RegistryUnavailable"}
CONFIG = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
DENIED = ("unauthorized", "authentication required", "denied", "forbidden", "401", "403")
UNKNOWN = ("not found", "manifest unknown", "name unknown", "does not exist", "404")


class Trouble(NamedTuple):
    """What is wrong; `lasting` says that waiting alone will not mend it."""

    reason: str
    message: str
    lasting: bool


def pod_trouble(
    pod: Thing, events: Callable[[Thing], list[Thing]], last_line: Callable[[Thing], str]
) -> Trouble | None:
    """Say what keeps a pod from serving; asks for events and log lines only when it needs them."""
    status = pod.get("status") or {}
    for each in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in PULL:
            return _pull(pod, waiting, events)
        if waiting.get("reason") in CONFIG:
            return Trouble("container", f"container: {waiting.get('message', '')}", True)
        if waiting.get("reason") == "CrashLoopBackOff":
            return _crash(pod, each, last_line)
    if status.get("reason") == "Evicted":
        return Trouble("evicted", f"evicted: {status.get('message', '')}", False)
    return _unscheduled(status) or _warned(pod, events, last_line)


def refused_pods(conditions: dict[str, Thing]) -> Trouble | None:
    """Say why the cluster makes no pods at all, by the conditions of their Deployment."""
    failed = conditions.get("ReplicaFailure") or {}
    if failed.get("status") != "True":
        return None
    return denied_pods(str(failed.get("message") or ""))


def denied_pods(told: str) -> Trouble:
    """Say why pods were not let in, by the words of whoever refused them."""
    if "exceeded quota" in told:
        return Trouble("quota", "quota: " + told[told.index("exceeded quota") :], True)
    if "security context constraint" in told or "violates PodSecurity" in told:
        return Trouble("forbidden", f"not admitted: {told}", True)
    return Trouble("not_created", f"pods are not created: {told}", True)


def _pull(pod: Thing, waiting: Thing, events: Callable[[Thing], list[Thing]]) -> Trouble:
    told = [str(waiting.get("message") or "")]
    told += [str(each.get("message") or "") for each in events(pod)]
    whole = next((text for text in told if _word(text)), told[0])
    word = _word(whole) or str(waiting.get("reason"))
    return Trouble("image_pull", f"image pull: {word}: {_short(whole)}", True)


def _word(text: str) -> str:
    low = text.lower()
    if any(word in low for word in DENIED):
        return "unauthorized"
    return "not found" if any(word in low for word in UNKNOWN) else ""


def _crash(pod: Thing, container: Thing, last_line: Callable[[Thing], str]) -> Trouble:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    if ended.get("reason") == "OOMKilled":
        return Trouble("out_of_memory", "out of memory: give the runtime more memory", True)
    line = _short(last_line(pod)) or f"it printed nothing, exit code {ended.get('exitCode')}"
    return Trouble("crash_loop", f"crash loop: last log line: {line}", True)


def _unscheduled(status: Thing) -> Trouble | None:
    for each in status.get("conditions", ()):
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return Trouble("unschedulable", f"no node: {_short(each.get('message', ''))}", False)
    return None


def _warned(
    pod: Thing, events: Callable[[Thing], list[Thing]], last_line: Callable[[Thing], str]
) -> Trouble | None:
    if _is_ready(pod):
        return None
    warned = [each for each in events(pod) if each.get("type") == "Warning"]
    if not warned:
        return None
    last = warned[-1]
    told = f"{last.get('reason')}: {_short(last.get('message', ''))}"
    if last.get("reason") == "Unhealthy" and (line := _short(last_line(pod))):
        # a server without its model says so in its log and nowhere else
        told += f"; last log line: {line}"
    return Trouble("starting", told, False)


def _is_ready(pod: Thing) -> bool:
    conditions = (pod.get("status") or {}).get("conditions", ())
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _short(text: object) -> str:
    lines = str(text).strip().splitlines()
    return lines[-1][:300] if lines else ""
