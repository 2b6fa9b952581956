"""What somebody changes on a cluster by hand: seen, with who and since when, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from waystage.plugin import Deployed, DeploySpec, Difference, Handle, Placement
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes.kubernetes import KServe, KubernetesServing

from .conftest import IMAGE, World, wait

Spec = Callable[..., DeploySpec]
ROUTES = "route.openshift.io/v1"


def champion(runtime: KubernetesServing, ctx: FakeContext, spec: DeploySpec) -> Handle:
    """Deploy it and send requests there."""
    handle = runtime.apply(ctx, spec)
    wait_until_ready(runtime, ctx, handle)
    runtime.set_traffic(ctx, handle)
    return handle


def deployment(world: World, handle: Handle) -> str:
    return f"{world.root('apps/v1')}/deployments/{handle.ref['name']}"


def only(runtime: KubernetesServing, ctx: FakeContext, handle: Handle) -> Difference:
    (found,) = runtime.observe(ctx, handle).differs
    return found


def told(found: Difference) -> tuple[str, str, str, str]:
    return found.what, found.wanted, found.found, found.by


def restored(runtime: Any, ctx: FakeContext, spec: DeploySpec, handle: Handle) -> Handle:
    """Have it restored, and see that nothing differs any more."""
    ctx.key = "restore/1/1"
    made: Handle = runtime.restore(ctx, spec, handle, serves=True)
    assert made.ref["name"] == handle.ref["name"]
    seen = wait_until_ready(runtime, ctx, made)
    assert seen.differs == ()
    return made


def test_what_nobody_changed_differs_in_nothing(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving(autoscale={"max": 3})
    handle = champion(runtime, ctx, spec())
    assert runtime.observe(ctx, handle).differs == ()
    notes = {"kubectl.kubernetes.io/restartedAt": "2026-03-02T12:00:00Z"}
    change = {"spec": {"template": {"metadata": {"annotations": notes}}}}
    world.change(deployment(world, handle), change, "kubectl-rollout")
    world.change(deployment(world, handle), {"spec": {"replicas": 2}}, "autoscaler")
    assert runtime.observe(ctx, handle).differs == (), "neither is a change of what runs"


def test_scaled_by_hand(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving(replicas=2)
    handle = champion(runtime, ctx, spec())
    world.change(deployment(world, handle), {"spec": {"replicas": 0}}, "kubectl-scale")
    found = only(runtime, ctx, handle)
    assert told(found) == ("replicas", "2", "0", "kubectl-scale")
    assert found.at is not None
    assert abs(datetime.now(UTC) - found.at) < timedelta(minutes=1)
    restored(runtime, ctx, spec(), handle)


def test_the_image_changed_by_hand(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving()
    handle = champion(runtime, ctx, spec())
    other = "registry.example/other@sha256:" + "b" * 64
    (live,) = world.all("deployments", "apps/v1")
    containers = live["spec"]["template"]["spec"]["containers"]
    containers[0]["image"] = other
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    world.change(deployment(world, handle), change)
    assert told(only(runtime, ctx, handle)) == ("image", IMAGE, other, "kubectl-edit")
    restored(runtime, ctx, spec(image=""), handle)
    (live,) = world.all("deployments", "apps/v1")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE


def test_another_container_and_other_limits(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving()
    handle = champion(runtime, ctx, spec())
    (live,) = world.all("deployments", "apps/v1")
    containers = live["spec"]["template"]["spec"]["containers"]
    containers[0]["resources"]["limits"]["memory"] = "64Gi"
    containers.append({"name": "miner", "image": "miner:1"})
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    world.change(deployment(world, handle), change)
    seen = runtime.observe(ctx, handle)
    assert seen.phase == "degraded"
    assert [each.what for each in seen.differs] == ["containers", "spec"]
    assert seen.differs[0].found == "model, miner"
    assert "resources.limits.memory" in seen.differs[1].found
    assert {each.by for each in seen.differs} == {"kubectl-edit"}


def test_deleted_by_hand(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving()
    handle = champion(runtime, ctx, spec())
    world.kubelet.call("DELETE", deployment(world, handle))
    wait(lambda: runtime.observe(ctx, handle).phase == "absent")
    restored(runtime, ctx, spec(), handle)
    world.kubelet.call("DELETE", f"{world.root()}/services/{handle.ref['name']}")
    assert only(runtime, ctx, handle).wanted == f"Service {handle.ref['name']}"
    restored(runtime, ctx, spec(), handle)


def test_requests_led_elsewhere_by_hand(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving()
    old = champion(runtime, ctx, spec("1"))
    new = champion(runtime, ctx, spec("2"))
    assert runtime.observe(ctx, old).differs == (), "we lead them elsewhere ourselves"
    path = f"{world.root()}/services/{new.ref['shared']}"
    change = {"spec": {"selector": {"waystage.dev/deployment": old.ref["name"]}}}
    world.change(path, change, "kubectl-patch")
    found = told(only(runtime, ctx, new))
    assert found == ("traffic", new.ref["name"], old.ref["name"], "kubectl-patch")
    runtime.restore(ctx, spec("1"), old, serves=False)
    assert only(runtime, ctx, new).what == "traffic", "an earlier champion takes no requests"
    restored(runtime, ctx, spec("2"), new)
    world.kubelet.call("DELETE", path)
    assert only(runtime, ctx, new).found == "no address"
    restored(runtime, ctx, spec("2"), new)


def test_weights_of_a_route_moved_by_hand(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.openshift()
    handle = champion(runtime, ctx, spec())
    path = f"{world.root(ROUTES)}/routes/{handle.ref['shared']}"
    world.change(path, {"spec": {"to": {"weight": 7}}}, "oc-edit")
    found = only(runtime, ctx, handle)
    assert (found.what, found.found, found.by) == (
        "traffic", f"{handle.ref['name']} 7", "oc-edit")  # fmt: skip
    restored(runtime, ctx, spec(), handle)
    (route,) = world.all("routes", ROUTES)
    assert route["spec"]["to"]["weight"] == 100


def weights(world: World) -> dict[str, int]:
    (route,) = world.all("routes", ROUTES)
    rows = [route["spec"]["to"], *route["spec"].get("alternateBackends", ())]
    return {row["name"]: row["weight"] for row in rows}


def test_shares_between_two_are_set_again_as_the_inventory_has_them(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.openshift()
    handle = champion(runtime, ctx, spec())
    wanted = spec("2", role="challenger")
    beside = runtime.apply(ctx, wanted)
    wait_until_ready(runtime, ctx, beside)
    runtime.set_traffic(ctx, beside, 20)
    assert runtime.observe(ctx, handle).differs == ()
    told = Deployed(stage="PROD", runtime="okd", mode="online", role="challenger",
                    handle=beside.ref, percent=20)  # fmt: skip
    ctx.inventory = [Placement(ctx.service, wanted.snapshot, told, "credit-risk-2", ctx.now)]
    shared = {handle.ref["name"]: 80, beside.ref["name"]: 20}
    path = f"{world.root(ROUTES)}/routes/{handle.ref['shared']}"
    world.change(path, {"spec": {"to": {"weight": 7}}}, "oc-edit")
    assert weights(world) != shared
    restored(runtime, ctx, spec(), handle)
    assert weights(world) == shared
    world.kubelet.call("DELETE", path)
    (found,) = runtime.observe(ctx, handle).differs
    assert (found.what, found.wanted, found.found) == (
        "traffic", f"Route {handle.ref['shared']}", "no Route")  # fmt: skip
    restored(runtime, ctx, spec(), handle)
    assert weights(world) == shared


def test_an_inference_service_changed_by_hand(world: World, ctx: FakeContext, spec: Spec) -> None:
    world.grant("kserve")
    runtime = KServe.model_validate(world.settings(namespace=world.namespace))
    handle = runtime.apply(ctx, spec())
    (made,) = world.all("inferenceservices", "serving.kserve.io/v1beta1")
    containers = made["spec"]["predictor"]["containers"]
    containers[0]["image"] = "other.example/image:1"
    path = f"{world.root('serving.kserve.io/v1beta1')}/inferenceservices/{handle.ref['name']}"
    world.change(path, {"spec": {"predictor": {"containers": containers}}}, "kubectl-patch")
    (found,) = runtime.observe(ctx, handle).differs
    assert told(found) == ("image", IMAGE, "other.example/image:1", "kubectl-patch")
    runtime.restore(ctx, spec(image=""), handle, serves=True)
    assert runtime.observe(ctx, handle).differs == ()
