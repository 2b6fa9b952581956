"""One play of requests for every Kubernetes API: what a real one answered, a stand-in must too.

    python tests/standins/kube_plays.py     plays it on the real one again and writes its answers

Rows are played in their order in a namespace of their own. What differs from one play to the next
(uids, times, versions) and what only one of them does (controllers, newer fields) is left out.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Thing = dict[str, Any]
Call = Callable[[str, str, Any, str], tuple[int, Any]]  # method, path, body, content
RECORDED = Path(__file__).parent / "kube_plays.json"
NAMESPACE = "played"
CORE, APPS = f"/api/v1/namespaces/{NAMESPACE}", f"/apis/apps/v1/namespaces/{NAMESPACE}"
JSON, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
PLAIN = "application/json"
NEWER = {"internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy", "clusterIP", "clusterIPs"}
OF_ONE_PLAY = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "continue")


def _config(name: str, **data: str) -> Thing:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _deployment(**spec: Any) -> Thing:
    labels = {"app": "web"}
    container = {"name": "web", "image": "nginx:1", "ports": [{"containerPort": 80}]}
    told: Thing = {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
        "metadata": {"labels": labels}, "spec": {"containers": [container]}}}  # fmt: skip
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": told | spec}  # fmt: skip


def _image(image: str) -> Thing:
    return {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}}


def _ports(*ports: Thing) -> Thing:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front"},
            "spec": {"ports": list(ports)}}  # fmt: skip


MAPS, DEPLOYMENTS, FRONT = f"{CORE}/configmaps", f"{APPS}/deployments", f"{CORE}/services/front"
WEB = f"{DEPLOYMENTS}/web"
BINDINGS = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings"
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role"}
HTTP = {"name": "http", "port": 80, "protocol": "TCP"}
TLS = {"name": "https", "port": 443, "protocol": "TCP"}
PLAY: list[tuple[str, str, str, Any]] = [  # method, path, content, body
    # what is not there, and what makes no sense
    ("GET", f"{MAPS}/none", PLAIN, None),
    ("GET", f"{CORE}/nonsense", PLAIN, None),
    ("GET", f"{MAPS}?fieldSelector=a%3Db", PLAIN, None),
    ("POST", MAPS, PLAIN, _config("UPPER")),
    ("POST", MAPS, PLAIN, {"metadata": {}}),
    ("POST", "/api/v1/namespaces/nowhere/configmaps", PLAIN, _config("a")),
    ("POST", MAPS, PLAIN, {"metadata": {"name": "a", "namespace": "other"}}),
    ("POST", f"{MAPS}?dryRun=Some", PLAIN, _config("a")),
    # a whole life with its versions
    ("POST", f"{MAPS}?fieldManager=one&dryRun=All", PLAIN, _config("a", x="1")),
    ("GET", f"{MAPS}/a", PLAIN, None),
    ("POST", f"{MAPS}?fieldManager=one", PLAIN, _config("a", x="1")),
    ("POST", MAPS, PLAIN, _config("a")),
    ("PUT", f"{MAPS}/a", PLAIN, {"metadata": {"name": "a", "resourceVersion": "1"}}),
    ("PUT", f"{MAPS}/a", PLAIN, {"metadata": {"name": "b"}}),
    ("PUT", f"{MAPS}/none", PLAIN, {"metadata": {"name": "none"}}),
    ("PATCH", f"{MAPS}/a?fieldManager=two", MERGE, {"data": {"y": "2"}}),
    ("PATCH", f"{MAPS}/a", MERGE, {"metadata": {"name": "b"}}),
    ("PATCH", f"{MAPS}/none", MERGE, {"data": {}}),
    ("PATCH", f"{MAPS}/a", PLAIN, {}),
    ("PATCH", f"{MAPS}/a?fieldManager=three", JSON, [
        {"op": "test", "path": "/data/y", "value": "2"},
        {"op": "add", "path": "/data/z~01q", "value": "3"},
        {"op": "move", "from": "/data/x", "path": "/data/w"}]),
    ("PATCH", f"{MAPS}/a?fieldManager=three", JSON, [
        {"op": "copy", "from": "/data/x", "path": "/data/w"},
        {"op": "replace", "path": "/data/y", "value": "4"}]),
    ("PATCH", f"{MAPS}/a", JSON, [{"op": "test", "path": "/data/y", "value": "9"}]),
    ("PATCH", f"{MAPS}/a", JSON, [{"op": "remove", "path": "/data/none"}]),
    ("PATCH", f"{MAPS}/a", JSON, {"op": "remove"}),
    ("DELETE", f"{MAPS}/a", PLAIN, {"preconditions": {"resourceVersion": "1"}}),
    ("DELETE", f"{MAPS}/a?propagationPolicy=X", PLAIN, None),
    ("PATCH", f"{MAPS}/a", MERGE, {"metadata": {"finalizers": ["example.com/held"]}}),
    ("DELETE", f"{MAPS}/a", PLAIN, None),
    ("PATCH", f"{MAPS}/a", MERGE, {"metadata": {"finalizers": []}}),
    ("GET", f"{MAPS}/a", PLAIN, None),
    ("DELETE", f"{MAPS}/a", PLAIN, None),
    # server-side apply: owners, conflicts, what is dropped
    ("PATCH", f"{MAPS}/b", APPLY, _config("b", x="1")),
    ("PATCH", f"{MAPS}/b?fieldManager=me", APPLY, {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"managedFields": [{}]}}),
    ("PATCH", f"{MAPS}/b?fieldManager=me", APPLY, _config("b", x="1", y="1")),
    ("PATCH", f"{MAPS}/b?fieldManager=you", APPLY, _config("b", x="2")),
    ("PATCH", f"{MAPS}/b?fieldManager=you", APPLY, _config("b", x="1")),
    ("PATCH", f"{MAPS}/b?fieldManager=you&force=true", APPLY, _config("b", x="2", z="1")),
    ("PATCH", f"{MAPS}/b?fieldManager=me", APPLY, _config("b", y="1")),
    ("PATCH", f"{MAPS}/b?fieldManager=me", APPLY, _config("b")),
    ("PATCH", f"{MAPS}/b?fieldManager=edit", MERGE, {"data": {"z": None}}),
    # lists with keys, defaults, generations, status and scale
    ("POST", DEPLOYMENTS, PLAIN, {"metadata": {"name": "web"}}),
    ("PATCH", f"{WEB}?fieldManager=me", APPLY, _deployment(foo=1)),
    ("PATCH", f"{WEB}?fieldManager=me", APPLY, _deployment()),
    ("PATCH", f"{WEB}?fieldManager=edit", STRATEGIC, _image("nginx:2")),
    ("PATCH", f"{WEB}?fieldManager=me", APPLY, _deployment()),
    ("PATCH", f"{WEB}?fieldManager=me&force=true", APPLY, _deployment()),
    ("PATCH", f"{WEB}?fieldManager=edit", STRATEGIC, {"spec": {"template": {"spec": {
        "containers": [{"name": "side", "image": "side:1"}],
        "$setElementOrder/containers": [{"name": "side"}, {"name": "web"}]}}}}),
    ("PATCH", f"{WEB}?fieldManager=edit", STRATEGIC, {"spec": {"template": {"spec": {
        "containers": [{"name": "side", "$patch": "delete"}]}}}}),
    ("PATCH", f"{WEB}?fieldManager=edit", MERGE, _image("nginx:3")),
    ("PATCH", WEB, STRATEGIC, {"spec": {"selector": {"matchLabels": {"app": "other"}}}}),
    ("PATCH", f"{WEB}?fieldManager=edit", MERGE, {"metadata": {"labels": {"team": "risk"}}}),
    ("GET", f"{DEPLOYMENTS}/none/scale", PLAIN, None),
    ("PATCH", f"{WEB}?fieldManager=edit", MERGE, {"spec": {"unknown": 1}}),
    ("DELETE", WEB, PLAIN, {"propagationPolicy": "Foreground"}),
    ("PATCH", f"{FRONT}?fieldManager=me", APPLY, _ports(HTTP)),
    ("PATCH", f"{FRONT}?fieldManager=you", APPLY, _ports(TLS)),
    ("PATCH", f"{FRONT}?fieldManager=you", APPLY, _ports()),
    ("POST", f"{CORE}/services", PLAIN, {"metadata": {"name": "Upper"}, "spec": {}}),
    ("POST", f"{CORE}/serviceaccounts/none/token", PLAIN, {"spec": {}}),
    # what other kinds forbid
    ("PUT", MAPS, PLAIN, _config("a")),
    ("PATCH", MAPS, MERGE, {}),
    ("POST", f"{MAPS}/a", PLAIN, _config("a")),
    ("POST", "/api/v1/configmaps", PLAIN, _config("a")),
    ("PATCH", f"{MAPS}/a?fieldManager=me", APPLY, {"kind": "ConfigMap"}),
    ("POST", DEPLOYMENTS, PLAIN, _deployment(template={"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "A_b"}]}})),
    ("POST", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", PLAIN, {
        "metadata": {"name": "once"},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}}),
    ("POST", BINDINGS, PLAIN, {"metadata": {"name": "b"}, "roleRef": ROLE | {"name": "one"}}),
    ("PATCH", f"{BINDINGS}/b", MERGE, {"roleRef": {"name": "two"}}),
    ("DELETE", f"{BINDINGS}/b", PLAIN, None),
    # selectors and pages
    ("POST", MAPS, PLAIN, _config("c") | {"metadata": {"name": "c", "labels": {"tier": "one"}}}),
    ("POST", MAPS, PLAIN, _config("d") | {"metadata": {"name": "d", "labels": {"tier": "two"}}}),
    ("GET", f"{MAPS}?labelSelector=tier+in+(one,three)", PLAIN, None),
    ("GET", f"{MAPS}?labelSelector=tier,tier!%3Done", PLAIN, None),
    ("GET", f"{MAPS}?labelSelector=tier+notin+(one)", PLAIN, None),
    ("GET", f"{MAPS}?labelSelector=!tier", PLAIN, None),
    ("GET", f"{MAPS}?fieldSelector=metadata.name%3Dc", PLAIN, None),
    ("DELETE", f"{MAPS}?labelSelector=tier%3Done", PLAIN, None),
    ("GET", f"{MAPS}?labelSelector=tier", PLAIN, None),
]  # fmt: skip


def play(call: Call) -> list[Thing]:
    """Play all rows; give each with what was answered, as far as that is to be the same."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    call("POST", "/api/v1/namespaces", namespace, PLAIN)
    answers = []
    for method, path, content, body in PLAY:
        code, told = call(method, path, copy.deepcopy(body), content)
        answers.append({"asked": f"{method} {path}", "code": code, "told": compared(told)})
    return answers


def compared(told: Any) -> Any:
    """Give what of an answer is the same wherever and whenever it is given."""
    if told.get("kind") == "Status":
        details = {k: v for k, v in (told.get("details") or {}).items() if k != "uid"}
        message = re.sub(r"\(\d+\)", "(N)", told.get("message") or "")
        return {"status": told.get("status"), "reason": told.get("reason"), "message": message,
                "details": details}  # fmt: skip
    if told.get("kind", "").endswith("List"):
        names = [each["metadata"]["name"] for each in told["items"]]
        return {"kind": told["kind"], "items": [n for n in names if n != "kube-root-ca.crt"]}
    kept = {name: value for name, value in told.items() if name != "status"}
    meta = {n: v for n, v in told["metadata"].items() if n not in OF_ONE_PLAY}
    meta["managedFields"] = sorted(
        ([each["manager"], each["operation"], each["fieldsV1"]]
         for each in meta.get("managedFields", ()) if each["manager"] != "kube-controller-manager"),
        key=json.dumps,
    )  # fmt: skip
    meta.pop("annotations", None)  # a controller's
    if told["kind"] == "RoleBinding":
        del meta["managedFields"]  # newer versions take its roleRef for one value
    kept["metadata"] = meta
    if isinstance(kept.get("spec"), dict):
        kept["spec"] = _stable(kept["spec"])
    return kept


def _stable(spec: Thing) -> Thing:
    made = {name: value for name, value in spec.items() if name not in NEWER}
    template = made.get("template")
    if template:
        meta = {n: v for n, v in template["metadata"].items() if n != "creationTimestamp"}
        made["template"] = template | {"metadata": meta}
    return made


def caller(url: str, token: str, ca: Path) -> Call:
    """Make what asks an API, as one who may do everything."""
    import urllib3

    http = urllib3.PoolManager(ca_certs=str(ca))

    def call(method: str, path: str, body: Any, content: str) -> tuple[int, Any]:
        head = {"Authorization": f"Bearer {token}", "Content-Type": content, "User-Agent": "play"}
        sent = None if body is None else json.dumps(body)
        answer = http.request(method, url + path, body=sent, headers=head, retries=False)
        return answer.status, json.loads(answer.data)

    return call


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
    from real_cluster import RealCluster

    cluster = RealCluster()
    try:
        rows = play(caller(cluster.url, cluster.admin, cluster.certificate))
    finally:
        cluster.close()
    RECORDED.write_text("".join(["[\n", ",\n".join(json.dumps(r) for r in rows), "\n]\n"]))
    sys.stdout.write(f"{len(rows)} answers are in {RECORDED.name}\n")
