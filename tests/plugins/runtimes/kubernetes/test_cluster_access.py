"""Who the daemon is on a cluster: tokens that end, certificates, kubeconfigs, Roles."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tls_files import make_certificate
from urllib3.exceptions import InsecureRequestWarning

from waystage.errors import Hopeless, Retryable
from waystage.plugin import DeploySpec
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes.kubernetes import KubernetesServing, cluster
from waystage_plugins.runtimes.kubernetes.rbac import main, manifests, runtimes
from waystage_plugins.tfserving.rest import over_http

from .conftest import BOTH, ROW, World, wait

Spec = Callable[..., DeploySpec]


@BOTH
def test_work_is_done_with_tokens_that_are_asked_for(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    cluster._tokens.clear()
    runtime = world.serving(service_account="waystage", token_seconds=600)
    handle = runtime.apply(ctx, spec())
    wait_until_ready(runtime, ctx, handle)
    (token,) = cluster._tokens.values()
    assert token.text != f"Bearer {ctx.secrets['env/TOKEN']}"
    assert ctx.secrets["env/TOKEN"] not in repr(cluster._tokens)


def test_a_token_is_asked_for_anew_when_a_fifth_of_its_life_is_left(
    world: World, ctx: FakeContext, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.api is not None
    cluster._tokens.clear()
    runtime = world.serving(service_account="waystage", token_seconds=1000)
    start = datetime.now(UTC).timestamp()
    asked = []
    for seconds in (0, 700, 850, 900):
        monkeypatch.setattr(cluster, "wall_seconds", lambda at=start + seconds: at)
        runtime.diagnose(ctx)
        asked.append(sum(path.endswith("/waystage/token") for _, path in world.api.requests))
    assert [each - asked[0] for each in asked] == [0, 0, 1, 1]


def test_a_token_that_was_taken_back_is_replaced_at_once(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    assert world.api is not None
    cluster._tokens.clear()
    runtime = world.serving(service_account="waystage")
    assert runtime.diagnose(ctx) == []
    (token,) = cluster._tokens.values()
    del world.api.store.tokens[token.text.removeprefix("Bearer ")]
    assert runtime.diagnose(ctx) == []


def test_a_working_token_renews_itself_after_the_first_one_has_ended(
    world: World, ctx: FakeContext
) -> None:
    assert world.api is not None
    cluster._tokens.clear()
    runtime = world.serving(service_account="waystage")
    assert runtime.diagnose(ctx) == []
    first = ctx.secrets["env/TOKEN"]
    world.api.store.tokens[first] = (
        world.api.store.tokens[first][0], datetime.now(UTC) - timedelta(seconds=1)
    )  # fmt: skip
    for known, token in cluster._tokens.items():
        cluster._tokens[known] = cluster._Token(token.text, 0)
    assert runtime.diagnose(ctx) == []


def test_a_token_that_has_ended_is_told_and_never_shown(world: World, ctx: FakeContext) -> None:
    runtime = world.serving()
    ctx.secrets["env/TOKEN"] = "token-of-yesterday"
    (told,) = runtime.diagnose(ctx)
    assert told == "the cluster does not take the token (401): Unauthorized"


@BOTH
def test_what_the_role_does_not_have_is_named(world: World, ctx: FakeContext, spec: Spec) -> None:
    runtime = world.serving()
    roles = f"{world.root('rbac.authorization.k8s.io/v1')}/roles"
    rules = manifests("kubernetes.tfserving", world.namespace)[2]["rules"]
    less = [rule for rule in rules if "services" not in rule["resources"]]
    world.change(f"{roles}/waystage-kubernetes-tfserving", {"rules": less})
    with pytest.raises(Hopeless, match=r"may not get services .*cannot get resource") as told:
        runtime.apply(ctx, spec())
    assert "docs/how-to/openshift.md" in str(told.value)


def test_a_server_that_nobody_vouches_for_gets_no_token(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    assert world.api is not None
    runtime = world.serving().model_copy(update={"ca": ""})
    seen = len([each for each in world.api.store.calls if "waystage" in each[0]])
    with pytest.raises(Retryable, match="CERTIFICATE_VERIFY_FAILED"):
        runtime.apply(ctx, spec())
    assert len([each for each in world.api.store.calls if "waystage" in each[0]]) == seen
    trusting = runtime.model_copy(update={"insecure_skip_tls_verify": True})
    with pytest.warns(InsecureRequestWarning):
        assert trusting.diagnose(ctx) == []


def test_a_route_is_trusted_by_the_cluster_s_authorities_and_the_machine_s(
    world: World, ctx: FakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(ca: Path) -> int:
        with over_http(ctx, world.url, str(ca)) as send:
            return send("/version", None)[0]

    other, _ = make_certificate(tmp_path)
    assert ask(world.certificate) in (200, 401)
    with pytest.raises(Retryable, match="CERTIFICATE_VERIFY_FAILED"):
        ask(other)
    monkeypatch.setenv("SSL_CERT_FILE", str(world.certificate))  # what the machine trusts
    assert ask(other) in (200, 401)


def test_proxies_of_the_environment_are_not_used(
    world: World, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert world.serving().diagnose(ctx) == []


def _kubeconfig(world: World, user: dict[str, Any], **more: Any) -> str:
    seen = {"server": world.url, "certificate-authority": str(world.certificate)} | more
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "okd", "cluster": seen}], "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "okd", "user": "me"}}],
    })  # fmt: skip


def test_a_kubeconfig_with_a_token_will_do(world: World, ctx: FakeContext, spec: Spec) -> None:
    world.serving()
    (ctx.project / "kube.yaml").write_text(_kubeconfig(world, {"token": world.token()}))
    runtime = KubernetesServing(namespace="models", kubeconfig="kube.yaml")
    handle = runtime.apply(ctx, spec())
    wait(lambda: runtime.observe(ctx, handle).phase == "ready")
    assert runtime.predict(ctx, handle, [ROW]) == [{"score": 0.3}]


@pytest.mark.parametrize(
    ("user", "more", "says"),
    [
        ({"exec": {"command": "steal"}}, {}, "has exec:, which starts a program"),
        ({"auth-provider": {"name": "x"}}, {}, "has auth-provider:"),
        ({}, {"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
        ({}, {"server": "http://127.0.0.1:1"}, "not reached by https"),
    ],
)
def test_a_kubeconfig_that_is_not_safe_is_refused(
    world: World, ctx: FakeContext, user: dict[str, Any], more: dict[str, Any], says: str
) -> None:
    (ctx.project / "kube.yaml").write_text(_kubeconfig(world, user, **more))
    (told,) = KubernetesServing(namespace="models", kubeconfig="kube.yaml").diagnose(ctx)
    assert says in told


def test_outside_of_a_cluster_something_must_be_said(ctx: FakeContext) -> None:
    (told,) = KubernetesServing(namespace="models").diagnose(ctx)
    assert "give api: and token:, or kubeconfig:, or run in the cluster" in told


def test_inside_of_a_cluster_the_daemon_is_its_own_account(
    world: World, ctx: FakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.config import incluster_config

    world.serving()
    (tmp_path / "token").write_text(world.token())
    host, port = world.url.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    load = incluster_config.InClusterConfigLoader
    made = load(str(tmp_path / "token"), str(world.certificate))
    monkeypatch.setattr(incluster_config, "InClusterConfigLoader", lambda **_: made)
    runtime = KubernetesServing(namespace="models")
    assert runtime.diagnose(ctx) == []
    (tmp_path / "token").write_text("an old one")  # the cluster changes the file from time to time
    assert "does not take the token" in runtime.diagnose(ctx)[0]
    (tmp_path / "token").write_text(world.token())
    assert runtime.diagnose(ctx) == []


def test_a_client_that_is_not_installed_is_told(
    ctx: FakeContext, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    ctx.secrets["env/TOKEN"] = "x"
    runtime = KubernetesServing(namespace="models")
    assert "pip install 'waystage[kubernetes]'" in runtime.check(spec())[0]
    assert "pip install 'waystage[kubernetes]'" in runtime.diagnose(ctx)[0]


@pytest.mark.parametrize("use", runtimes())
def test_a_shipped_role_is_of_one_namespace_without_wildcards_and_secrets(use: str) -> None:
    made = manifests(use, "models-prod")
    assert [each["kind"] for each in made] == ["ServiceAccount", "RoleBinding", "Role"]
    assert {each["metadata"]["namespace"] for each in made} == {"models-prod"}
    assert made[1]["roleRef"]["name"] == made[2]["metadata"]["name"]
    assert "*" not in json.dumps(made)
    for rule in made[2]["rules"]:
        assert not {"secrets", "pods/exec", "roles", "rolebindings"} & set(rule["resources"])
        if "serviceaccounts/token" in rule["resources"]:
            assert rule["resourceNames"] == ["waystage"]


def test_roles_of_several_runtimes_stand_side_by_side_in_a_namespace() -> None:
    names = [manifests(use, "models")[2]["metadata"]["name"] for use in runtimes()]
    assert len(set(names)) == len(names) == 4
    assert {manifests(use, "models")[0]["metadata"]["name"] for use in runtimes()} == {"waystage"}


def test_manifests_are_printed_for_a_namespace(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["openshift.tfserving", "models-prod"]) == 0
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == manifests(
        "openshift.tfserving", "models-prod"
    )
    assert main(["openshift.tfserving", "No;rm"]) == 1
    assert main(["local.serving", "models"]) == 1
    assert main([]) == 1
