"""Model servers on Kubernetes, on a stand-in and on a real control plane."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from kube_answers import Answered
from kubelet import ModelServer

from waystage.errors import Conflict, Hopeless, Retryable
from waystage.plugin import Column, DeploySpec, Handle
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import check_online_runtime, wait_until_ready
from waystage_plugins.runtimes.kubernetes import KubernetesServing
from waystage_plugins.runtimes.kubernetes.kinds import SERVICE

from .conftest import BOTH, IMAGE, ROW, World, wait

Spec = Callable[..., DeploySpec]


def test_it_holds_to_the_contract_of_runtimes(world: World, ctx: FakeContext, spec: Spec) -> None:
    seen = check_online_runtime(world.serving(), ctx, spec())
    assert seen.endpoints[0].url.endswith(".models.svc:8501/v1/models/credit-risk")
    assert world.names() == set()
    assert set(ModelServer.probes) == {"1"}


@BOTH
def test_what_is_applied_becomes_ready_once_and_goes_without_a_trace(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime, before = world.serving(replicas=2), world.names()
    handle = runtime.apply(ctx, spec())
    assert runtime.apply(ctx, spec()) == handle
    seen = wait_until_ready(runtime, ctx, handle)
    assert (seen.digest, seen.generation) == (spec().snapshot.digest, ctx.key)
    assert len(world.all("deployments", "apps/v1")) == 1
    assert world.all("deployments", "apps/v1")[0]["metadata"]["generation"] == 1
    runtime.delete(ctx, handle)
    wait(lambda: world.names() == before)
    runtime.delete(ctx, handle)
    assert runtime.observe(ctx, handle).phase == "absent"


@BOTH
def test_a_champion_takes_over_and_gives_back_without_a_gap(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime, before = world.serving(), world.names()
    old = _champion(runtime, ctx, spec("1"))
    new = _champion(runtime, ctx, spec("2"))
    (shared,) = [s for s in world.all("services") if s["metadata"]["name"] == old.ref["shared"]]
    assert shared["spec"]["selector"] == {"waystage.dev/deployment": new.ref["name"]}
    assert runtime.observe(ctx, old).phase == "ready"
    runtime.delete(ctx, new)
    seen = runtime.observe(ctx, old)
    assert seen.phase == "ready"
    assert seen.endpoints[0].url.startswith(f"http://{old.ref['shared']}.")
    runtime.delete(ctx, old)
    wait(lambda: world.names() == before)


@BOTH
def test_another_image_rolls_out_under_the_same_name(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.serving()
    handle = _champion(runtime, ctx, spec())
    ctx.key = "credit-risk-1/2/step"
    again = _champion(runtime, ctx, spec(image=IMAGE.replace("a" * 64, "b" * 64)))
    assert again.ref["name"] == handle.ref["name"]
    assert runtime.observe(ctx, again).generation == ctx.key
    told = runtime.observe(ctx, handle)
    assert (told.phase, told.reason) == ("degraded", "foreign_change")
    (pod,) = wait(lambda: len(world.all("pods")) == 1 and world.all("pods"))
    assert pod["status"]["containerStatuses"][0]["imageID"].endswith("b" * 64)


@BOTH
@pytest.mark.parametrize(
    ("plan", "reason", "says"),
    [
        ("unauthorized", "image_pull", "image pull: unauthorized: Failed to pull image"),
        ("crash", "crash_loop", "crash loop: last log line: ImportError: no module named scoring"),
        ("out of memory", "out_of_memory", "out of memory"),
    ],
)
def test_a_pod_that_cannot_run_is_told_with_its_reason(
    world: World, ctx: FakeContext, spec: Spec, plan: str, reason: str, says: str
) -> None:
    world.kubelet.plans["credit-risk"] = plan
    runtime = world.serving()
    handle = runtime.apply(ctx, spec())
    wait(lambda: runtime.observe(ctx, handle).reason == reason)
    seen = runtime.observe(ctx, handle)
    assert seen.phase == "failed"
    assert seen.message.startswith(says)


@BOTH
def test_a_pod_without_a_node_is_waited_for_and_says_why(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    world.kubelet.plans["credit-risk"] = "unschedulable"
    runtime = world.serving()
    handle = runtime.apply(ctx, spec())
    wait(lambda: runtime.observe(ctx, handle).reason == "unschedulable")
    seen = runtime.observe(ctx, handle)
    assert (seen.phase, seen.message) == (
        "pending", "no node: 0/3 nodes are available: 3 Insufficient memory."
    )  # fmt: skip


@BOTH
def test_a_quota_is_told_as_one(world: World, ctx: FakeContext, spec: Spec) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"},
             "spec": {"hard": {"pods": "0"}}}  # fmt: skip
    made = world.kubelet.call("POST", f"{world.root()}/resourcequotas", quota)
    assert made["kind"] == "ResourceQuota"
    runtime = world.serving()
    handle = runtime.apply(ctx, spec())
    wait(lambda: runtime.observe(ctx, handle).reason == "quota")
    seen = runtime.observe(ctx, handle)
    assert seen.phase == "failed"
    assert seen.message.startswith("quota: exceeded quota: few, requested: pods=1")


def test_a_cluster_with_too_much_to_do_is_left_alone_for_as_long_as_it_asks(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    assert world.api is not None
    runtime, busy = world.serving(), "the server has received too many requests"
    for rest in (7, 0):
        no = Answered(429, "TooManyRequests", busy, retryAfterSeconds=rest)
        world.api.refusals["deployments"] = no
        with pytest.raises(Retryable, match=busy) as failed:
            runtime.apply(ctx, spec())
        assert failed.value.after == (timedelta(seconds=rest) or None)
        assert ("left alone for 7 s" in str(failed.value)) is bool(rest)
    world.api.refusals.clear()
    assert runtime.apply(ctx, spec()).warnings == ()


def test_what_the_cluster_warns_of_is_told_once(
    world: World, ctx: FakeContext, spec: Spec, caplog: pytest.LogCaptureFixture
) -> None:
    assert world.api is not None
    policy = r'would violate PodSecurity "restricted:latest": path C:\new, für alle'
    world.api.warned = {"deployments": policy, "services": "old"}
    runtime = world.serving()
    handle = runtime.apply(ctx, spec())
    assert sorted(handle.warnings) == ["old", policy]
    told = [each.getMessage() for each in caplog.records if "warns" in each.getMessage()]
    assert sorted(told) == [
        f"the cluster warns of what was changed in models: {each}" for each in ("old", policy)
    ]
    caplog.clear()
    runtime.observe(ctx, handle)
    assert "warns" not in caplog.text, "nothing was changed"


@BOTH
def test_another_image_than_the_wanted_one_never_counts_as_ready(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    world.kubelet.plans["credit-risk"] = "other image"
    runtime = world.serving()
    handle = runtime.apply(ctx, spec())
    wait(lambda: runtime.observe(ctx, handle).reason == "digest_mismatch")
    seen = runtime.observe(ctx, handle)
    assert (seen.phase, seen.digest) == ("degraded", None)


@BOTH
def test_what_others_change_is_seen_and_named(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving()
    handle = _champion(runtime, ctx, spec())
    path = f"{world.root('apps/v1')}/deployments/{handle.ref['name']}"
    world.change(path, {"spec": {"replicas": 3}}, "kubectl-scale")
    seen = runtime.observe(ctx, handle)
    assert (seen.phase, seen.reason) == ("degraded", "foreign_change")
    assert seen.message == "kubectl-scale changed the replicas to 3"


@BOTH
def test_fields_of_others_are_not_taken_unless_told_to(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.serving()
    handle = _champion(runtime, ctx, spec())
    path = f"{world.root('apps/v1')}/deployments/{handle.ref['name']}"
    world.change(path, {"spec": {"replicas": 3}}, "kubectl-scale")
    with pytest.raises(Conflict, match=r"\.spec\.replicas .*kubectl-scale.*take_over: true"):
        runtime.apply(ctx, spec())
    taking = runtime.model_copy(update={"take_over": True})
    taking.apply(ctx, spec())
    wait_until_ready(taking, ctx, handle)


@BOTH
def test_what_is_not_its_own_is_left_alone(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving()
    handle = _champion(runtime, ctx, spec())
    path = f"{world.root()}/services/{handle.ref['name']}"
    world.change(path, {"metadata": {"labels": {"waystage.dev/owner": "somebody"}}})
    with pytest.raises(Hopeless, match="is there already and not of owner waystage"):
        runtime.apply(ctx, spec())
    runtime.delete(ctx, handle)
    assert f"services/{handle.ref['name']}" in world.names()
    assert f"deployments/{handle.ref['name']}" not in world.names()


def test_an_answer_that_is_lost_after_the_effect_leaves_one_deployment(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    assert world.api is not None
    runtime = world.serving()
    for lost in range(1, 3):
        world.api.lose_answers = 1
        with pytest.raises(Retryable, match="does not answer"):
            runtime.apply(ctx, spec())
        assert len(world.all("deployments", "apps/v1")) == 1, lost
    handle = runtime.apply(ctx, spec())
    wait_until_ready(runtime, ctx, handle)
    (made,) = world.all("deployments", "apps/v1")
    assert made["metadata"]["generation"] == 1
    world.api.lose_answers = 1
    with pytest.raises(Retryable):
        runtime.delete(ctx, handle)
    runtime.delete(ctx, handle)
    assert world.names() == set()


def test_pods_that_were_lost_are_told(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving(replicas=2)
    handle = _champion(runtime, ctx, spec())
    world.kubelet.plans["credit-risk"] = "wait"
    lost = world.all("pods")[0]["metadata"]["name"]
    world.kubelet.call("DELETE", f"{world.root()}/pods/{lost}")
    seen = runtime.observe(ctx, handle)
    assert (seen.phase, seen.message) == ("degraded", "1 of 2 pods are ready")


def test_scaling_and_disruption_are_applied_when_asked_for_and_go_with_the_rest(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.serving(autoscale={"max": 4}, min_available=1)
    handle = _champion(runtime, ctx, spec())
    (scaler,) = world.all("horizontalpodautoscalers", "autoscaling/v2")
    assert scaler["spec"]["scaleTargetRef"]["name"] == handle.ref["name"]
    path = f"{world.root('apps/v1')}/deployments/{handle.ref['name']}"
    world.change(path, {"spec": {"replicas": 2}}, "autoscaler")
    wait(lambda: runtime.observe(ctx, handle).phase == "ready")
    runtime.apply(ctx, spec())  # the number of replicas is the autoscaler's, not a conflict
    runtime.delete(ctx, handle)
    assert world.all("poddisruptionbudgets", "policy/v1") == []
    assert world.all("horizontalpodautoscalers", "autoscaling/v2") == []


def test_a_runtime_that_moved_does_not_touch_what_is_in_another_namespace(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.serving()
    handle = runtime.apply(ctx, spec())
    moved = runtime.model_copy(update={"namespace": "elsewhere"})
    with pytest.raises(Hopeless, match="deployed to namespace models"):
        moved.delete(ctx, handle)


def test_what_cannot_run_is_said_without_a_cluster(spec: Spec) -> None:
    runtime = KubernetesServing(namespace="models", registry="registry.example")  # type: ignore[arg-type]  # a host alone will do
    assert runtime.check(spec()) == []
    assert "build one before" in runtime.check(spec(image=""))[0]
    assert "without its digest" in runtime.check(spec(image="registry.example/m:1"))[0]
    assert "not of the registry" in runtime.check(spec(image=f"other.example/{IMAGE}"))[0]
    onnx = spec().model_copy(
        update={"snapshot": spec().snapshot.model_copy(update={"format": "onnx"})}
    )
    assert runtime.check(onnx) == [
        "kubernetes.tfserving serves savedmodel models, credit/1 is onnx"
    ]


def test_a_share_of_requests_is_refused_where_a_service_cannot_split(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.serving()
    with pytest.raises(Hopeless, match="not 10 % of them"):
        runtime.set_traffic(ctx, runtime.apply(ctx, spec()), 10)


def test_rows_are_scored_by_a_pod_that_is_there(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving()
    handle = _champion(runtime, ctx, spec())
    assert runtime.predict(ctx, handle, [ROW, ROW]) == [{"score": 0.3}] * 2
    world.kubelet.plans["credit-risk"] = "wait"
    for pod in world.all("pods"):
        world.kubelet.call("DELETE", f"{world.root()}/pods/{pod['metadata']['name']}")
    with pytest.raises(Retryable, match="no pod of"):
        runtime.predict(ctx, handle, [ROW])


WIDE = {"keras_tensor": ("DT_FLOAT", [-1, 2])}  # as Keras exports one input for all columns
TALL = {"income": ("DT_FLOAT", [-1, 1]), "children": ("DT_INT64", [-1, 1]),
        "purpose": ("DT_STRING", [-1, 1])}  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "columns"), [(WIDE, ["income", "children"]), (TALL, [*ROW]), (TALL, [])]
)
def test_rows_get_the_shape_of_the_model_s_signature(
    world: World, ctx: FakeContext, spec: Spec, inputs: Any, columns: list[str]
) -> None:
    ModelServer.inputs = inputs
    told = [Column(name=name) for name in columns]
    wanted = spec().model_copy(update={"snapshot": spec().snapshot.model_copy(
        update={"inputs": tuple(told)})})  # fmt: skip
    runtime = world.serving()
    assert runtime.predict(ctx, _champion(runtime, ctx, wanted), [ROW]) == [{"score": 0.3}]


def _champion(runtime: KubernetesServing, ctx: FakeContext, wanted: DeploySpec) -> Handle:
    handle = runtime.apply(ctx, wanted)
    wait_until_ready(runtime, ctx, handle)
    runtime.set_traffic(ctx, handle)
    return handle


def test_what_the_cluster_has_not_begun_with_is_not_ready_by_what_ran_before(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    assert world.api is not None
    runtime = world.serving()
    _champion(runtime, ctx, spec())
    world.api.store.after.clear()  # the controllers are busy elsewhere
    handle = runtime.apply(ctx, spec(image=IMAGE.replace("a" * 64, "b" * 64)))
    seen = runtime.observe(ctx, handle)
    assert (seen.phase, seen.reason) == ("pending", "rollout")
    world.api.store.after.append(world.api.controllers.settle)
    world.api.controllers.settle()
    wait_until_ready(runtime, ctx, handle)


@BOTH
def test_what_is_just_being_taken_away_is_not_applied_to(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    """Applied to, it would look made and be gone a moment later."""
    runtime = world.serving()
    handle = runtime.apply(ctx, spec())
    path = f"{world.root('apps/v1')}/deployments/{handle.ref['name']}"
    world.change(path, {"metadata": {"finalizers": ["example.com/held"]}})
    runtime.delete(ctx, handle)
    with pytest.raises(Retryable, match=r"Deployment .* in .* is being taken away"):
        runtime.apply(ctx, spec())
    world.change(path, {"metadata": {"finalizers": None}})
    wait(lambda: runtime.observe(ctx, handle).phase == "absent")
    wait_until_ready(runtime, ctx, runtime.apply(ctx, spec()))


def test_what_took_the_name_of_the_one_that_was_looked_at_is_not_deleted(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.serving()
    handle = _champion(runtime, ctx, spec())
    with runtime.connected(ctx, "models") as api:
        stale = api.get(SERVICE, str(handle.ref["name"]))
        assert stale is not None
        path = f"{world.root()}/services"
        world.kubelet.call("DELETE", f"{path}/{handle.ref['name']}")
        other = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": handle.ref["name"]},
                 "spec": {"ports": [{"port": 1}]}}  # fmt: skip
        world.kubelet.call("POST", path, other)
        with pytest.raises(Retryable, match="UID in the precondition"):
            api.delete(SERVICE, stale)
    assert f"services/{handle.ref['name']}" in world.names()
