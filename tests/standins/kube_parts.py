"""Subresources at the stand-in for a Kubernetes API: status, scale, log, token, binding."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import kube_verbs
from kube_answers import Answered, bad, conflict, not_found
from kube_kinds import BY_PLACE, Kind
from kube_patches import json_patch, merge_patch
from kube_verbs import JSON, Asked, unknown

if TYPE_CHECKING:
    from kube_api import KubeApi

Thing = dict[str, Any]
PROJECT = Kind("project.openshift.io", "v1", "Project", "projects", namespaced=False)


def answer(api: KubeApi, asked: Asked) -> tuple[int, Any]:
    """Do what is asked with a part of an object; raises `Answered`."""
    if asked.part not in asked.kind.parts:
        raise unknown()
    if asked.part in ("status", "finalize"):
        if asked.verb == "get":
            return 200, copy.deepcopy(api.store.get(*asked.place, asked.name))
        if asked.verb == "update":
            return 200, kube_verbs.update(api, asked, asked.body())
        return kube_verbs.patch(api, asked)
    parts = {"scale": _scale, "log": _log, "portforward": _forward, "token": _token,
             "binding": _bind}  # fmt: skip
    return parts[asked.part](api, asked)


def _scale(api: KubeApi, asked: Asked) -> tuple[int, Any]:
    found = api.store.all(*asked.place).get(asked.name)
    if found is None:
        raise not_found(replace(asked.kind, plural=f"{asked.kind.plural}/scale"), asked.name)
    thing = copy.deepcopy(found)
    if asked.verb == "get":
        return 200, scale(thing)
    told = asked.body()
    if asked.verb == "patch":
        told = (json_patch if asked.content == JSON else merge_patch)(scale(thing), told)
    wanted = (told.get("spec") or {}).get("replicas", 0)
    if not isinstance(wanted, int) or wanted < 0:
        raise Answered(422, "Invalid", f'Scale.autoscaling "{asked.name}" is invalid: '
                       f"spec.replicas: Invalid value: {wanted}: must be greater than or equal "
                       "to 0", kind="Scale", name=asked.name, group="autoscaling")  # fmt: skip
    thing["spec"]["replicas"] = wanted
    thing["metadata"]["resourceVersion"] = (told.get("metadata") or {}).get("resourceVersion")
    made = api.store.replace(asked.place, thing, asked.manager, "scale", dry=asked.dry)
    return 200, scale(made)


def scale(thing: Thing) -> Thing:
    """Give the scale of what has replicas."""
    meta = {name: thing["metadata"][name] for name in
            ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}  # fmt: skip
    chosen = thing["spec"]["selector"].get("matchLabels") or {}
    return {
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta,
        "spec": {"replicas": thing["spec"].get("replicas", 1)},
        "status": {"replicas": (thing.get("status") or {}).get("replicas", 0),
                   "selector": ",".join(f"{k}={v}" for k, v in sorted(chosen.items()))},
    }  # fmt: skip


def _log(api: KubeApi, asked: Asked) -> tuple[int, Any]:
    pod, query = api.store.get(*asked.place, asked.name), asked.query
    names = [each["name"] for each in pod["spec"]["containers"]]
    chosen = query.get("container") or names[0]
    if chosen not in names:
        raise bad(f"container {chosen} is not valid for pod {asked.name}")
    if len(names) > 1 and not query.get("container"):
        raise bad(f"a container name must be specified for pod {asked.name}, choose one of: "
                  f"[{' '.join(names)}]")  # fmt: skip
    lines = int(query.get("tailLines", 1_000_000))
    more = {"container": chosen} if len(names) > 1 else {}
    text = api.node.log(pod, lines, previous=query.get("previous") == "true", **more)
    if text is None:
        raise bad(f'container "{chosen}" in pod "{asked.name}" is waiting to start: '
                  "ContainerCreating")  # fmt: skip
    return 200, text


def _forward(api: KubeApi, asked: Asked) -> tuple[int, Any]:
    return 101, copy.deepcopy(api.store.get(*asked.place, asked.name))


def _token(api: KubeApi, asked: Asked) -> tuple[int, Any]:
    api.store.get(*asked.place, asked.name)
    body = asked.body()
    seconds = int((body.get("spec") or {}).get("expirationSeconds") or 3600)
    if seconds < 600:
        raise Answered(422, "Invalid", "TokenRequest.authentication.k8s.io \"\" is invalid: "
                       f"spec.expirationSeconds: Invalid value: {seconds}: may not specify a "
                       "duration less than 10 minutes")  # fmt: skip
    user = f"system:serviceaccount:{asked.namespace}:{asked.name}"
    made = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {}}
    return 201, made | body | {"status": api.store.issue(user, seconds)}


def _bind(api: KubeApi, asked: Asked) -> tuple[int, Any]:
    pod = copy.deepcopy(api.store.get(*asked.place, asked.name))
    if pod["spec"].get("nodeName"):
        told = f"pod {asked.name} is already assigned to node {pod['spec']['nodeName']!r}"
        raise conflict(BY_PLACE["", "pods"], asked.name, told)
    pod["spec"]["nodeName"] = asked.body()["target"]["name"]
    api.store.replace(asked.place, pod, asked.manager, "binding")
    return 201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                 "code": 201}  # fmt: skip


def project(api: KubeApi, user: str, method: str, rest: list[str], body: Thing) -> tuple[int, Any]:
    """Do what is asked with OpenShift's projects; raises `Answered`."""
    store, group = api.store, PROJECT.group
    if method == "POST" and rest == ["projectrequests"]:
        store.authorize(user, "create", group, "projectrequests", "", "")
        name = body["metadata"]["name"]
        if name in store.projects:
            raise Answered(409, "AlreadyExists", f'project.project.openshift.io "{name}" already '
                           "exists", name=name, group=group, kind="projects")  # fmt: skip
        store.projects[name] = "Active"
        return 201, _project(store.projects, name)
    if rest == ["projects"] and method == "GET":
        store.authorize(user, "list", group, "projects", "", "")
        rows = [_project(store.projects, name) for name in store.projects]
        return 200, {"kind": "ProjectList", "apiVersion": PROJECT.api_version, "metadata": {},
                     "items": rows}  # fmt: skip
    if len(rest) != 2 or method not in ("GET", "DELETE"):
        raise unknown()
    name, verb = rest[1], {"GET": "get", "DELETE": "delete"}[method]
    store.authorize(user, verb, group, "projects", name, name)
    if name not in store.projects:
        raise not_found(BY_PLACE["", "namespaces"], name)  # OpenShift looks for the namespace
    if verb == "delete":
        store.projects.data[name] = "Terminating"
        store.delete(("", "namespaces", ""), name, {})
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return 200, _project(store.projects, name)


def _project(projects: Any, name: str) -> Thing:
    return {"kind": "Project", "apiVersion": PROJECT.api_version, "metadata": {"name": name},
            "spec": {}, "status": {"phase": projects[name]}}  # fmt: skip
