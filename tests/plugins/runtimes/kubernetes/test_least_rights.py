"""The shipped Roles hold exactly the verbs that the runtimes use, seen at work."""

from __future__ import annotations

from collections.abc import Callable

from waystage.plugin import DeploySpec
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes.kubernetes import KubernetesServing, OpenShiftServing, cluster
from waystage_plugins.runtimes.kubernetes.rbac import manifests

from .conftest import ROW, World, wait

Spec = Callable[..., DeploySpec]
Right = tuple[str, str, str]

# what OpenShift's registry asks its cluster of whoever pulls and pushes
LAYERS = ("image.openshift.io", "imagestreams/layers")
OF_THE_REGISTRY = {(*LAYERS, "get"), (*LAYERS, "update")}


def _granted(use: str) -> set[Right]:
    return {
        (group, resource, verb)
        for rule in manifests(use, "models")[2]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _used(world: World) -> set[Right]:
    assert world.api is not None
    user = "system:serviceaccount:models:waystage"
    return {(group, what, verb) for who, verb, group, what in world.api.store.calls if who == user}


def _whole_life(
    runtime: KubernetesServing | OpenShiftServing, world: World, ctx: FakeContext, spec: Spec
) -> None:
    """Do with a runtime whatever can be done with it."""
    cluster._tokens.clear()
    assert runtime.diagnose(ctx) == []
    world.kubelet.plans["credit-risk"] = "crash"
    old = runtime.apply(ctx, spec("1"))
    wait(lambda: runtime.observe(ctx, old).reason == "crash_loop")
    runtime.delete(ctx, old)
    world.kubelet.plans["credit-risk"] = "unauthorized"
    old = runtime.apply(ctx, spec("1"))
    wait(lambda: runtime.observe(ctx, old).reason == "image_pull")
    runtime.delete(ctx, old)
    world.kubelet.plans.clear()
    for version in ("1", "2"):
        handle = runtime.apply(ctx, spec(version))
        wait_until_ready(runtime, ctx, handle)
        runtime.predict(ctx, handle, [ROW])
        runtime.set_traffic(ctx, handle)
        runtime.logs(ctx, handle)
    runtime.delete(ctx, handle)
    runtime.delete(ctx, runtime.apply(ctx, spec("1")))
    assert world.names() == set()


def test_the_role_for_kubernetes_is_what_is_used_and_nothing_more(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.serving(service_account="waystage", autoscale={"max": 2}, min_available=1)
    _whole_life(runtime, world, ctx, spec)
    assert _used(world) == _granted("kubernetes.tfserving")


def test_the_role_for_openshift_is_what_is_used_and_nothing_more(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.openshift(
        service_account="waystage", autoscale={"max": 2}, min_available=1, domain="one.example"
    )
    world.kubelet.routes_lead_here = False
    handle = runtime.apply(ctx, spec("3"))
    runtime.set_traffic(ctx, handle)
    moved = runtime.model_copy(update={"domain": "two.example"})
    moved.set_traffic(ctx, handle)
    moved.delete(ctx, handle)
    _whole_life(runtime, world, ctx, spec)
    assert _used(world) | OF_THE_REGISTRY == _granted("openshift.tfserving")
