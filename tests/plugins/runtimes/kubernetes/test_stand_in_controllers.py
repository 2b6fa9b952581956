"""What the stand-in's controllers, admission, router and node do, where no engine is needed."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from image_registry import ImageRegistry, NoRegistry, small_layer
from image_streams import Pushes
from kube_voice import KubeVoice
from pod_admission import constrain, uid_range
from pod_container import NotMade, settings_of, user_of
from pod_probes import Health
from pod_volumes import NotMounted, prepared
from route_router import Backends, Router

from .conftest import World, wait

Thing = dict[str, Any]
UIDS = uid_range("models")


def deployment(replicas: int = 2, image: str = "r.example/m:1", **spec: Any) -> Thing:
    labels = {"app": "m"}
    container = {
        "name": "model",
        "image": image,
        "ports": [{"name": "rest", "containerPort": 8501}],
    }
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "model"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                 **spec},
    }  # fmt: skip


def test_pods_come_by_replica_sets_and_old_ones_go_when_new_ones_are_ready(world: World) -> None:
    call, root = world.kubelet.call, world.root("apps/v1")
    call("POST", f"{root}/deployments", deployment())
    first = wait(lambda: ready_pods(world, 2))
    (made,) = world.all("replicasets", "apps/v1")
    assert {p["metadata"]["ownerReferences"][0]["uid"] for p in first} == {made["metadata"]["uid"]}
    assert made["metadata"]["ownerReferences"][0]["kind"] == "Deployment"

    world.kubelet.plans["bad"] = "crash"
    path = f"{root}/deployments/model"
    world.change(path, {"spec": deployment(image="r.example/bad:2")["spec"]})
    wait(lambda: len(world.all("pods")) == 3)
    names = {each["metadata"]["name"] for each in first}
    assert names < {each["metadata"]["name"] for each in world.all("pods")}, "none that serves goes"

    world.change(path, {"spec": deployment(image="r.example/m:3")["spec"]})
    wait(lambda: {p["spec"]["containers"][0]["image"] for p in world.all("pods")}
         == {"r.example/m:3"})  # fmt: skip
    wait(lambda: call("GET", path)["status"]["availableReplicas"] == 2)
    assert len(world.all("pods")) == 2
    call("DELETE", path)
    wait(lambda: world.names() == set() and world.all("replicasets", "apps/v1") == [])


def ready_pods(world: World, number: int) -> list[Thing]:
    found = [
        p
        for p in world.all("pods")
        if any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in p["status"].get("conditions", ())
        )
    ]
    return found if len(found) == number else []


def test_a_rollout_that_takes_too_long_is_told(world: World) -> None:
    world.kubelet.plans["m:1"] = "wait"
    path = f"{world.root('apps/v1')}/deployments"
    world.kubelet.call("POST", path, deployment(progressDeadlineSeconds=1, minReadySeconds=0))

    def reasons() -> set[str]:
        found = world.kubelet.call("GET", f"{path}/model").get("status") or {}
        return {each["reason"] for each in found.get("conditions") or ()}

    wait(lambda: "ProgressDeadlineExceeded" in reasons())


def test_a_job_fails_when_enough_of_its_pods_did(world: World) -> None:
    container = {"name": "job", "image": "r.example/j:1", "command": ["sh", "-c", "exit 3"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "fails"},
           "spec": {"backoffLimit": 1, "template": template}}  # fmt: skip
    path = f"{world.root('batch/v1')}/jobs"
    world.kubelet.call("POST", path, job)
    status = wait(lambda: (s := world.kubelet.call("GET", f"{path}/fails").get("status") or {})
                  .get("conditions") and s)  # fmt: skip
    assert status["failed"] == 2
    assert status["conditions"][0]["reason"] == "BackoffLimitExceeded"
    assert len(world.all("pods")) == 2


def test_what_a_pod_leaves_open_is_filled_in_as_restricted_v2_does_it() -> None:
    pod: Thing = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}
    constrain(pod, UIDS, "p")
    own = pod["spec"]["containers"][0]["securityContext"]
    assert (own["runAsUser"], own["capabilities"]) == (UIDS[0], {"drop": ["ALL"]})
    assert own["allowPrivilegeEscalation"] is False
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize(
    ("pod", "container", "says"),
    [
        ({}, {"runAsUser": 0}, r"\.containers\[0\]\.runAsUser: Invalid value: 0: must be in the "),
        ({}, {"privileged": True}, "Privileged containers are not allowed"),
        ({}, {"capabilities": {"add": ["NET_ADMIN"]}}, '"NET_ADMIN": capability may not be added'),
        ({}, {"allowPrivilegeEscalation": True}, "Allowing privilege escalation"),
        ({"securityContext": {"fsGroup": 5}}, {}, "5 is not an allowed group"),
        ({"hostNetwork": True}, {}, "hostNetwork is not allowed"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, {}, "hostPath volumes are not"),
    ],
)
def test_a_pod_that_asks_for_more_is_refused(pod: Thing, container: Thing, says: str) -> None:
    spec = {"containers": [{"name": "c", "securityContext": container}], **pod}
    with pytest.raises(Exception, match=says) as caught:
        constrain({"metadata": {"name": "p"}, "spec": spec}, UIDS, "p-")
    assert 'pods "p-" is forbidden: unable to validate against any security' in str(caught.value)


def test_a_container_gets_what_its_pod_asks_for() -> None:
    container = {
        "name": "c", "args": ["$(HOME)/x", "$$(HOME)"], "env": [
            {"name": "HOME", "value": "/own"},
            {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "resources": {"limits": {"memory": "1Gi", "cpu": "500m"}, "requests": {"cpu": "250m"}},
        "securityContext": {"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
                            "runAsUser": 7, "allowPrivilegeEscalation": False},
        "volumeMounts": [{"name": "v", "mountPath": "/data", "readOnly": True}],
    }  # fmt: skip
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [container], "securityContext": {
        "fsGroup": 9, "seccompProfile": {"type": "RuntimeDefault"}}}}  # fmt: skip
    secret = {"kind": "Secret", "data": {"k": "eA=="}}
    made = settings_of(pod, container, "", {"v": Path("/there")}, lambda *_: secret)
    assert made["environment"] == {"HOME": "/own", "WHO": "p", "WORD": "x"}
    assert made["command"] == ["/own/x", "$(HOME)"]
    assert (made["user"], made["group_add"], made["read_only"]) == ("7:0", ["9"], True)
    assert (made["cap_drop"], made["security_opt"]) == (["ALL"], ["no-new-privileges"])
    assert (made["mem_limit"], made["nano_cpus"], made["cpu_shares"]) == (2**30, 5 * 10**8, 256)
    assert made["volumes"] == {"/there": {"bind": "/data", "mode": "ro"}}


@pytest.mark.parametrize(
    ("image", "asked", "says"),
    [
        ("", {}, "image will run as root"),
        ("0", {}, "image will run as root"),
        ("serving", {}, "image has non-numeric user"),
        ("5", {"runAsUser": 0}, "breaks non-root policy"),
    ],
)
def test_root_is_not_started_where_it_is_not_wanted(image: str, asked: Thing, says: str) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"securityContext": {"runAsNonRoot": True}}}
    with pytest.raises(NotMade, match=says):
        user_of(pod, {"name": "c", "securityContext": asked}, image)
    assert user_of(pod, {"name": "c"}, "65532:7") == "65532:7"


def test_volumes_hold_what_they_are_made_of_or_say_what_is_missing(tmp_path: Path) -> None:
    kept = {"kind": "Secret", "data": {"token": "eA==", "other": "eQ=="}}
    items = [{"key": "token", "path": "t"}]
    pod = {"metadata": {"name": "p", "annotations": {"a/b": "told"}}, "spec": {"volumes": [
        {"name": "empty", "emptyDir": {}},
        {"name": "secret", "secret": {"secretName": "s", "items": items}},
        {"name": "down", "downwardAPI": {"items": [
            {"path": "f", "fieldRef": {"fieldPath": "metadata.annotations['a/b']"}}]}},
    ]}}  # fmt: skip
    made = prepared(pod, tmp_path, lambda *_: kept, {})
    assert [each.name for each in made["secret"].iterdir()] == ["t"]
    assert (made["down"] / "f").read_text() == "told"
    with pytest.raises(NotMounted, match='"secret" : secret "s" not found'):
        prepared(pod, tmp_path, lambda *_: None, {})
    claim = {"name": "c", "persistentVolumeClaim": {"claimName": "jobs"}}
    pod["spec"] = {"volumes": [claim]}
    with pytest.raises(NotMounted, match='persistentvolumeclaim "jobs" not found'):
        prepared(pod, tmp_path, lambda *_: None, {})


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers with the status that its server says, and its port."""

    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]  # of the fixture
        self.end_headers()
        self.wfile.write(str(self.server.server_address[1]).encode())

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def servers() -> Iterator[list[Any]]:
    made = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) for _ in range(2)]
    for each in made:
        each.status = 200  # type: ignore[attr-defined]  # read above
        threading.Thread(target=each.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    for each in made:
        each.shutdown()
        each.server_close()


def test_probes_tell_a_start_from_a_loss_and_have_the_dead_started_anew(servers: Any) -> None:
    (server, _), often = servers, {"periodSeconds": 0, "failureThreshold": 2}
    asked = {"httpGet": {"path": "/", "port": "rest"}, **often}
    container = {"ports": [{"name": "rest", "containerPort": server.server_port}],
                 "startupProbe": asked, "readinessProbe": asked,
                 "livenessProbe": {"tcpSocket": {"port": "rest"}, **often}}  # fmt: skip
    health = Health(container)
    server.status = 404
    assert health.look("127.0.0.1", lambda _: 0) == [
        "Startup probe failed: HTTP probe failed with statuscode: 404"
    ]
    server.status = 200
    health.look("127.0.0.1", lambda _: 0)
    assert (health.started, health.ready) == (True, False)
    health.look("127.0.0.1", lambda _: 0)
    assert health.ready
    container["ports"][0]["containerPort"] = 1  # nobody listens there
    for _ in range(2):
        health.look("127.0.0.1", lambda _: 0)
    assert (health.ready, health.dead) == (False, "liveness")


def test_requests_are_shared_by_weight_and_go_to_none_that_is_not_there() -> None:
    backends = Backends()
    a, b, c = (("127.0.0.1", n) for n in (1, 2, 3))
    backends.set([([a, b], 75), ([c], 25), ([], 100)])
    chosen = [backends.next() for _ in range(40)]
    assert [chosen.count(each) for each in (a, b, c)] == [15, 15, 10]
    backends.set([([a], 0), ([], 100)])
    assert backends.next() is None


def test_a_route_gets_a_host_and_leads_to_ready_pods_and_a_taken_host_is_refused(
    world: World, certificate: tuple[Path, Path], servers: Any
) -> None:
    call, root = world.kubelet.call, world.root("route.openshift.io/v1")
    world.kubelet.routes_lead_here = False
    port = servers[0].server_port
    call("POST", f"{world.root()}/endpoints", {
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "m"},
        "subsets": [
            {"addresses": [{"ip": "127.0.0.1"}], "ports": [{"name": "rest", "port": port}]}
        ],
    })  # fmt: skip
    call("POST", f"{world.root()}/services", {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "m"},
        "spec": {"ports": [{"name": "rest", "port": port}]}})  # fmt: skip
    router = Router(certificate)
    router.begin(world.url, world.kubelet.token, ["models"], certificate[0])
    try:
        found = {}
        for name, host in (("first", "one.example"), ("second", "one.example"), ("third", "")):
            call("POST", f"{root}/routes", {
                "apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": {"name": name},
                "spec": {"to": {"kind": "Service", "name": "m"}, "port": {"targetPort": "rest"},
                         **({"host": host} if host else {})}})  # fmt: skip
            path = f"{root}/routes/{name}"
            found[name] = wait(lambda path=path: _admission(call("GET", path)))  # type: ignore[misc]  # bound now
        assert call("GET", f"{root}/routes/third")["spec"]["host"] == "third-models.apps.example"
        first, second = found["first"], found["second"]
        assert second["conditions"][0]["reason"] == "HostAlreadyClaimed"
        told = "route first already exposes one.example and is older"
        assert second["conditions"][0]["message"] == told
        wait(lambda: _got(first["host"])[0] == 200)
        assert _got(first["host"]) == (200, str(port))
        call("DELETE", f"{root}/routes/first")  # the host is free again
        wait(lambda: _admission(call("GET", f"{root}/routes/second"))["conditions"][0]["status"]
             == "True")  # fmt: skip
    finally:
        router.close()


def _admission(route: Thing) -> Thing:
    found: Thing = ((route.get("status") or {}).get("ingress") or [{}])[0]
    return found


def _got(host: str) -> tuple[int, str]:
    line = HTTPConnection(host, timeout=30)
    try:
        line.request("GET", "/")
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    finally:
        line.close()


def test_a_push_makes_an_image_stream_and_a_second_one_its_next_item(
    world: World, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    pushes = Pushes()
    pushes.begin(
        KubeVoice(world.url, world.kubelet.token, certificate[0], "image-registry"), ["models"]
    )
    try:
        registry = ImageRegistry(tmp_path / "registry", told=pushes.url)
    except NoRegistry as error:
        pushes.close()
        pytest.skip(str(error))
    try:
        registry.put_image("elsewhere/risk", "1", small_layer(), ["A=0"])
        first = registry.put_image("models/risk", "1", small_layer(), ["A=1"])
        second = registry.put_image("models/risk", "1", small_layer(), ["A=2"])
        tags = wait(lambda: tags_of(world, 2))
    finally:
        registry.stop()
        pushes.close()
    assert tags == {"1": [second, first]}


def tags_of(world: World, items: int) -> dict[str, list[str]]:
    """Give the images of the one stream's tags, nothing while there are fewer than that."""
    for stream in world.all("imagestreams", "image.openshift.io/v1"):
        assert stream["metadata"]["name"] == "risk"
        tags = stream.get("status", {}).get("tags") or ()
        found = {each["tag"]: [item["image"] for item in each["items"]] for each in tags}
        if sum(map(len, found.values())) >= items:
            return found
    return {}
