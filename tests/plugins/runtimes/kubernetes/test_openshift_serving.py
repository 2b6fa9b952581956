"""Model servers on OpenShift: Routes with weights, ImageStreams, projects.

On the real control plane Routes and ImageStreams are custom resources: who owns which field is
then the real thing, and what OpenShift itself does with them is played.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kube_answers import Answered
from kubelet import ModelServer

from waystage.errors import Hopeless, Retryable
from waystage.plugin import DeploySpec, Handle
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import check_online_runtime, wait_until_ready
from waystage_plugins.runtimes.kubernetes import OpenShiftServing
from waystage_plugins.runtimes.kubernetes.serving import ClusterServing

from .conftest import BOTH, ROW, World, wait

Spec = Callable[..., DeploySpec]
GROUP = "route.openshift.io/v1"


def _no_project(runtime: OpenShiftServing, world: World) -> OpenShiftServing:
    """Leave the look at the project out where the cluster knows no projects."""
    if world.api is None:
        object.__setattr__(runtime, "_prepare", lambda api: None)
    return runtime


def _champion(runtime: OpenShiftServing, ctx: FakeContext, wanted: DeploySpec) -> Handle:
    handle = runtime.apply(ctx, wanted)
    wait_until_ready(runtime, ctx, handle)
    runtime.set_traffic(ctx, handle)
    return handle


def _shares(world: World) -> dict[str, int]:
    (route,) = world.all("routes", GROUP)
    rows = [route["spec"]["to"], *route["spec"].get("alternateBackends", ())]
    return {row["name"]: row["weight"] for row in rows}


def test_it_holds_to_the_contract_of_runtimes(world: World, ctx: FakeContext, spec: Spec) -> None:
    check_online_runtime(world.openshift(), ctx, spec())
    assert world.names() == set()


@BOTH
def test_a_champion_is_reached_through_its_route(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = _no_project(world.openshift(), world)
    handle = _champion(runtime, ctx, spec())
    url = f"http://127.0.0.1:{world.kubelet.server.server_port}/v1/models/credit-risk"
    wait(lambda: runtime.observe(ctx, handle).endpoints[0].url == url)
    assert runtime.predict(ctx, handle, [ROW]) == [{"score": 0.3}]
    assert ModelServer.probes == ["1"]
    assert _shares(world) == {handle.ref["name"]: 100}
    (stream,) = world.all("imagestreams", "image.openshift.io/v1")
    assert stream["spec"]["tags"][0]["from"]["name"] == handle.ref["image"]


@BOTH
def test_a_challenger_gets_its_share_and_gives_it_back(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime, before = _no_project(world.openshift(), world), world.names()
    old = _champion(runtime, ctx, spec("1"))
    new = runtime.apply(ctx, spec("2", role="challenger"))
    wait_until_ready(runtime, ctx, new)
    for percent in (10, 50, 50, 0):
        runtime.set_traffic(ctx, new, percent)
        assert _shares(world) == {old.ref["name"]: 100 - percent, new.ref["name"]: percent}
    runtime.delete(ctx, new)
    assert _shares(world) == {old.ref["name"]: 100}
    runtime.delete(ctx, old)
    wait(lambda: world.names() == before)


@BOTH
def test_a_new_champion_that_goes_gives_the_route_back(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = _no_project(world.openshift(), world)
    old = _champion(runtime, ctx, spec("1"))
    new = _champion(runtime, ctx, spec("2"))
    assert _shares(world) == {new.ref["name"]: 100}
    runtime.delete(ctx, new)
    assert _shares(world) == {old.ref["name"]: 100}
    assert runtime.observe(ctx, old).phase == "ready"


def test_while_requests_are_split_a_probe_goes_to_the_pods_themselves(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    assert world.api is not None
    runtime = world.openshift()
    _champion(runtime, ctx, spec("1"))
    new = runtime.apply(ctx, spec("2", role="challenger"))
    wait_until_ready(runtime, ctx, new)
    runtime.set_traffic(ctx, new, 20)
    assert runtime.predict(ctx, new, [ROW]) == [{"score": 0.3}]
    assert any("portforward" in path for _, path in world.api.requests)


def test_a_share_needs_a_champion(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.openshift()
    with pytest.raises(Hopeless, match="has no champion beside it"):
        runtime.set_traffic(ctx, runtime.apply(ctx, spec(role="challenger")), 10)


def test_weights_that_somebody_moved_are_not_taken_back_silently(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.openshift()
    handle = _champion(runtime, ctx, spec())
    path = f"{world.root(GROUP)}/routes/{handle.ref['shared']}"
    world.change(path, {"spec": {"to": {"weight": 7}}}, "oc-edit")
    with pytest.raises(Exception, match=r"\.spec\.to\.weight .*oc-edit"):
        runtime.set_traffic(ctx, handle)


def test_a_project_that_is_missing_is_told_or_asked_for(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    assert world.api is not None
    runtime = world.openshift()
    world.api.projects.clear()
    with pytest.raises(Hopeless, match='project models: namespaces "models" not found'):
        runtime.apply(ctx, spec())
    nowhere = runtime.model_copy(update={"project": "nowhere"})  # nor has the account a Role there
    with pytest.raises(Hopeless, match="project nowhere: there is none, or this account may not"):
        nowhere.apply(ctx, spec())
    asking = runtime.model_copy(update={"create_project": True})
    with pytest.raises(Hopeless, match="project models is not given"):
        asking.apply(ctx, spec())  # its Role has no such right: the administrator gives it
    world.api.projects["models"] = "Terminating"
    with pytest.raises(Retryable, match="project models is Terminating"):
        runtime.apply(ctx, spec())


def test_a_project_that_was_asked_for_is_used_once_its_rights_are_known(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    assert world.api is not None
    ctx.secrets = {"env/TOKEN": world.api.admin}
    runtime = world.openshift(create_project=True).model_copy(update={"project": "fresh"})
    told = 'deployments.apps is forbidden: User "otto" cannot patch resource "deployments"'
    world.api.refusals["deployments"] = Answered(403, "Forbidden", told)
    with pytest.raises(Retryable, match="fresh is new, its rights may be on their way"):
        runtime.apply(ctx, spec())
    assert world.api.projects["fresh"] == "Active"
    with pytest.raises(Hopeless, match="may not patch deployments"):
        runtime.apply(ctx, spec())  # it is not new any more
    world.api.refusals.clear()
    assert runtime.apply(ctx, spec()).ref["namespace"] == "fresh"


def test_hosts_are_of_the_domain_that_is_named(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.openshift(domain="apps.example")
    _champion(runtime, ctx, spec())
    (route,) = world.all("routes", GROUP)
    assert route["spec"]["host"] == "ws-credit-risk-prod.apps.example"
    assert "tls" not in route["spec"]


def test_images_are_pulled_by_the_name_that_the_cluster_has_for_the_registry(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.openshift(registry="registry.example", pull_registry="inside:5000")
    handle = runtime.apply(ctx, spec())
    assert str(handle.ref["image"]).startswith("inside:5000/models/credit-risk@sha256:")


@pytest.mark.parametrize(
    "wrong",
    [
        {"project": "Models"}, {"domain": "http://x"}, {"api": "http://plain.example"},
        {"token": None}, {"kubeconfig": "x"}, {"token_seconds": 5}, {"reach": "exec"},
        {"resources": {"memory": "much"}}, {"autoscale": {"min": 3, "max": 1}},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "api": "https://api.example:6443", "token": {"secret": "env/T"}, "project": "models",
    }  # fmt: skip
    assert OpenShiftServing.model_validate(good).place == "models"
    with pytest.raises(ValueError, match=r".+"):
        OpenShiftServing.model_validate(good | wrong)


def test_a_host_that_no_router_takes_is_told_without_a_cluster(spec: Spec) -> None:
    """Routers make the first part of the host of the Route's and the project's name."""
    told = {"api": "https://api.example:6443", "token": {"secret": "env/T"}}
    fits, long = "p" * (63 - len("ws-credit-risk-prod-")), "p" * 63
    assert OpenShiftServing.model_validate(told | {"project": fits}).check(spec()) == []
    (why,) = OpenShiftServing.model_validate(told | {"project": f"{fits}p"}).check(spec())
    assert why.startswith(f"the Route's host would begin with ws-credit-risk-prod-{fits}p, which")
    named = told | {"project": long, "domain": "models.example"}
    assert OpenShiftServing.model_validate(named).check(spec()) == []


@pytest.mark.parametrize(
    ("replicas", "least", "fine"), [(2, 1, True), (1, 1, False), (2, 3, False)]
)
def test_a_budget_lets_nodes_be_emptied(replicas: int, least: int, fine: bool) -> None:
    told = {"api": "https://api.example:6443", "token": {"secret": "env/T"}, "project": "models",
            "replicas": replicas, "min_available": least}  # fmt: skip
    if fine:
        assert OpenShiftServing.model_validate(told).min_available == least
        return
    with pytest.raises(ValueError, match="would let no node be emptied"):
        OpenShiftServing.model_validate(told)


def test_a_route_that_is_taken_in_meanwhile_is_not_told_by_the_address_of_before(
    world: World, ctx: FakeContext, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.kubelet.routes_lead_here = False
    runtime = world.openshift()
    handle = _champion(runtime, ctx, spec())
    look = ClusterServing.observe

    def taken_in_behind_it(self: ClusterServing, *told: Any) -> Any:
        seen = look(self, *told)
        world.kubelet.routes_lead_here = True
        wait(lambda: world.all("routes", GROUP)[0].get("status", {}).get("ingress"))
        return seen

    with monkeypatch.context() as patch:
        patch.setattr(ClusterServing, "observe", taken_in_behind_it)
        seen = runtime.observe(ctx, handle)
    assert (seen.phase, seen.reason) == ("pending", "route")
    assert runtime.observe(ctx, handle).endpoints[0].url.startswith("http://127.0.0.1:")
