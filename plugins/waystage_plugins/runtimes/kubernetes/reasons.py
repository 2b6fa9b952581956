"""Why pods do not run, in one word and one line for a person."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

Thing = dict[str, Any]
# asks for what happened to a pod, and for the last line that one of its containers printed
Events = Callable[[Thing], list[Thing]]
LastLine = Callable[[Thing, str], str]
PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "RegistryUnavailable",
        "ImageInspectError", "ErrImageNeverPull", "SignatureValidationFailed"}  # fmt: skip
CONFIG = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
          "PreCreateHookError", "PreStartHookError", "PostStartHookError"}  # fmt: skip
DENIED = re.compile(
    r"unauthorized|authentication required|no basic auth|denied|forbidden|\b40[13]\b"
)
UNKNOWN = re.compile(r"not found|manifest unknown|name unknown|does not exist|\b404\b")
# the registry or the way to it is away for a moment: kubelets try again
PASSING = re.compile(
    r"timeout|timed out|deadline exceeded|connection (?:refused|reset)|server misbehaving"
    r"|too many requests|unexpected eof|service unavailable|bad gateway|\b(?:429|50[0234])\b"
)
# refusals that controllers try again by themselves: an account or users of a namespace that is
# new, a quota that two pods wrote at once or that is not counted yet, a webhook that is away
SOON = re.compile(
    r"error looking up service account|retry after the service account is created"
    r"|unable to find annotation openshift\.io/|the object has been modified"
    r"|status unknown for quota|failed (?:calling|to call) (?:\w+ )?webhook|etcdserver"
)
DIGEST = re.compile(r"[0-9a-f]{64}")  # whose digits are no status
QUOTA = re.compile(r"(?:exceeded|failed) quota.*", re.DOTALL)
AS_ROOT = "runAsNonRoot and image"  # a kubelet's words for an image that names no user


class Trouble(NamedTuple):
    """What is wrong; `lasting` says that waiting alone will not mend it."""

    reason: str
    message: str
    lasting: bool


def pod_trouble(pod: Thing, events: Events, last_line: LastLine) -> Trouble | None:
    """Say what keeps a pod from serving; asks for events and log lines only when it needs them."""
    status = pod.get("status") or {}
    for each in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in PULL:
            return _pull(pod, waiting, events)
        if waiting.get("reason") in CONFIG:
            return Trouble("container", f"container: {_config(waiting)}", True)
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
    if SOON.search(told):
        return Trouble("not_created", f"pods are not created yet: {told}", False)
    if quota := QUOTA.search(told):
        return Trouble("quota", f"quota: {quota[0]}{_unlimited(told)}", True)
    if "security context constraint" in told or "violates PodSecurity" in told:
        return Trouble("forbidden", f"not admitted: {told}", True)
    return Trouble("not_created", f"pods are not created: {told}", True)


def _unlimited(told: str) -> str:
    """Say what a quota wants of pods that name no limit for the processor."""
    wanted = "must specify" in told and "limits.cpu" in told
    return '; say resources: {cpu_limit: "2"}, or any other' if wanted else ""


def _config(waiting: Thing) -> str:
    told = str(waiting.get("message") or waiting.get("reason"))
    return f"{told}; say user: 65532, or any other than 0" if AS_ROOT in told else told


def _pull(pod: Thing, waiting: Thing, events: Events) -> Trouble:
    told = [str(waiting.get("message") or "")]
    told += [str(each.get("message") or "") for each in events(pod)]
    whole = next((text for text in told if _word(text)), "")
    if not whole:
        whole = next((text for text in told if PASSING.search(_plain(text))), told[0])
    word = _word(whole) or str(waiting.get("reason"))
    lasting = bool(_word(whole)) or not PASSING.search(_plain(whole))
    return Trouble("image_pull", f"image pull: {word}: {_short(whole)}", lasting)


def _word(text: str) -> str:
    told = _plain(text)
    if DENIED.search(told):
        return "unauthorized"
    return "not found" if UNKNOWN.search(told) else ""


def _plain(text: str) -> str:
    return DIGEST.sub("", text.lower())


def _crash(pod: Thing, container: Thing, last_line: LastLine) -> Trouble:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    if ended.get("reason") == "OOMKilled":
        return Trouble("out_of_memory", "out of memory: give the runtime more memory", True)
    line = _short(last_line(pod, str(container.get("name", ""))))
    line = line or f"it printed nothing, exit code {ended.get('exitCode')}"
    return Trouble("crash_loop", f"crash loop: last log line: {line}", True)


def _unscheduled(status: Thing) -> Trouble | None:
    for each in status.get("conditions", ()):
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return Trouble("unschedulable", f"no node: {_short(each.get('message', ''))}", False)
    return None


def _warned(pod: Thing, events: Events, last_line: LastLine) -> Trouble | None:
    if _is_ready(pod):
        return None
    warned = [each for each in events(pod) if each.get("type") == "Warning"]
    if not warned:
        return None
    last = warned[-1]
    told = f"{last.get('reason')}: {_short(last.get('message', ''))}"
    if last.get("reason") == "Unhealthy" and (line := _short(last_line(pod, ""))):
        # a server without its model says so in its log and nowhere else
        told += f"; last log line: {line}"
    return Trouble("starting", told, False)


def _is_ready(pod: Thing) -> bool:
    conditions = (pod.get("status") or {}).get("conditions", ())
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _short(text: object) -> str:
    lines = str(text).strip().splitlines()
    return lines[-1][:300] if lines else ""
