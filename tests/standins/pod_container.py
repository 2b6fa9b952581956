"""What a container of a pod becomes on a Docker engine: who it runs as, what it may, what it sees.

Each rule is the kubelet's: what a pod asks for is given as asked or refused in the kubelet's words,
never left out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

Thing = dict[str, Any]
Lookup = Callable[[str, str], Thing | None]  # plural and name, to an object of the namespace
UNITS = {"m": Decimal("0.001"), "": 1, "k": 10**3, "M": 10**6, "G": 10**9,
         "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}  # fmt: skip
SHARES = 1024  # of a processor, as Docker counts them
UNSUPPORTED = ("envFrom", "volumeDevices")


class NotMade(Exception):
    """A container cannot be made; `reason` is the one that its state shows."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def settings_of(
    pod: Thing, container: Thing, image_user: str, volumes: Mapping[str, Path], lookup: Lookup
) -> Thing:
    """Give what the engine is to make of a container; raises `NotMade`."""
    for each in UNSUPPORTED:
        if container.get(each):
            raise NotMade("CreateContainerConfigError", f"this node knows no {each}")
    own, limits = container.get("securityContext") or {}, _limits(container)
    given: Thing = {
        "user": user_of(pod, container, image_user),
        "group_add": [str(g) for g in _groups(pod)],
        "read_only": bool(own.get("readOnlyRootFilesystem")),
        "privileged": bool(own.get("privileged")),
        "cap_drop": list((own.get("capabilities") or {}).get("drop") or ()),
        "cap_add": list((own.get("capabilities") or {}).get("add") or ()),
        "security_opt": _options(pod, own),
        "environment": environment_of(pod, container, lookup),
        "volumes": _mounts(container, volumes),
        **limits,
    }
    if container.get("command"):
        given["entrypoint"] = expanded(container["command"], given["environment"])
    if container.get("args"):
        given["command"] = expanded(container["args"], given["environment"])
    if container.get("workingDir"):
        given["working_dir"] = container["workingDir"]
    return given


def user_of(pod: Thing, container: Thing, image_user: str) -> str:
    """Give user and group as numbers; raises `NotMade` for root where that is not wanted."""
    own, all_of_it = container.get("securityContext") or {}, _security(pod)
    wanted = own.get("runAsUser", all_of_it.get("runAsUser"))
    group = own.get("runAsGroup", all_of_it.get("runAsGroup"))
    user, _, of_image = image_user.partition(":")
    if own.get("runAsNonRoot", all_of_it.get("runAsNonRoot")):
        told = f'(pod: "{pod["metadata"]["name"]}", container: {container["name"]})'
        if wanted is None and not user.isdigit() and user not in ("", "root"):
            why = f"container has runAsNonRoot and image has non-numeric user ({user}), "
            why += f"cannot verify user is non-root {told}"
            raise NotMade("CreateContainerConfigError", why)
        if wanted == 0 or (wanted is None and user in ("", "root", "0")):
            which = "container's runAsUser breaks non-root policy" if wanted == 0 else (
                "container has runAsNonRoot and image will run as root"
            )  # fmt: skip
            raise NotMade("CreateContainerConfigError", f"{which} {told}")
    return f"{user or 0 if wanted is None else wanted}:{of_image or 0 if group is None else group}"


def environment_of(pod: Thing, container: Thing, lookup: Lookup) -> dict[str, str]:
    """Give the variables of a container, those that stand for others filled in."""
    given: dict[str, str] = {}
    for each in container.get("env") or ():
        if "valueFrom" in each:
            given[each["name"]] = _from(pod, each["valueFrom"], lookup)
        else:
            given[each["name"]] = expanded([each.get("value", "")], given)[0]
    return given


def expanded(words: list[str], given: Mapping[str, str]) -> list[str]:
    """Fill in `$(NAME)` as Kubernetes does: unknown ones stay, `$$(` is a dollar."""

    def put(found: re.Match[str]) -> str:
        return f"$({found[2]})" if found[1] else given.get(found[2], found[0])

    return [re.sub(r"\$(\$)?\((\w+)\)", put, word) for word in words]


def field_of(pod: Thing, path: str) -> str:
    """Give a field of a pod by the path that the downward API knows it by."""
    named = re.fullmatch(r"metadata\.(annotations|labels)\['([^']+)'\]", path)
    if named:
        return str((pod["metadata"].get(named[1]) or {}).get(named[2], ""))
    at: Any = pod
    for step in path.split("."):
        at = (at or {}).get(step)
    return str(at or "")


def amount(text: str | int | float) -> Decimal:
    """Read a quantity: `500m`, `1Gi`."""
    found = re.fullmatch(r"([0-9.]+)(m|k|M|G|Ki|Mi|Gi)?", str(text))
    if found is None:
        raise NotMade("CreateContainerConfigError", f"{text} is no quantity")
    return Decimal(found[1]) * UNITS[found[2] or ""]


def _security(pod: Thing) -> Thing:
    return pod["spec"].get("securityContext") or {}


def _groups(pod: Thing) -> list[int]:
    more = _security(pod).get("supplementalGroups") or []
    return [*more, *([_security(pod)["fsGroup"]] if "fsGroup" in _security(pod) else [])]


def _options(pod: Thing, own: Thing) -> list[str]:
    """Give the engine's security options; without a profile Kubernetes filters no calls."""
    profile = own.get("seccompProfile") or _security(pod).get("seccompProfile") or {}
    options = [] if profile.get("type") == "RuntimeDefault" else ["seccomp=unconfined"]
    return options + (["no-new-privileges"] if own.get("allowPrivilegeEscalation") is False else [])


def _limits(container: Thing) -> Thing:
    told = container.get("resources") or {}
    limits, asked = told.get("limits") or {}, told.get("requests") or {}
    given: Thing = {}
    if "memory" in limits:  # no swap beyond it
        given |= dict.fromkeys(("mem_limit", "memswap_limit"), int(amount(limits["memory"])))
    if "cpu" in limits:
        given["nano_cpus"] = int(amount(limits["cpu"]) * 10**9)
    if "cpu" in asked:
        given["cpu_shares"] = max(2, int(amount(asked["cpu"]) * SHARES))
    return given


def _mounts(container: Thing, volumes: Mapping[str, Path]) -> Thing:
    given: Thing = {}
    for each in container.get("volumeMounts") or ():
        if each.get("subPath") or each["name"] not in volumes:
            raise NotMade("CreateContainerConfigError", f"volume {each['name']} cannot be mounted")
        mode = "ro" if each.get("readOnly") else "rw"
        given[str(volumes[each["name"]])] = {"bind": each["mountPath"], "mode": mode}
    return given


def _from(pod: Thing, source: Thing, lookup: Lookup) -> str:
    if "fieldRef" in source:
        return field_of(pod, source["fieldRef"]["fieldPath"])
    for kind, plural in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
        if kind in source:
            name, key = source[kind]["name"], source[kind]["key"]
            found = lookup(plural, name)
            if found is None:
                told = f'{plural[:-1].replace("configmap", "configmap")} "{name}" not found'
                raise NotMade("CreateContainerConfigError", told)
            data = plain_data(found)
            if key not in data:
                told = f"couldn't find key {key} in {found.get('kind', plural)} {name}"
                raise NotMade("CreateContainerConfigError", told)
            return data[key].decode()
    raise NotMade("CreateContainerConfigError", f"this node knows no {', '.join(source)}")


def plain_data(thing: Thing) -> dict[str, bytes]:
    """Give what a ConfigMap or a Secret holds."""
    import base64

    if thing.get("kind") == "Secret":
        return {k: base64.b64decode(v) for k, v in (thing.get("data") or {}).items()}
    return {k: str(v).encode() for k, v in (thing.get("data") or {}).items()}
