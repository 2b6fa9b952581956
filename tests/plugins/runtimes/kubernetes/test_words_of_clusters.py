"""What clusters write into answers and the status of pods, and what is told of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from waystage.errors import Hopeless, Retryable
from waystage_plugins.runtimes.kubernetes.api import Api, NotAllowed, Reply, failure
from waystage_plugins.runtimes.kubernetes.inference import observe_inference
from waystage_plugins.runtimes.kubernetes.job_status import job_status
from waystage_plugins.runtimes.kubernetes.kinds import Kind
from waystage_plugins.runtimes.kubernetes.observing import (
    last_line,
    observe_deployment,
    other_image,
    pods_of,
)
from waystage_plugins.runtimes.kubernetes.reasons import Trouble, pod_trouble

Thing = dict[str, Any]
DIGEST = "sha256:" + "401" * 21 + "a"
IMAGE = f"registry.example/models/credit-risk@{DIGEST}"
OTHER = "mesh.example/proxy@sha256:" + "1" * 64
PULLING = f'Back-off pulling image "{IMAGE}"'


def nobody(told: str) -> bool:
    """Know of no other digest of the image."""
    return False


def waiting(reason: str, message: str, name: str = "model") -> Thing:
    """Give a pod with a container that waits."""
    state = {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "model", "image": IMAGE}]},
            "status": {"containerStatuses": [state]}}  # fmt: skip


def told(pod: Thing, *events: str) -> Trouble:
    """Give what is told of a pod; each of its containers printed its own name last."""
    happened: list[Thing] = [{"type": "Warning", "message": each} for each in events]
    found = pod_trouble(pod, lambda _: happened, lambda _, name: f"the end of {name}")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("event", "says", "lasting"),
    [
        # CRI-O
        (f"reading manifest {DIGEST} in registry.example/models/credit-risk: authentication "
         "required", "image pull: unauthorized: ", True),
        (f'Get "https://registry.example/v2/m/manifests/{DIGEST}": no basic auth credentials',
         "image pull: unauthorized: ", True),
        (f"reading manifest {DIGEST} in registry.example/models/credit-risk: manifest unknown",
         "image pull: not found: ", True),
        (f'initializing source docker://{IMAGE}: pinging container registry registry.example: Get '
         '"https://registry.example/v2/": dial tcp 10.4.3.40:443: i/o timeout',
         "image pull: ImagePullBackOff: ", False),
        (f"reading manifest {DIGEST} in registry.example/models/credit-risk: received unexpected "
         "HTTP status: 503 Service Unavailable", "image pull: ImagePullBackOff: ", False),
        # containerd
        (f'failed to resolve reference "{IMAGE}": unexpected status from HEAD request: 403 '
         "Forbidden", "image pull: unauthorized: ", True),
        (f'failed to pull image "{IMAGE}": tls: failed to verify certificate: x509: certificate '
         "signed by unknown authority", "image pull: ImagePullBackOff: ", True),
    ],
)  # fmt: skip
def test_a_pull_is_told_by_the_registry_s_words_and_not_by_digits_of_a_digest(
    event: str, says: str, lasting: bool
) -> None:
    found = told(waiting("ImagePullBackOff", PULLING), f"Failed to pull image: {event}")
    assert found.message.startswith(says)
    assert found.lasting is lasting


@pytest.mark.parametrize(
    "reason", ["SignatureValidationFailed", "ErrImageNeverPull", "ImageInspectError"]
)
def test_an_image_that_the_node_does_not_take_is_no_pod_that_starts_slowly(reason: str) -> None:
    found = told(waiting(reason, "the node's policy rejected the image"))
    assert (found.reason, found.lasting) == ("image_pull", True)


def test_an_image_that_runs_as_root_is_told_with_what_to_say() -> None:
    why = "container has runAsNonRoot and image will run as root (pod: …, container: model)"
    found = told(waiting("CreateContainerConfigError", why))
    assert found.message == f"container: {why}; say user: 65532, or any other than 0"


def test_the_last_line_is_that_of_the_container_that_crashes() -> None:
    found = told(waiting("CrashLoopBackOff", "back-off", "scoring-log"))
    assert found.message == "crash loop: last log line: the end of scoring-log"


def running(image_id: str, *before: str) -> Thing:
    """Give a pod that runs, with containers that others put before ours."""
    names = [*before, "model"]
    return {
        "metadata": {"name": "p"},
        "spec": {"containers": [
            {"name": each, "image": IMAGE if each == "model" else "mesh.example/proxy:1"}
            for each in names
        ]},
        "status": {"containerStatuses": [
            {"name": each, "imageID": image_id if each == "model" else OTHER}
            for each in names
        ]},
    }  # fmt: skip


@pytest.mark.parametrize(
    "image_id",
    [
        IMAGE,  # containerd, CRI-O
        f"docker-pullable://{IMAGE}",  # Docker Engine by cri-dockerd
        "0d2f1c9be6a5" + "0" * 52,  # CRI-O of OpenShift 4.15: the image's id
        "sha256:" + "0" * 64,  # an image that was loaded, not pulled
        "",  # not started yet
    ],
)
@pytest.mark.parametrize("before", [(), ("istio-proxy",)])
def test_the_same_image_is_known_however_a_node_writes_it(
    image_id: str, before: tuple[str, ...]
) -> None:
    assert other_image([running(image_id, *before)], IMAGE, nobody) == ""


@pytest.mark.parametrize("before", [(), ("istio-proxy",)])
def test_another_image_is_found_beside_what_a_mesh_puts_in(before: tuple[str, ...]) -> None:
    other = f"registry.example/models/credit-risk@sha256:{'f' * 64}"
    found = [running(other, *before)]
    assert other_image(found, IMAGE, nobody).startswith(f"pod p runs {other}, not ")
    assert other_image(found, IMAGE, lambda told: told == other) == ""


class Told(Api):
    """A cluster that has these pods, whose nodes answer nothing."""

    def __init__(self, *pods: Thing) -> None:
        self.pods = list(pods)

    def list(self, kind: Kind, labels: dict[str, str], fields: str = "") -> list[Thing]:
        return self.pods if kind.plural == "pods" else []

    def log(self, pod: str, lines: int, *, previous: bool = False, container: str = "") -> str:
        raise Retryable("get pods/log p in models: HTTP 500: dial tcp 10.0.0.7:10250: i/o timeout")


def test_a_node_that_is_away_costs_the_last_line_and_not_the_reason() -> None:
    assert last_line(Told(), waiting("CrashLoopBackOff", "back-off")) == ""


@pytest.mark.parametrize(("image", "phase"), [(IMAGE, "ready"), (OTHER, "pending")])
def test_kserve_s_generation_is_that_of_the_deployment_below_and_says_nothing(
    image: str, phase: str
) -> None:
    """An autoscaler that scales the Deployment counts its generation up, not that of KServe."""
    containers = [{"name": "kserve-container", "image": IMAGE}]
    live = {
        "metadata": {"generation": 2, "name": "x"},
        "spec": {"predictor": {"containers": containers}},
        "status": {"observedGeneration": 9, "conditions": [{"type": "Ready", "status": "True"}]},
    }
    pod = {"metadata": {"name": "p", "uid": "1"}, "status": {},
           "spec": {"containers": [{"name": "kserve-container", "image": image}]}}  # fmt: skip
    evicted = {"metadata": {"name": "e", "uid": "2"}, "status": {"phase": "Failed"},
               "spec": {"containers": [{"name": "kserve-container", "image": OTHER}]}}  # fmt: skip
    told = observe_inference(Told(evicted, pod), live, {"name": "x", "image": IMAGE}, nobody)
    assert told.phase == phase
    gone = observe_inference(Told(evicted), live, {"name": "x", "image": IMAGE}, nobody)
    assert gone.phase == "pending"


def test_pods_that_have_ended_stand_behind_those_in_their_place() -> None:
    evicted = {"metadata": {"name": "old"}, "status": {"phase": "Failed", "reason": "Evicted"}}
    going = {"metadata": {"name": "going", "deletionTimestamp": "now"}}
    new = {"metadata": {"name": "new"}, "status": {"phase": "Pending"}}
    found = pods_of(Told(evicted, going, new), "x")
    assert [pod["metadata"]["name"] for pod in found] == ["new", "old"]


def test_a_job_that_took_too_much_memory_is_told_so() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [
        {"name": "job", "state": ended}, {"name": "proxy", "state": {"running": {}}},
    ]}}  # fmt: skip
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    job = {"metadata": {"name": "j"}, "spec": {}, "status": {"conditions": [failed]}}
    status, _ = job_status(Told(pod), job)
    assert (status.phase, status.exit_code) == ("failed", 137)
    assert status.message == "out of memory: give the runtime more memory"


def test_a_job_that_a_queue_holds_back_says_what_it_waits_for() -> None:
    job = {"metadata": {"name": "j", "uid": "1"}, "spec": {"suspend": True}, "status": {}}
    status, lasting = job_status(Told(), job)
    assert (status.phase, lasting) == ("pending", False)
    assert "suspended" in status.message


FORBIDDEN = 'pods "ws-credit-risk-prod-1-" is forbidden: '


class NotMade(Told):
    """A cluster that has a Deployment and makes no pods of it."""

    def __init__(self, why: str, progress: str, available: int) -> None:
        super().__init__()
        conditions = [{"type": "ReplicaFailure", "status": "True", "message": why},
                      {"type": "Progressing", "status": "True", "reason": progress}]  # fmt: skip
        containers = [{"name": "model", "image": IMAGE}]
        self.live = {
            "metadata": {"name": "x", "generation": 1, "labels": {"waystage.dev/owner": "me"}},
            "spec": {"replicas": 1, "template": {"spec": {"containers": containers}}},
            "status": {"observedGeneration": 1, "conditions": conditions,
                       "availableReplicas": available},
        }  # fmt: skip

    def get(self, kind: Kind, name: str) -> Thing | None:
        return self.live


@pytest.mark.parametrize(
    "why",
    [
        # namespaces and projects that are new
        f'{FORBIDDEN}error looking up service account models/default: serviceaccount "default" '
        "not found",
        f'{FORBIDDEN}error fetching namespace "models": unable to find annotation '
        "openshift.io/sa.scc.uid-range",
        # a quota that two pods wrote at once, or that nobody has counted yet
        'Operation cannot be fulfilled on resourcequotas "few": the object has been modified; '
        "please apply your changes to the latest version and try again",
        f"{FORBIDDEN}status unknown for quota: few, resources: limits.cpu",
        'Internal error occurred: failed calling webhook "pods.mesh.example": failed to call '
        'webhook: Post "https://mesh.example.svc:443/": no endpoints available for service "mesh"',
    ],
)
def test_pods_that_are_refused_for_a_moment_are_waited_for(why: str) -> None:
    ref = {"name": "x", "owner": "me", "image": IMAGE, "replicas": 1}
    told = observe_deployment(NotMade(why, "ReplicaSetUpdated", 0), ref, nobody)
    assert (told.phase, told.reason) == ("pending", "not_created")
    assert told.message == f"pods are not created yet: {why}"
    late = observe_deployment(NotMade(why, "ProgressDeadlineExceeded", 0), ref, nobody)
    assert late.phase == "failed", "a person learns of it when the time is over"
    lost = observe_deployment(NotMade(why, "NewReplicaSetAvailable", 1), ref, nobody)
    assert lost.phase == "degraded"


@pytest.mark.parametrize(
    ("why", "reason", "says"),
    [
        ("exceeded quota: few, requested: pods=1, used: pods=4, limited: pods=4", "quota",
         "quota: exceeded quota: few, requested: pods=1, used: pods=4, limited: pods=4"),
        ("failed quota: few: must specify limits.cpu for: model", "quota",
         "quota: failed quota: few: must specify limits.cpu for: model; say resources: "
         '{cpu_limit: "2"}, or any other'),
        ("maximum memory usage per Container is 1Gi, but limit is 2Gi", "not_created",
         f"pods are not created: {FORBIDDEN}maximum memory usage per Container is 1Gi, but limit "
         "is 2Gi"),
    ],
)  # fmt: skip
def test_pods_that_are_refused_for_good_are_told_at_once(why: str, reason: str, says: str) -> None:
    ref = {"name": "x", "owner": "me", "image": IMAGE, "replicas": 1}
    told = observe_deployment(NotMade(FORBIDDEN + why, "ReplicaSetUpdated", 0), ref, nobody)
    assert (told.phase, told.reason, told.message) == ("failed", reason, says)


@pytest.mark.parametrize(
    ("status", "message", "kind", "says"),
    [
        # a policy engine's answer is no matter of Roles
        (403, 'admission webhook "validation.gatekeeper.sh" denied the request: [replicas] too few',
         Hopeless, "a policy of the cluster keeps from patch deployments x in models"),
        (403, 'deployments.apps "x" is forbidden: User "w" cannot patch resource "deployments"',
         NotAllowed, "this account may not patch deployments x"),
        (403, 'services "x" is forbidden: status unknown for quota: few, resources: services',
         Retryable, "status unknown for quota"),
        # an older cluster does not know a field, and blames itself for it
        (500, "failed to create typed patch object (models/x; apps/v1, Kind=Deployment): "
         ".spec.template.spec.hostUsers: field not declared in schema",
         Hopeless, "the cluster refuses to patch deployments x in models: failed to create typed"),
        (500, "Internal error occurred: etcdserver: request timed out", Retryable, "HTTP 500"),
        (429, "Too many requests, please try again later.", Retryable, "HTTP 429"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_apart_from_a_missing_right_and_from_a_bad_moment(
    status: int, message: str, kind: type, says: str
) -> None:
    text = json.dumps({"kind": "Status", "message": message, "code": status})
    error = failure(Reply(status, text), "patch", "deployments", "x", "models")
    assert type(error) is kind
    assert says in str(error)


def test_a_page_of_a_proxy_is_told_as_it_is() -> None:
    page = Reply(503, "<html>down for repairs</html>", timedelta(hours=2))
    error = failure(page, "get", "projects", "x", "x")
    assert isinstance(error, Retryable)
    assert error.after == timedelta(hours=2)
    assert str(error).endswith("down for repairs</html>; it asks to be left alone for 7200 s")
