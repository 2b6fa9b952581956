"""Who may do what at the stand-in for a Kubernetes API: tokens, and RBAC by Roles made in it."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from kube_answers import Answered
from kube_kinds import RBAC

Thing = dict[str, Any]
EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
ACCOUNT = "system:serviceaccount:"


class Rights:
    """Tokens of users, and what the Roles bound to them allow."""

    def __init__(self) -> None:
        self.things: dict[tuple[str, str, str], dict[str, Thing]] = {}
        self.tokens: dict[str, tuple[str, datetime]] = {}
        self.calls: list[tuple[str, str, str, str]] = []  # user, verb, group, resource

    def all(self, group: str, plural: str, namespace: str) -> dict[str, Thing]:
        """Give the objects of a kind in a namespace; of the cluster with an empty one."""
        return self.things.setdefault((group, plural, namespace), {})

    def issue(self, user: str, seconds: int) -> Thing:
        """Make a token of a user that ends."""
        text = "token-" + secrets.token_urlsafe(24)
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        self.tokens[text] = (user, ends)
        return {"token": text, "expirationTimestamp": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def user(self, token: str) -> str:
        """Give whose a token is; raises 401."""
        name, ends = self.tokens.get(token, ("", datetime.min.replace(tzinfo=UTC)))
        if ends <= datetime.now(UTC):
            raise Answered(401, "Unauthorized", "Unauthorized")
        return name

    def authorize(self, user: str, verb: str, group: str, what: str, place: str, name: str) -> None:
        """Let a user do something by the Roles that are bound to it; raises 403."""
        self.calls.append((user, verb, group, what))
        if self.may(user, verb, group, what, place, name):
            return
        plural = what.partition("/")[0]
        named = f"{plural}.{group}" if group else plural
        where = f'in the namespace "{place}"' if place else "at the cluster scope"
        raise Answered(
            403, "Forbidden",
            f"{named}{f' {chr(34)}{name}{chr(34)}' if name else ''} is forbidden: "
            f'User "{user}" cannot {verb} resource "{what}" in API group "{group}" {where}',
            name=name, group=group, kind=plural,
        )  # fmt: skip

    def may(self, user: str, verb: str, group: str, what: str, place: str, name: str) -> bool:
        """Say whether a user may do something."""
        return any(_allows(rule, verb, group, what, name) for rule in self.rules(user, place))

    def rules(self, user: str, namespace: str) -> list[Thing]:
        """Give all rules by which a user may do something in a namespace."""
        if user == "admin":
            return [EVERYTHING]
        bindings = list(self.all(RBAC, "clusterrolebindings", "").values())
        if namespace:
            bindings += self.all(RBAC, "rolebindings", namespace).values()
        return [
            rule
            for binding in bindings
            if any(_is(subject, user) for subject in binding.get("subjects") or ())
            for rule in self._role(binding["roleRef"], namespace).get("rules") or ()
        ]

    def _role(self, ref: Thing, namespace: str) -> Thing:
        of_cluster = ref["kind"] == "ClusterRole"
        plural = "clusterroles" if of_cluster else "roles"
        return self.all(RBAC, plural, "" if of_cluster else namespace).get(ref["name"], {})


def groups(user: str) -> set[str]:
    """Give the groups that a user is in."""
    if not user.startswith(ACCOUNT):
        return {"system:unauthenticated" if user == "system:anonymous" else "system:authenticated"}
    namespace = user.split(":")[2]
    return {"system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"}


def _is(subject: Thing, user: str) -> bool:
    if subject["kind"] == "ServiceAccount":
        return f"{ACCOUNT}{subject.get('namespace')}:{subject['name']}" == user
    if subject["kind"] == "Group":
        return subject["name"] in groups(user)
    return bool(subject["name"] == user)


def _allows(rule: Thing, verb: str, group: str, what: str, name: str) -> bool:
    def has(field: str, value: str) -> bool:
        among = rule.get(field) or ()
        return value in among or "*" in among

    part = what.partition("/")[2]
    resource = has("resources", what) or bool(part and f"*/{part}" in rule.get("resources", ()))
    named = not rule.get("resourceNames") or name in rule["resourceNames"]
    return has("verbs", verb) and has("apiGroups", group) and resource and named
