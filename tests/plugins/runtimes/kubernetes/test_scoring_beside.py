"""The sidecar in a pod: requests go through it, and it knows whose they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click
import pytest
from pydantic import ValidationError
from tests.plugins.runtimes.kubernetes.conftest import World

from waystage.cli.sidecar import sidecar_verb
from waystage.plugin import DeploySpec
from waystage.testing import FakeContext
from waystage_plugins.runtimes.kubernetes import KubernetesServing

Spec = Callable[..., DeploySpec]
Thing = dict[str, Any]
IMAGE = "registry.example/waystage@sha256:" + "b" * 64
TOLD: Thing = {"sidecar": IMAGE, "daemon": "https://waystage.example", "token_secret": "scores"}


def pod_of(spec: DeploySpec, **settings: Any) -> Thing:
    runtime = KubernetesServing.model_validate({"namespace": "models"} | settings)
    made = [manifest for _, manifest in runtime._objects(runtime._budgeted(spec, "k"))]
    pod: Thing = made[0]["spec"]["template"]["spec"]
    return pod | {"service": made[1]["spec"]["ports"]}


def test_requests_go_through_the_sidecar_and_probes_of_the_server_do_not(spec: Spec) -> None:
    pod = pod_of(spec(), scoring_log=TOLD)
    server, sidecar = pod["containers"]
    rest = {"name": "rest", "port": 8501, "targetPort": "rest", "protocol": "TCP"}
    assert pod["service"][0] == rest
    assert sidecar["ports"] == [{"name": "rest", "containerPort": 8502, "protocol": "TCP"}]
    assert server["ports"][0] == {"name": "model", "containerPort": 8501, "protocol": "TCP"}
    assert server["readinessProbe"]["httpGet"]["port"] == "model"
    assert sidecar["securityContext"] == server["securityContext"]
    assert sidecar["resources"]["requests"] == {"cpu": "100m", "memory": "256Mi"}


def test_the_sidecar_is_told_by_variables_that_it_reads(spec: Spec) -> None:
    told = TOLD | {"score": "p.1", "columns": ["income", "age"]}
    sidecar = pod_of(spec(), scoring_log=told)["containers"][1]
    env = {each["name"]: each["value"] for each in sidecar["env"]}
    assert env["WAYSTAGE_COLUMNS"] == "income,age"
    assert env["WAYSTAGE_UPSTREAM"] == "127.0.0.1:8501"
    assert env["WAYSTAGE_LISTEN"] == "0.0.0.0:8502"
    assert (env["WAYSTAGE_SNAPSHOT_ID"], env["WAYSTAGE_ROLE"]) == ("credit/1", "champion")
    known = {p.envvar for p in sidecar_verb.params if isinstance(p, click.Option)}
    assert env.keys() <= known
    needed = {p.envvar for p in sidecar_verb.params if p.required}
    assert needed <= env.keys()
    assert sidecar["command"][:2] == ["waystage", "sidecar"]


def test_the_token_is_a_secret_of_the_cluster_and_in_no_manifest(spec: Spec) -> None:
    pod = pod_of(spec(), scoring_log=TOLD)
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert volumes["scoring-token"]["secret"]["secretName"] == "scores"
    assert volumes["journal"] == {"name": "journal", "emptyDir": {"sizeLimit": "550M"}}
    assert "ws_" not in json.dumps(pod)


def test_without_it_nothing_of_it_is_there(spec: Spec) -> None:
    pod = pod_of(spec())
    assert [each["name"] for each in pod["containers"]] == ["model"]
    assert pod["containers"][0]["ports"][0]["name"] == "rest"
    assert [each["name"] for each in pod["volumes"]] == ["tmp"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sidecar": "registry.example/waystage:1"}, "without its digest"),
        ({"daemon": "http://waystage.example"}, "daemon"),
        ({"token_secret": "../x"}, "token_secret"),
    ],
)
def test_what_cannot_be_is_refused(changed: Thing, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        KubernetesServing.model_validate({"namespace": "models", "scoring_log": TOLD | changed})


def test_a_port_is_not_shared_with_the_server(spec: Spec) -> None:
    runtime = KubernetesServing.model_validate(
        {"namespace": "models", "scoring_log": TOLD | {"port": 8501}}
    )
    assert "port 8501 is the model server's own" in runtime.check(spec())[-1]


def test_a_deployment_with_a_sidecar_is_as_it_was_applied(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.serving(scoring_log=TOLD)
    handle = runtime.apply(ctx, spec())
    path = f"{world.root('apps/v1')}/deployments/{handle.ref['name']}"
    (made,) = world.all("deployments", "apps/v1")
    runtime.set_traffic(ctx, handle)
    assert runtime.observe(ctx, handle).differs == ()
    other = {"name": "stranger", "image": IMAGE}
    containers = [*made["spec"]["template"]["spec"]["containers"], other]
    world.change(path, {"spec": {"template": {"spec": {"containers": containers}}}})
    seen = runtime.observe(ctx, handle)
    assert seen.reason == "foreign_change"
    assert "stranger" in seen.differs[0].found
