"""From a model to requests that containers answer: built, pushed, pulled by digest, run, replaced.

The API is a stand-in, all else is real: engine, containers and their limits, registry, router.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from docker_engine import NoEngine
from image_registry import NoRegistry
from pod_admission import uid_range
from python_image import make_python_image
from real_pods import CRASH, ROW, RealPods

from waystage.plugin import DeploySpec, Done, Handle, Job, JobStatus, Observation, OnlineRuntime
from waystage.testing import FakeContext, run_to_end
from waystage.testing.runtime_contracts import (
    check_batch_runtime,
    wait_until_ended,
    wait_until_ready,
)
from waystage_plugins.images import BuildServingImage
from waystage_plugins.runtimes.kubernetes import KubernetesJob, KubernetesServing, OpenShiftServing

from .conftest import wait

pytestmark = [pytest.mark.heavy, pytest.mark.slow]
MEMORY = 384 << 20
DRAIN = 1  # seconds: the router looks ten times in one
SMALL = {"cpu": "50m", "memory": "384Mi", "cpu_limit": "2"}
TINY = {"income": 100.0, "owner": False}


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPods]:
    pytest.importorskip("grpc", reason="grpcio is not installed")
    try:
        found = RealPods(tmp_path_factory.mktemp("cluster"))
    except (NoEngine, NoRegistry) as error:
        pytest.skip(str(error))
    yield found
    found.close()


def built(ctx: FakeContext, settings: dict[str, Any]) -> DeploySpec:
    """Build the image of the context's snapshot, and give what is to be deployed."""
    answer = run_to_end(BuildServingImage.model_validate(settings), ctx)
    assert isinstance(answer, Done), answer
    output = answer.output
    image = output["image"] if isinstance(output, dict) else output.image  # type: ignore[union-attr]  # of the step
    return DeploySpec(
        service="credit-risk", stage="PROD", snapshot=ctx.snapshot, role="champion",
        source=str(ctx.project), run=ctx.run, image=str(image),
    )  # fmt: skip


class Asking:
    """Somebody who asks all the time, and counts what is not answered well."""

    def __init__(self, url: str, trust: str) -> None:
        self.answers: list[float] = []
        self.failed: list[str] = []
        self._url, self._trust = url, trust
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _work(self) -> None:
        trust = ssl.create_default_context(cafile=self._trust)
        with httpx.Client(trust_env=False, verify=trust, timeout=60) as client:
            while not self._end.wait(0.01):
                try:
                    told = client.post(f"{self._url}:predict", json={"instances": [TINY]})
                    if told.status_code == 200:
                        self.answers.append(round(float(told.json()["predictions"][0]), 3))
                    else:
                        self.failed.append(f"{told.status_code} {told.text[:200]}")
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))


def champion(runtime: OnlineRuntime, ctx: FakeContext, spec: DeploySpec) -> Handle:
    """Deploy, wait until it is ready, and lead the requests there."""
    handle = runtime.apply(ctx, spec)
    wait_until_ready(runtime, ctx, handle, within=120)
    runtime.set_traffic(ctx, handle)
    return handle


def ready(runtime: OnlineRuntime, ctx: FakeContext, handle: Handle) -> Observation:
    """Wait until it is seen as ready, Route and all."""
    return wait(lambda: (seen := runtime.observe(ctx, handle)).phase == "ready" and seen, 120)  # type: ignore[no-any-return]  # of `wait`


def test_a_model_is_built_run_replaced_under_load_and_taken_away_on_openshift(
    pods: RealPods, tmp_path: Path
) -> None:
    pods.namespace("models-prod", "openshift.tfserving", openshift=True)
    before = pods.world("models-prod")
    runtime = OpenShiftServing.model_validate(
        pods.reached(
            project="models-prod",
            pull_secret="pull",
            resources=SMALL,
            drain_seconds=DRAIN,
            replicas=2,
        )
    )
    ctx = pods.context(tmp_path, "models-prod")
    spec = built(ctx, pods.build("1.0.0", builder="oci"))
    assert runtime.check(spec) == []
    old = champion(runtime, ctx, spec)
    seen = ready(runtime, ctx, old)
    assert seen.digest == ctx.snapshot.digest
    url = seen.endpoints[0].url
    assert url.startswith("https://127.0.0.1:")
    assert runtime.predict(ctx, old, [ROW])[0]["score"] == pytest.approx(0.731, abs=1e-3)
    confined(pods, "models-prod", spec.image)
    assert "Exporting HTTP/REST API" in runtime.logs(ctx, old)

    with Asking(url, str(pods.certificate)) as asking:
        wait(lambda: len(asking.answers) > 5)
        later = pods.context(tmp_path, "models-prod")
        second = built(later, pods.build("2.0.0", builder="docker"))
        assert second.image != spec.image
        new = champion(runtime, later, second)
        wait(lambda: asking.answers and asking.answers[-1] == 0.881)
        runtime.delete(ctx, old)
        wait(lambda: len(pods.all("models-prod", "pods")) == 2)
        many = len(asking.answers)
        wait(lambda: len(asking.answers) > many + 20)
    assert asking.failed == []
    assert set(asking.answers) == {0.731, 0.881}
    assert asking.answers == sorted(asking.answers), "once at the new one, never back"
    runtime.delete(later, new)
    wait(lambda: pods.world("models-prod") == before, 120)


def confined(pods: RealPods, namespace: str, image: str) -> None:
    """Hold the containers against what `restricted-v2` and the manifest say."""
    digest, uids = image.partition("@")[2], uid_range(namespace)
    for pod in pods.all(namespace, "pods"):
        found = pods.inspected(pod)
        host = found["HostConfig"]
        user, _, group = found["Config"]["User"].partition(":")
        assert uids[0] <= int(user) <= uids[1]
        assert group == "0"
        assert (host["ReadonlyRootfs"], host["Privileged"]) == (True, False)
        assert (host["CapDrop"], host["CapAdd"] or []) == (["ALL"], [])
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert (host["Memory"], host["NanoCpus"]) == (MEMORY, 2_000_000_000)
        (status,) = pod["status"]["containerStatuses"]
        assert status["imageID"].endswith(digest)
        assert pod["metadata"]["annotations"]["openshift.io/scc"] == "restricted-v2"


def test_requests_are_shared_by_the_weights_of_the_route(pods: RealPods, tmp_path: Path) -> None:
    pods.namespace("shared", "openshift.tfserving", openshift=True)
    runtime = OpenShiftServing.model_validate(
        pods.reached(
            project="shared", pull_secret="pull", resources=SMALL, drain_seconds=DRAIN, tls="none"
        )
    )
    ctx, other = pods.context(tmp_path, "shared"), pods.context(tmp_path, "shared")
    first = champion(runtime, ctx, built(ctx, pods.build("s1")))
    spec = built(other, pods.build("s2")).model_copy(update={"role": "challenger"})
    second = runtime.apply(other, spec)
    wait_until_ready(runtime, other, second, within=120)
    runtime.set_traffic(other, second, 25)
    url = ready(runtime, other, second).endpoints[0].url
    with Asking(url, str(pods.certificate)) as asking:
        wait(lambda: 0.881 in asking.answers)
        asking.answers.clear()
        wait(lambda: len(asking.answers) >= 40)
    share = asking.answers[:40].count(0.881)
    assert (share, asking.failed) == (10, [])
    runtime.delete(other, second)
    runtime.delete(ctx, first)
    wait(lambda: pods.all("shared", "pods") == [], 120)


def on_kubernetes(pods: RealPods, namespace: str, **more: Any) -> KubernetesServing:
    pods.namespace(namespace, "kubernetes.tfserving", openshift=False)
    told = {"pull_secret": "pull", "resources": SMALL, "drain_seconds": 0, "user": 65532} | more
    return KubernetesServing.model_validate(pods.reached(namespace=namespace, **told))


def told(
    runtime: OnlineRuntime, ctx: FakeContext, spec: DeploySpec, pods: RealPods, namespace: str
) -> Observation:
    """Deploy what cannot run; give what is said of it, and see that nothing of it stays."""
    handle = runtime.apply(ctx, spec)
    seen = wait(lambda: (o := runtime.observe(ctx, handle)).phase == "failed" and o, 120)
    runtime.delete(ctx, handle)
    wait(lambda: pods.all(namespace, "pods") == [], 120)
    return seen  # type: ignore[no-any-return]  # of `wait`


Spoil = Callable[[RealPods, str, DeploySpec], DeploySpec]


def other_digest(pods: RealPods, namespace: str, spec: DeploySpec) -> DeploySpec:
    return spec.model_copy(update={"image": spec.image.partition("@")[0] + "@sha256:" + "0" * 64})


def no_pods(pods: RealPods, namespace: str, spec: DeploySpec) -> DeploySpec:
    hard = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"},
            "spec": {"hard": {"pods": "0"}}}  # fmt: skip
    pods.made(namespace, hard)
    return spec


@pytest.mark.parametrize(
    ("name", "settings", "build", "tiny", "spoil", "reason", "says"),
    [
        ("crash", {}, {"base": "crashing"}, {}, None, "crash_loop", CRASH.replace(" ", "-")),
        ("memory", {}, {}, {"eats": 800}, None, "out_of_memory", "give the runtime more memory"),
        ("digest", {}, {}, {}, other_digest, "image_pull", "not found"),
        # a model that no pod before had: what a node has already, it starts without asking
        ("login", {"pull_secret": "none"}, {}, {"slope": 0.5}, None, "image_pull", "unauthorized"),
        ("quota", {}, {}, {}, no_pods, "quota", "exceeded quota: few"),
        ("root", {"user": None}, {}, {}, None, "container", "say user: 65532"),
    ],
)
def test_what_keeps_a_container_from_serving_is_told(
    pods: RealPods, tmp_path: Path, name: str, settings: dict[str, Any], build: dict[str, Any],
    tiny: dict[str, Any], spoil: Spoil | None, reason: str, says: str,
) -> None:  # fmt: skip
    runtime = on_kubernetes(pods, name, **settings)
    ctx = pods.context(tmp_path, name, **tiny)
    spec = built(ctx, pods.build(f"{name}-1", **build))
    seen = told(runtime, ctx, spoil(pods, name, spec) if spoil else spec, pods, name)
    assert seen.reason == reason, seen
    assert says in seen.message


def test_what_openshift_does_not_let_in_is_told_in_its_words(
    pods: RealPods, tmp_path: Path
) -> None:
    pods.namespace("fixed", "openshift.tfserving", openshift=True)
    runtime = OpenShiftServing.model_validate(
        pods.reached(
            project="fixed", pull_secret="pull", resources=SMALL, drain_seconds=DRAIN, user=1000
        )
    )
    ctx = pods.context(tmp_path, "fixed")
    seen = told(runtime, ctx, built(ctx, pods.build("fixed-1")), pods, "fixed")
    assert seen.reason == "forbidden"
    assert "provider restricted-v2: .containers[0].runAsUser: Invalid value: 1000" in seen.message


def test_a_model_that_loads_slowly_is_waited_for_and_asked_through_the_api(
    pods: RealPods, tmp_path: Path
) -> None:
    runtime = on_kubernetes(pods, "slow")
    ctx = pods.context(tmp_path, "slow", seconds=2)
    handle = runtime.apply(ctx, built(ctx, pods.build("slow-1")))
    assert runtime.observe(ctx, handle).phase == "pending"
    wait_until_ready(runtime, ctx, handle, within=120)
    runtime.set_traffic(ctx, handle)
    assert runtime.predict(ctx, handle, [ROW])[0]["score"] == pytest.approx(0.731, abs=1e-3)
    runtime.delete(ctx, handle)
    wait(lambda: pods.all("slow", "pods") == [], 120)


def test_another_image_of_the_same_snapshot_rolls_out_without_a_failed_request(
    pods: RealPods, tmp_path: Path
) -> None:
    pods.namespace("rolled", "openshift.tfserving", openshift=True)
    runtime = OpenShiftServing.model_validate(
        pods.reached(
            project="rolled",
            pull_secret="pull",
            resources=SMALL,
            drain_seconds=DRAIN,
            tls="none",
            replicas=2,
        )
    )
    ctx = pods.context(tmp_path, "rolled")
    handle = champion(runtime, ctx, built(ctx, pods.build("r1")))
    url = ready(runtime, ctx, handle).endpoints[0].url
    with Asking(url, str(pods.certificate)) as asking:
        wait(lambda: len(asking.answers) > 5)
        again = champion(runtime, ctx, built(ctx, pods.build("r2", stamp=True)))
        assert again.ref["name"] == handle.ref["name"]
        ready(runtime, ctx, again)
        wait(lambda: len(pods.all("rolled", "pods")) == 2, 120)
        many = len(asking.answers)
        wait(lambda: len(asking.answers) > many + 20)
    assert asking.failed == []
    runtime.delete(ctx, again)
    wait(lambda: pods.all("rolled", "pods") == [], 120)


def test_jobs_run_once_in_containers_and_their_ends_are_told(
    pods: RealPods, tmp_path: Path
) -> None:
    make_python_image(pods.engine, "jobs")
    image, volume = pods.push("jobs:1", "models/jobs"), tmp_path / "volume"
    volume.mkdir()
    pods.namespace("batch", "kubernetes.job", openshift=False)
    pods.node.claims["jobs"] = volume
    before, ctx = pods.world("batch"), pods.context(tmp_path, "batch")
    runtime = KubernetesJob.model_validate(
        pods.reached(namespace="batch", image=image, claim="jobs", directory=str(volume),
                     pull_secret="pull", user=65532, resources=SMALL)
    )  # fmt: skip
    check_batch_runtime(runtime, ctx, python="python3", within=120)

    seen = "import os, pathlib; assert os.getuid() == 65532; pathlib.Path('/file').touch()"
    assert "Read-only file system" in ended(runtime, ctx, "writes", seen).message
    assert ended(runtime, ctx, "eats", "bytearray(800 << 20)").message.startswith("out of memory")
    runtime.forget(ctx, {"writes", "eats", *(key.partition("/")[0] for key in keys(pods))})
    wait(lambda: pods.world("batch") == before, 120)


def ended(runtime: KubernetesJob, ctx: FakeContext, name: str, script: str) -> JobStatus:
    """Run a script as a job, to its end."""
    job = Job(name=name, command=("python3", "-c", script))
    return wait_until_ended(runtime, ctx, runtime.submit(ctx, job, key=f"{name}/1/s"), within=120)


def keys(pods: RealPods) -> list[str]:
    """Give the keys of all jobs that are there."""
    jobs = pods.all("batch", "jobs", "batch/v1")
    return [each["metadata"]["annotations"]["waystage.dev/key"] for each in jobs]
