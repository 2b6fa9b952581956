"""What a stand-in for a Kubernetes API keeps: objects with versions, owners, roles, tokens."""

from __future__ import annotations

import copy
import itertools
import secrets
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import kube_fields

Thing = dict[str, Any]
Place = tuple[str, str, str]  # group, plural, namespace
KINDS = {
    ("", "pods"): "Pod", ("", "services"): "Service", ("", "events"): "Event",
    ("", "serviceaccounts"): "ServiceAccount", ("", "resourcequotas"): "ResourceQuota",
    ("", "endpoints"): "Endpoints", ("", "secrets"): "Secret", ("", "configmaps"): "ConfigMap",
    ("apps", "deployments"): "Deployment", ("apps", "replicasets"): "ReplicaSet",
    ("batch", "jobs"): "Job",
    ("autoscaling", "horizontalpodautoscalers"): "HorizontalPodAutoscaler",
    ("policy", "poddisruptionbudgets"): "PodDisruptionBudget",
    ("rbac.authorization.k8s.io", "roles"): "Role",
    ("rbac.authorization.k8s.io", "rolebindings"): "RoleBinding",
    ("route.openshift.io", "routes"): "Route",
    ("image.openshift.io", "imagestreams"): "ImageStream",
    ("serving.kserve.io", "inferenceservices"): "InferenceService",
}  # fmt: skip


class Answered(Exception):  # an answer of the API other than the object asked for
    """The API says no."""

    def __init__(self, code: int, reason: str, message: str, causes: Any = ()) -> None:
        super().__init__(message)
        self.body = {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": message, "details": {"causes": list(causes)},
        }  # fmt: skip
        self.code = code


class Store:
    """Objects by place and name. Every change gets a version; a changed spec a generation."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.things: dict[Place, dict[str, Thing]] = {}
        self.projects: dict[str, str] = {}  # of OpenShift, with their phase
        self.tokens: dict[str, tuple[str, datetime]] = {}
        self.calls: list[tuple[str, str, str, str]] = []  # user, verb, group, resource
        self.after: list[Callable[[], None]] = []  # controllers, called after each change
        self._numbers = itertools.count(1)

    def all(self, group: str, plural: str, namespace: str) -> dict[str, Thing]:
        """Give the objects of a kind."""
        return self.things.setdefault((group, plural, namespace), {})

    def get(self, group: str, plural: str, namespace: str, name: str) -> Thing:
        """Give an object; raises 404."""
        found = self.all(group, plural, namespace).get(name)
        if found is None:
            what = f"{plural}.{group}" if group else plural
            raise Answered(404, "NotFound", f'{what} "{name}" not found')
        return found

    def put(self, place: Place, thing: Thing, live: Thing | None) -> Thing:
        """Keep an object under a new version."""
        meta = thing["metadata"]
        if live is None:
            meta["uid"] = str(uuid.uuid4())
            meta["creationTimestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            meta["generation"] = 1
        elif thing.get("spec") != live.get("spec"):
            meta["generation"] = live["metadata"].get("generation", 1) + 1
        if live is None or thing != live:
            meta["resourceVersion"] = str(next(self._numbers))
        self.all(*place)[meta["name"]] = thing
        return thing

    def create(self, place: Place, thing: Thing, manager: str) -> Thing:
        """Make an object; raises 409 when its name is taken."""
        meta = thing.setdefault("metadata", {})
        if "name" not in meta:
            meta["name"] = meta.pop("generateName") + secrets.token_hex(3)
        if meta["name"] in self.all(*place):
            raise Answered(409, "AlreadyExists", f'{place[1]} "{meta["name"]}" already exists')
        meta["namespace"] = place[2]
        self.put(place, kube_fields.updated(None, thing, manager), None)
        return self.changed(thing)

    def replace(self, place: Place, thing: Thing, manager: str) -> Thing:
        """Change an object by other means than applying; raises 409 for an old version."""
        live = self.get(*place, thing["metadata"]["name"])
        version = thing["metadata"].get("resourceVersion")
        if version not in (None, live["metadata"]["resourceVersion"]):
            raise Answered(409, "Conflict", "the object has been modified")
        for kept in ("uid", "creationTimestamp", "generation"):
            thing["metadata"][kept] = live["metadata"][kept]
        self.put(place, kube_fields.updated(live, thing, manager), live)
        return self.changed(thing)

    def apply(self, place: Place, name: str, thing: Thing, manager: str, force: bool) -> Thing:
        """Apply an object on the server's side; raises 409 naming the fields of others."""
        if thing.get("metadata", {}).get("name") != name:
            raise Answered(400, "BadRequest", "the name is not that of the URL")
        live = self.all(*place).get(name)
        try:
            made = kube_fields.apply(live, thing, manager, force=force)
        except kube_fields.FieldConflict as conflict:
            raise Answered(409, "Conflict", str(conflict), conflict.causes) from conflict
        made["metadata"]["namespace"] = place[2]
        return self.changed(self.put(place, made, live))

    def delete(self, place: Place, name: str, options: Thing) -> Thing:
        """Take an object away, and in the background what it owns."""
        live = self.get(*place, name)
        uid = (options.get("preconditions") or {}).get("uid")
        if uid not in (None, live["metadata"]["uid"]):
            raise Answered(409, "Conflict", "the UID in the precondition does not match")
        del self.all(*place)[name]
        if options.get("propagationPolicy") != "Orphan":
            self._collect(live["metadata"]["uid"])
        return self.changed({"kind": "Status", "status": "Success"})

    def changed(self, thing: Thing) -> Thing:
        """Let the controllers see to it; give the object as it was answered."""
        answer = copy.deepcopy(thing)
        for each in self.after:
            each()
        return answer

    def _collect(self, uid: str) -> None:
        for place, things in list(self.things.items()):
            for name, thing in list(things.items()):
                owners = thing["metadata"].get("ownerReferences", ())
                if any(owner["uid"] == uid for owner in owners):
                    self.delete(place, name, {})

    def issue(self, user: str, seconds: int) -> Thing:
        """Make a token of a user that ends."""
        text, ends = (
            "token-" + secrets.token_urlsafe(24),
            datetime.now(UTC) + timedelta(seconds=seconds),
        )
        self.tokens[text] = (user, ends)
        return {"token": text, "expirationTimestamp": ends.isoformat().replace("+00:00", "Z")}

    def user(self, token: str) -> str:
        """Give whose a token is; raises 401."""
        name, ends = self.tokens.get(token, ("", datetime.min.replace(tzinfo=UTC)))
        if ends <= datetime.now(UTC):
            raise Answered(401, "Unauthorized", "Unauthorized")
        return name

    def authorize(self, user: str, verb: str, group: str, what: str, place: str, name: str) -> None:
        """Let a user do something by the Roles that are bound to it; raises 403."""
        self.calls.append((user, verb, group, what))
        if user == "admin" or any(
            _allows(rule, verb, group, what, name) for rule in self._rules(user, place)
        ):
            return
        named = f'{what.partition("/")[0]}.{group} "{name}"' if group else f'{what} "{name}"'
        raise Answered(
            403, "Forbidden",
            f'{named} is forbidden: User "{user}" cannot {verb} resource "{what}" in API group '
            f'"{group}" in the namespace "{place}"',
        )  # fmt: skip

    def _rules(self, user: str, namespace: str) -> list[Thing]:
        group = "rbac.authorization.k8s.io"
        roles = self.all(group, "roles", namespace)
        return [
            rule
            for binding in self.all(group, "rolebindings", namespace).values()
            for subject in binding["subjects"]
            if f"system:serviceaccount:{subject.get('namespace')}:{subject['name']}" == user
            for rule in roles.get(binding["roleRef"]["name"], {}).get("rules", ())
        ]


def _allows(rule: Thing, verb: str, group: str, what: str, name: str) -> bool:
    return (
        verb in rule["verbs"]
        and group in rule["apiGroups"]
        and what in rule["resources"]
        and (not rule.get("resourceNames") or name in rule["resourceNames"])
    )
