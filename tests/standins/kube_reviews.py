"""What somebody may ask the stand-in for a Kubernetes API about themselves: rights and name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kube_rights import Rights, groups

Thing = dict[str, Any]
KIND_OF = {
    "selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "selfsubjectrulesreviews": "SelfSubjectRulesReview",
    "selfsubjectreviews": "SelfSubjectReview",
}


def access(rights: Rights, user: str, body: Thing) -> Thing:
    """Say whether a user may do something (`kubectl auth can-i`)."""
    told = body["spec"].get("resourceAttributes") or {}
    what = "/".join(filter(None, (told.get("resource", ""), told.get("subresource", ""))))
    allowed = rights.may(user, told.get("verb", ""), told.get("group", ""), what,
                         told.get("namespace", ""), told.get("name", ""))  # fmt: skip
    return body | {"status": {"allowed": allowed}}


def rules(rights: Rights, user: str, body: Thing) -> Thing:
    """Say all that a user may do in a namespace (`kubectl auth can-i --list`)."""
    found = rights.rules(user, body["spec"]["namespace"])
    status = {"resourceRules": [each for each in found if each.get("resources")],
              "nonResourceRules": [], "incomplete": False}  # fmt: skip
    return body | {"status": status}


def identity(rights: Rights, user: str, body: Thing) -> Thing:
    """Say who a user is (`kubectl auth whoami`)."""
    return body | {"status": {"userInfo": {"username": user, "groups": sorted(groups(user))}}}


REVIEWS: dict[tuple[str, ...], Callable[[Rights, str, Thing], Thing]] = {
    ("authorization.k8s.io", "selfsubjectaccessreviews"): access,
    ("authorization.k8s.io", "selfsubjectrulesreviews"): rules,
    ("authentication.k8s.io", "selfsubjectreviews"): identity,
}
