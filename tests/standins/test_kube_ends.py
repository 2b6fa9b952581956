"""How objects end at the stand-in for a Kubernetes API, and what belongs to whom."""

from __future__ import annotations

from typing import Any

import pytest
from kube_api import KubeApi

from .conftest import CONFIGS, MERGE, Asker

PODS = "/api/v1/namespaces/models/pods"


def owned_by(thing: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    meta = thing["metadata"]
    return [{"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"]}
            | more]  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "left"), [("Background", []), ("Foreground", []), ("Orphan", ["child"])]
)
def test_what_an_object_owns_ends_with_it_unless_it_is_orphaned(
    ask: Asker, policy: str, left: list[str]
) -> None:
    ask.config("child", ownerReferences=owned_by(ask.config("owner"), blockOwnerDeletion=True))
    ask("DELETE", f"{CONFIGS}/owner", {"propagationPolicy": policy})
    assert ask.names() == left


def test_an_owner_waits_in_the_foreground_for_what_is_held(ask: Asker) -> None:
    owner = ask.config("owner")
    ask.config("child", ownerReferences=owned_by(owner), finalizers=["example.com/held"])
    code, told = ask("DELETE", f"{CONFIGS}/owner", {"propagationPolicy": "Foreground"})
    assert code == 200
    assert told["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert ask.names() == ["child", "owner"]
    assert "deletionTimestamp" in ask("GET", f"{CONFIGS}/child")[1]["metadata"]
    ask("PATCH", f"{CONFIGS}/child", {"metadata": {"finalizers": None}}, MERGE)
    assert ask.names() == []


def test_what_has_one_owner_left_stays(ask: Asker) -> None:
    two = owned_by(ask.config("one")) + owned_by(ask.config("two"))
    ask.config("child", ownerReferences=two)
    ask("DELETE", f"{CONFIGS}/one")
    assert "child" in ask.names()
    ask("DELETE", f"{CONFIGS}/two")
    assert ask.names() == []


def test_owners_that_are_told_by_half_are_refused(ask: Asker) -> None:
    meta = {"name": "a", "ownerReferences": [{"kind": "ConfigMap", "uid": "1"}]}
    code, told = ask("POST", CONFIGS, {"metadata": meta})
    fields = [each["field"] for each in told["details"]["causes"]]
    assert (code, fields) == (422, ["metadata.ownerReferences[0].apiVersion",
                                    "metadata.ownerReferences[0].name"])  # fmt: skip


def test_a_pod_on_a_node_has_its_grace_and_one_without_ends_at_once(ask: Asker) -> None:
    pod = {"spec": {"containers": [{"name": "c", "image": "i"}]}}
    for name in ("bound", "free"):
        assert ask("POST", PODS, {"metadata": {"name": name}} | pod)[0] == 201
    where = {"metadata": {"name": "bound"}, "target": {"kind": "Node", "name": "node"}}
    assert ask("POST", f"{PODS}/bound/binding", where)[0] == 201
    for name in ("bound", "free"):
        ask("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 7})
    assert ask.names(PODS) == ["bound"]
    meta = ask("GET", f"{PODS}/bound")[1]["metadata"]
    assert meta["deletionGracePeriodSeconds"] == 7
    ask("DELETE", f"{PODS}/bound", {"gracePeriodSeconds": 0})
    assert ask.names(PODS) == []


def test_a_namespace_ends_with_all_in_it_and_lets_nothing_in_meanwhile(ask: Asker) -> None:
    ask.config("held", finalizers=["example.com/held"])
    ask.config("free")
    ask("DELETE", "/api/v1/namespaces/models")
    assert ask.names() == ["held"]
    code, told = ask("POST", CONFIGS, {"metadata": {"name": "late"}})
    assert (code, told["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    assert "because it is being terminated" in told["message"]
    ask("PATCH", f"{CONFIGS}/held", {"metadata": {"finalizers": []}}, MERGE)
    assert ask("GET", "/api/v1/namespaces/models")[0] == 404
    code, told = ask("POST", CONFIGS, {"metadata": {"name": "late"}})
    assert (code, told["message"]) == (404, 'namespaces "models" not found')


def test_a_quota_counts_and_is_told_as_a_cluster_tells_it(ask: Asker) -> None:
    hard = {"configmaps": "1", "count/secrets": "0"}
    quotas = "/api/v1/namespaces/models/resourcequotas"
    ask("POST", quotas, {"metadata": {"name": "few"}, "spec": {"hard": hard}})
    ask.config("one")
    code, told = ask("POST", CONFIGS, {"metadata": {"name": "two"}})
    assert (code, told["message"]) == (403, (
        'configmaps "two" is forbidden: exceeded quota: few, requested: configmaps=1, used: '
        "configmaps=1, limited: configmaps=1"))  # fmt: skip
    secrets = "/api/v1/namespaces/models/secrets"
    assert ask("POST", secrets, {"metadata": {"name": "s"}})[0] == 403
    ask("DELETE", f"{CONFIGS}/one")
    assert ask("POST", CONFIGS, {"metadata": {"name": "two"}})[0] == 201


def test_openshift_holds_pods_of_projects_to_its_restrictions(ask: Asker, api: KubeApi) -> None:
    api.projects["models"] = "Active"
    spec = {"containers": [{"name": "c", "image": "i", "securityContext": {"runAsUser": 0}}]}
    code, told = ask("POST", PODS, {"metadata": {"name": "root"}, "spec": spec})
    assert code == 403
    assert "unable to validate against any security context constraint" in told["message"]
    spec["containers"][0].pop("securityContext")
    assert ask("POST", PODS, {"metadata": {"name": "plain"}, "spec": spec})[0] == 201
