"""Settings that change under a Deployment that serves: it never has fewer pods than it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from waystage.errors import Conflict
from waystage.plugin import DeploySpec
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes.kubernetes import KubernetesServing
from waystage_plugins.runtimes.kubernetes.sizes import Autoscale

from .conftest import BOTH, World

Spec = Callable[..., DeploySpec]
SCALER = "kube-controller-manager"  # who writes for an autoscaler on a real cluster


def _with(runtime: KubernetesServing, **more: Any) -> KubernetesServing:
    return runtime.model_copy(update=more)


def _pods(world: World) -> int:
    (made,) = world.all("deployments", "apps/v1")
    return int(made["spec"].get("replicas", 0))


def _scaled(world: World, number: int, who: str = SCALER) -> None:
    (made,) = world.all("deployments", "apps/v1")
    path = f"{world.root('apps/v1')}/deployments/{made['metadata']['name']}"
    world.change(path, {"spec": {"replicas": number}}, who)


@BOTH
def test_an_autoscaler_takes_over_the_pods_that_run_and_gives_them_back(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    fixed = world.serving(replicas=3)
    wait_until_ready(fixed, ctx, fixed.apply(ctx, spec()))
    scaled = _with(fixed, autoscale=Autoscale(min=2, max=6), min_available=1)
    handle = scaled.apply(ctx, spec())
    assert _pods(world) == 3, "a field that is applied no longer falls back to one pod"
    _scaled(world, 5)
    handle = scaled.apply(ctx, spec())
    assert _pods(world) == 5, "the autoscaler's number is not ours to apply"
    wait_until_ready(scaled, ctx, handle)
    handle = fixed.apply(ctx, spec())
    assert _pods(world) == 3
    assert world.all("horizontalpodautoscalers", "autoscaling/v2") == []
    assert world.all("poddisruptionbudgets", "policy/v1") == []
    wait_until_ready(fixed, ctx, handle)


def test_an_autoscaler_gets_no_more_pods_than_it_may_have(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    fixed = world.serving(replicas=5)
    fixed.apply(ctx, spec())
    _with(fixed, autoscale=Autoscale(min=1, max=2)).apply(ctx, spec())
    assert _pods(world) == 2


@pytest.mark.parametrize("who", ["kubectl", SCALER])
def test_a_number_that_a_person_or_a_foreign_autoscaler_set_is_not_taken_without_asking(
    world: World, ctx: FakeContext, spec: Spec, who: str
) -> None:
    runtime = world.serving(replicas=2)
    runtime.apply(ctx, spec())
    _scaled(world, 4, who)
    with pytest.raises(Conflict, match=r"somebody else has taken .*replicas"):
        runtime.apply(ctx, spec())
    assert _pods(world) == 4


def test_a_right_that_no_setting_needs_may_be_left_out(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.serving()
    path = f"{world.root('rbac.authorization.k8s.io/v1')}/roles/waystage-kubernetes-tfserving"
    role = world.kubelet.call("GET", path)
    rules = [
        each for each in role["rules"] if each["apiGroups"][0] not in ("autoscaling", "policy")
    ]
    world.change(path, {"rules": rules})
    handle = runtime.apply(ctx, spec())
    wait_until_ready(runtime, ctx, handle)
    runtime.delete(ctx, handle)
    assert world.all("deployments", "apps/v1") == []
