"""Snapshots as InferenceServices; KServe itself is played, by what its documentation says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from waystage.errors import Conflict, Hopeless
from waystage.plugin import DeploySpec
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import check_online_runtime, wait_until_ready
from waystage_plugins.runtimes.kubernetes import KServe, cluster
from waystage_plugins.runtimes.kubernetes.inference import MODE, inference_service
from waystage_plugins.runtimes.kubernetes.rbac import manifests

from .conftest import BOTH, IMAGE, ROW, World, wait

Spec = Callable[..., DeploySpec]
GROUP = "serving.kserve.io/v1beta1"


def runtime_of(world: World, **more: Any) -> KServe:
    """Give the runtime, its account made."""
    world.grant("kserve")
    return KServe.model_validate(world.settings(namespace=world.namespace, **more))


def test_it_holds_to_the_contract_of_runtimes(world: World, ctx: FakeContext, spec: Spec) -> None:
    seen = check_online_runtime(runtime_of(world, replicas=2), ctx, spec())
    assert seen.endpoints[0].url.endswith("-models.example/v1/models/credit-risk")
    assert world.names() == set()


@BOTH
def test_it_is_applied_once_seen_when_others_change_it_and_taken_away(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime, before = runtime_of(world), world.names()
    handle = runtime.apply(ctx, spec())
    assert runtime.apply(ctx, spec()) == handle
    (made,) = world.all("inferenceservices", GROUP)
    assert made["metadata"]["generation"] == 1
    assert runtime.observe(ctx, handle).generation == ctx.key
    path = f"{world.root(GROUP)}/inferenceservices/{handle.ref['name']}"
    containers = made["spec"]["predictor"]["containers"]
    containers[0]["image"] = "other.example/image:1"
    world.change(path, {"spec": {"predictor": {"containers": containers}}}, "kubectl-patch")
    seen = runtime.observe(ctx, handle)
    assert (seen.phase, seen.reason) == ("degraded", "foreign_change")
    assert seen.message.endswith("changed the image to other.example/image:1")
    with pytest.raises(Conflict, match=r"kubectl-patch.*take_over: true"):
        runtime.apply(ctx, spec())
    runtime.delete(ctx, handle)
    wait(lambda: world.names() == before)
    runtime.delete(ctx, handle)
    assert runtime.observe(ctx, handle).phase == "absent"


def test_pods_that_somebody_scaled_are_told_and_restored(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = runtime_of(world)
    handle = runtime.apply(ctx, spec())
    path = f"{world.root(GROUP)}/inferenceservices/{handle.ref['name']}"
    world.change(path, {"spec": {"predictor": {"maxReplicas": 5}}}, "kubectl-edit")
    seen = runtime.observe(ctx, handle)
    assert (seen.phase, seen.reason) == ("degraded", "foreign_change")
    assert seen.message == "kubectl-edit changed the replicas to 1 to 5"
    assert [(d.what, d.wanted, d.by) for d in seen.differs] == [
        ("replicas", "1 to 1", "kubectl-edit")
    ]
    made = runtime.restore(ctx, spec(), handle, serves=True)
    assert runtime.observe(ctx, made).differs == ()
    older = handle.model_copy(update={"ref": {k: v for k, v in handle.ref.items() if k != "scale"}})
    assert runtime.observe(ctx, older).differs == ()


def test_the_word_that_newer_versions_put_for_the_mode_is_left(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = runtime_of(world)
    handle = runtime.apply(ctx, spec())
    path = f"{world.root(GROUP)}/inferenceservices/{handle.ref['name']}"
    world.change(path, {"metadata": {"annotations": {MODE: "Standard"}}}, "manager")
    runtime.apply(ctx, spec(image=IMAGE.replace("a" * 64, "b" * 64)))
    (made,) = world.all("inferenceservices", GROUP)
    assert made["metadata"]["annotations"][MODE] == "Standard"
    assert made["spec"]["predictor"]["containers"][0]["image"].endswith("b" * 64)


def test_a_share_of_the_processor_is_scaled_by_in_all_versions_of_kserve(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    """0.16 holds `cpu` for no metric unless Knative's annotation says so beside the older mode."""
    runtime = runtime_of(world, autoscale={"min": 1, "max": 3, "cpu_percent": 70})
    runtime.apply(ctx, spec())
    (made,) = world.all("inferenceservices", GROUP)
    notes, predictor = made["metadata"]["annotations"], made["spec"]["predictor"]
    assert (predictor["scaleMetric"], predictor["scaleTarget"]) == ("cpu", 70)
    assert notes[MODE] == "RawDeployment"
    assert notes["serving.kserve.io/autoscalerClass"] == "hpa"
    assert notes["autoscaling.knative.dev/class"] == "hpa.autoscaling.knative.dev"


@pytest.mark.parametrize(
    ("plan", "reason", "phase"),
    [("unauthorized", "image_pull", "failed"), ("crash", "crash_loop", "failed"),
     ("unschedulable", "unschedulable", "pending"), ("other image", "digest_mismatch", "degraded")],
)  # fmt: skip
def test_a_pod_that_cannot_run_is_told(
    world: World, ctx: FakeContext, spec: Spec, plan: str, reason: str, phase: str
) -> None:
    world.kubelet.plans["credit-risk"] = plan
    runtime = runtime_of(world)
    handle = runtime.apply(ctx, spec())
    wait(lambda: runtime.observe(ctx, handle).reason == reason)
    assert runtime.observe(ctx, handle).phase == phase


def test_what_kserve_observed_is_its_deployments_generation_and_nothing_is_read_from_it(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = runtime_of(world)
    handle = runtime.apply(ctx, spec())
    wait_until_ready(runtime, ctx, handle)
    path = f"{world.root(GROUP)}/inferenceservices/{handle.ref['name']}"
    world.change(path, {"spec": {"predictor": {"scaleTarget": 70}}})  # no business of pods
    (made,) = world.all("inferenceservices", GROUP)
    assert (made["metadata"]["generation"], made["status"]["observedGeneration"]) == (2, 1)
    assert runtime.observe(ctx, handle).phase == "ready"


def test_what_old_pods_answer_does_not_make_another_image_ready(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = runtime_of(world)
    wait_until_ready(runtime, ctx, runtime.apply(ctx, spec()))
    other = IMAGE.replace("a" * 64, "b" * 64)
    world.kubelet.plans["b" * 64] = "wait"
    handle = runtime.apply(ctx, spec(image=other))
    (made,) = world.all("inferenceservices", GROUP)
    assert {c["type"]: c["status"] for c in made["status"]["conditions"]}["Ready"] == "True"
    assert runtime.observe(ctx, handle).phase == "pending"
    world.kubelet.plans.clear()
    wait_until_ready(runtime, ctx, handle)
    assert {pod["spec"]["containers"][0]["image"] for pod in world.all("pods")} == {other}


def test_requests_are_not_shared(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = runtime_of(world)
    with pytest.raises(Hopeless, match="kserve decides by itself where requests go"):
        runtime.set_traffic(ctx, runtime.apply(ctx, spec()), 10)


def test_the_predictor_keeps_the_rules_for_restricted_pods(world: World, spec: Spec) -> None:
    runtime = KServe(namespace="models", autoscale={"max": 3})  # type: ignore[arg-type]  # read as YAML is
    made = inference_service(runtime._plan(spec(), "k"))
    predictor = made["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 3)
    (container,) = predictor["containers"]
    assert container["name"] == "kserve-container"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert predictor["automountServiceAccountToken"] is False
    assert "runAsUser" not in json.dumps(made)


def test_the_role_is_what_is_used_and_nothing_more(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    assert world.api is not None
    cluster._tokens.clear()
    runtime = runtime_of(world, service_account="waystage")
    assert runtime.diagnose(ctx) == []
    world.kubelet.plans["credit-risk"] = "unauthorized"
    bad = runtime.apply(ctx, spec("1"))
    wait(lambda: runtime.observe(ctx, bad).reason == "image_pull")
    runtime.delete(ctx, bad)
    world.kubelet.plans.clear()
    good = runtime.apply(ctx, spec("2"))
    wait_until_ready(runtime, ctx, good)
    assert runtime.predict(ctx, good, [ROW]) == [{"score": 0.3}]
    runtime.logs(ctx, good)
    runtime.delete(ctx, good)
    granted = {
        (group, what, verb)
        for rule in manifests("kserve", "models")[2]["rules"]
        for group in rule["apiGroups"] for what in rule["resources"] for verb in rule["verbs"]
    }  # fmt: skip
    user = "system:serviceaccount:models:waystage"
    assert {(g, what, v) for who, v, g, what in world.api.store.calls if who == user} == granted
