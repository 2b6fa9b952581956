"""OpenShift's `restricted-v2`: which pods it lets in, and what it fills in.

Built from OpenShift's documentation of SecurityContextConstraints and from messages that users
of real clusters reported. A pod that asks for more is refused as there; one that asks for nothing
gets user, group, seccomp profile and dropped capabilities.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from kube_answers import Answered

Thing = dict[str, Any]
SCC = "restricted-v2"
FIRST_UID, UIDS = 1_000_000_000, 10_000
ADDABLE = {"NET_BIND_SERVICE"}
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
           "projected", "secret"}  # fmt: skip
HOST = ("hostNetwork", "hostPID", "hostIPC")
OTHERS = ("anyuid", "restricted", "nonroot-v2", "nonroot", "hostmount-anyuid", "hostnetwork-v2",
          "hostnetwork", "hostaccess", "privileged")  # fmt: skip
UNUSABLE = "Forbidden: not usable by user or serviceaccount"


def uid_range(namespace: str) -> tuple[int, int]:
    """Give the first and last user that a project's pods may have: its own, always the same."""
    block = int(hashlib.sha256(namespace.encode()).hexdigest()[:4], 16)
    first = FIRST_UID + block * UIDS
    return first, first + UIDS - 1


def constrain(pod: Thing, uids: tuple[int, int], name: str) -> None:
    """Hold a pod against `restricted-v2`, and fill in what it leaves open; raises 403."""
    told = list(_violations(pod, uids))
    if told:
        own = [f"provider {SCC}: {each}" for each in told]
        rest = [f'provider "{each}": {UNUSABLE}' for each in OTHERS]
        listed = ", ".join([rest[0], *own, *rest[1:]])
        raise Answered(
            403, "Forbidden",
            f'pods "{name}" is forbidden: unable to validate against any security context '
            f"constraint: [{listed}]",
        )  # fmt: skip
    spec = pod["spec"]
    outer = spec.setdefault("securityContext", {})
    outer.setdefault("fsGroup", uids[0])
    outer.setdefault("seLinuxOptions", {"level": "s0:c27,c4"})
    outer.setdefault("seccompProfile", {"type": "RuntimeDefault"})
    for each in _containers(pod):
        own = each.setdefault("securityContext", {})
        own.setdefault("runAsUser", outer.get("runAsUser", uids[0]))
        own.setdefault("allowPrivilegeEscalation", False)
        own.setdefault("runAsNonRoot", True)
        drop = own.setdefault("capabilities", {}).setdefault("drop", [])
        if "ALL" not in drop:
            drop.append("ALL")
    pod["metadata"].setdefault("annotations", {})["openshift.io/scc"] = SCC


def _violations(pod: Thing, uids: tuple[int, int]) -> Iterator[str]:
    spec = pod["spec"]
    outer, span = spec.get("securityContext") or {}, f"[{uids[0]}, {uids[1]}]"
    group = outer.get("fsGroup")
    if group is not None and not uids[0] <= group <= uids[1]:
        yield (f".spec.securityContext.fsGroup: Invalid value: []int64{{{group}}}: "
               f"{group} is not an allowed group")  # fmt: skip
    for flag in HOST:
        if spec.get(flag):
            yield f".spec.securityContext.{flag}: Invalid value: true: {flag} is not allowed"
    for at, volume in enumerate(spec.get("volumes") or ()):
        for kind in set(volume) - {"name"} - VOLUMES:
            yield (f".spec.volumes[{at}]: Invalid value: \"{kind}\": "
                   f"{kind} volumes are not allowed to be used")  # fmt: skip
    for at, each in enumerate(_containers(pod)):
        yield from _of_container(f".containers[{at}]", each, outer, uids, span)


def _of_container(
    at: str, container: Thing, outer: Thing, uids: tuple[int, int], span: str
) -> Iterator[str]:
    own = container.get("securityContext") or {}
    user = own.get("runAsUser", outer.get("runAsUser"))
    if user is not None and not uids[0] <= user <= uids[1]:
        yield f"{at}.runAsUser: Invalid value: {user}: must be in the ranges: {span}"
    if own.get("privileged"):
        yield f"{at}.privileged: Invalid value: true: Privileged containers are not allowed"
    if own.get("allowPrivilegeEscalation"):
        yield (f"{at}.allowPrivilegeEscalation: Invalid value: true: Allowing privilege "
               "escalation for containers is not allowed")  # fmt: skip
    for each in (own.get("capabilities") or {}).get("add") or ():
        if each not in ADDABLE:
            yield f'{at}.capabilities.add: Invalid value: "{each}": capability may not be added'
    for scope in (own, outer):
        kind = (scope.get("seccompProfile") or {}).get("type", "RuntimeDefault")
        if kind != "RuntimeDefault":
            yield (f"{at}.seccompProfile: Forbidden: seccomp profile {kind} is not allowed, "
                   "only runtime/default")  # fmt: skip
    for port in container.get("ports") or ():
        if port.get("hostPort"):
            yield f"{at}.hostPort: Invalid value: {port['hostPort']}: Host ports are not allowed"


def _containers(pod: Thing) -> list[Thing]:
    return [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
