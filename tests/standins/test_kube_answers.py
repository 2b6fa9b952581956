"""Who may ask the stand-in for a Kubernetes API, pages, tables, dry runs, failures on demand."""

from __future__ import annotations

import pytest
import urllib3
from kube_answers import Answered
from kube_api import KubeApi

from .conftest import APPLY, CONFIGS, MERGE, Asker

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/models"
DEPLOYMENTS = "/apis/apps/v1/namespaces/models/deployments"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def test_a_token_is_asked_for_and_what_it_may_is_by_its_roles(ask: Asker, api: KubeApi) -> None:
    account = api.store.issue("system:serviceaccount:models:default", 600)["token"]
    assert ask("GET", CONFIGS, token="")[1]["message"].startswith(
        'configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps"'
    )
    code, told = ask("GET", CONFIGS, token="wrong")
    assert (code, told["reason"]) == (401, "Unauthorized")
    code, told = ask("DELETE", f"{CONFIGS}/a", token=account)
    assert (code, told["details"]) == (403, {"name": "a", "kind": "configmaps"})
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    ask("POST", f"{RBAC}/roles", {"metadata": {"name": "reader"}, "rules": [rule]})
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "models"}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    ask("POST", f"{RBAC}/rolebindings",
        {"metadata": {"name": "reader"}, "roleRef": ref, "subjects": [subject]})  # fmt: skip
    assert ask("GET", CONFIGS, token=account)[0] == 200
    assert ask("GET", f"{CONFIGS}/a", token=account)[0] == 403
    assert ask("GET", "/api/v1/configmaps", token=account)[0] == 403


def test_a_list_comes_in_pages_of_one_moment(ask: Asker, api: KubeApi) -> None:
    for name in "abc":
        ask.config(name)
    _, first = ask("GET", f"{CONFIGS}?limit=2")
    assert first["metadata"]["remainingItemCount"] == 1
    ask.config("d")
    token = first["metadata"]["continue"]
    _, second = ask("GET", f"{CONFIGS}?limit=2&continue={token}")
    assert [each["metadata"]["name"] for each in second["items"]] == ["c"]
    assert "continue" not in second["metadata"]
    api.store.history.compact()
    code, told = ask("GET", f"{CONFIGS}?limit=2&continue={token}")
    assert (code, told["reason"]) == (410, "Expired")


def test_items_of_a_list_do_not_tell_their_kind_as_the_list_does(ask: Asker) -> None:
    ask.config("a")
    _, told = ask("GET", CONFIGS)
    assert (told["kind"], told["apiVersion"]) == ("ConfigMapList", "v1")
    assert "kind" not in told["items"][0]


def test_a_table_is_given_to_who_asks_for_one(ask: Asker) -> None:
    ask.config("a")
    _, told = ask("GET", CONFIGS, accept=TABLE)
    assert [each["name"] for each in told["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert told["rows"][0]["cells"][:2] == ["a", 1]
    assert told["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_is_only_tried_changes_nothing(ask: Asker, method: str) -> None:
    before = ask.config("a")
    thing = {"metadata": {"name": "b" if method == "POST" else "a"}, "data": {"a": "9"}}
    path = CONFIGS if method == "POST" else f"{CONFIGS}/a"
    kind = MERGE if method == "PATCH" else "application/json"
    body = {} if method == "DELETE" else thing
    code, told = ask(method, f"{path}?dryRun=All", body, kind)
    assert code in (200, 201)
    assert method == "DELETE" or told["data"] == {"a": "9"}
    assert ask("GET", f"{CONFIGS}/a")[1] == before
    assert ask.names() == ["a"]


def test_a_name_is_made_up_on_demand(ask: Asker) -> None:
    made = {ask("POST", CONFIGS, {"metadata": {"generateName": "x-"}})[1]["metadata"]["name"]
            for _ in range(3)}  # fmt: skip
    assert len(made) == 3
    assert all(each.startswith("x-") and len(each) == 7 for each in made)


def test_fields_that_there_are_not_are_dropped_with_a_warning_or_refused(ask: Asker) -> None:
    thing = {"metadata": {"name": "a"}, "dta": {"a": "1"}}
    code, told = ask("POST", f"{CONFIGS}?fieldValidation=Strict", thing)
    assert (code, told["message"]) == (400, (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
        'unknown field "dta"'))  # fmt: skip
    code, made = ask("POST", CONFIGS, thing)
    assert (code, "dta" in made) == (201, False)


def test_a_scale_changes_the_replicas_alone(ask: Asker) -> None:
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}
    ask("POST", DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": spec})
    code, told = ask("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 2}}, MERGE)
    assert (code, told["kind"], told["spec"]) == (200, "Scale", {"replicas": 2})
    assert told["status"]["selector"] == "app=web"
    _, live = ask("GET", f"{DEPLOYMENTS}/web")
    assert (live["spec"]["replicas"], live["metadata"]["generation"]) == (2, 2)
    owners = {(e["manager"], e.get("subresource")) for e in live["metadata"]["managedFields"]}
    assert ("asker", "scale") in owners


def test_a_status_is_changed_by_its_own_address_alone(ask: Asker) -> None:
    quotas = "/api/v1/namespaces/models/resourcequotas"
    hard = {"pods": "1"}
    ask("POST", quotas, {"metadata": {"name": "q"}, "spec": {"hard": hard},
                         "status": {"hard": {"pods": "9"}}})  # fmt: skip
    assert "status" not in ask("GET", f"{quotas}/q")[1]
    ask("PATCH", f"{quotas}/q/status", {"status": {"hard": hard}, "spec": {"hard": {}}}, MERGE)
    _, told = ask("GET", f"{quotas}/q")
    assert (told["status"], told["spec"]) == ({"hard": hard}, {"hard": hard})


def test_failures_come_on_demand(ask: Asker, api: KubeApi) -> None:
    api.refusals["configmaps"] = Answered(503, "ServiceUnavailable", "not now")
    thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    assert ask("POST", CONFIGS, thing)[0] == 503
    assert ask("PATCH", f"{CONFIGS}/a?fieldManager=m", thing, APPLY)[0] == 503
    api.refusals.clear()
    api.lose_answers = 1
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}
    ask("POST", f"{RBAC}/roles", {"metadata": {"name": "w"}, "rules": [rule]})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "w"}
    bound = {"metadata": {"name": "w"}, "subjects": [{"kind": "User", "name": "u"}]}
    ask("POST", f"{RBAC}/rolebindings", bound | {"roleRef": ref})
    token = api.store.issue("u", 600)["token"]
    with pytest.raises(urllib3.exceptions.HTTPError):
        ask("POST", CONFIGS, thing, token=token)
    assert ask.names() == ["a"], "the effect is there, its answer was lost"


def test_a_project_is_a_namespace_that_somebody_asked_for(ask: Asker) -> None:
    projects = "/apis/project.openshift.io/v1"
    code, told = ask("GET", f"{projects}/projects/new")
    assert (code, told["message"]) == (404, 'namespaces "new" not found')
    assert ask("POST", f"{projects}/projectrequests", {"metadata": {"name": "new"}})[0] == 201
    assert ask("GET", f"{projects}/projects/new")[1]["status"] == {"phase": "Active"}
    assert ask("GET", "/api/v1/namespaces/new")[0] == 200
    ask("DELETE", f"{projects}/projects/new")
    assert ask("GET", "/api/v1/namespaces/new")[0] == 404
    assert ask("GET", f"{projects}/projects/new")[0] == 404
