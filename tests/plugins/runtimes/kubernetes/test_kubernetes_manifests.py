"""What is applied fits the API's own schemas and the strictest rules for pods."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from waystage.plugin import DeploySpec
from waystage_plugins.runtimes.kubernetes import KServe, KubernetesServing, OpenShiftServing
from waystage_plugins.runtimes.kubernetes.inference import inference_service
from waystage_plugins.runtimes.kubernetes.job_manifest import JobPlan, job_manifest
from waystage_plugins.runtimes.kubernetes.names import plain, shared_name, version_name
from waystage_plugins.runtimes.kubernetes.rbac import manifests, runtimes

Spec = Callable[..., DeploySpec]
Thing = dict[str, Any]
HOW_TO = Path(__file__).parents[4] / "docs" / "how-to" / "openshift.md"
FULL: Thing = {
    "autoscale": {"min": 2, "max": 4}, "min_available": 1, "pull_secret": "pull",
    "arguments": ["--rest_api_timeout_in_ms=30000"], "resources": {"cpu_limit": "2"},
    "prometheus": True, "grpc_port": 9000,
    "scoring_log": {"sidecar": "registry.example/waystage@sha256:" + "b" * 64, "score": "p.1",
                    "daemon": "https://waystage.example", "token_secret": "scores"},
}  # fmt: skip


def _applied(runtime: KubernetesServing | OpenShiftServing, spec: DeploySpec) -> list[Thing]:
    return [manifest for _, manifest in runtime._objects(runtime._budgeted(spec, "run-1/2/deploy"))]


@pytest.mark.parametrize("settings", [{}, FULL], ids=["least", "all"])
@pytest.mark.parametrize("version", ["1.27", "1.31", "1.35"])
def test_everything_fits_the_schemas_of_kubernetes(
    spec: Spec, settings: Thing, version: str
) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed"
    )
    runtime = KubernetesServing(namespace="models", **settings)
    shared = runtime._objects(runtime._budgeted(spec(), "k"))[1][1]
    roles = [each for use in runtimes() for each in manifests(use, "models")]
    for each in [*_applied(runtime, spec()), shared, *roles]:
        validate.validate(json.loads(json.dumps(each)), version, strict=True)


def test_pods_that_must_go_answer_on_for_as_long_as_is_said(spec: Spec) -> None:
    runtime = KubernetesServing(namespace="models", **FULL)
    for seconds in (5, 20):
        runtime = runtime.model_copy(update={"drain_seconds": seconds})
        pod = _applied(runtime, spec())[0]["spec"]["template"]["spec"]
        assert seconds < pod["terminationGracePeriodSeconds"]
        hooks = [each["lifecycle"]["preStop"]["exec"]["command"] for each in pod["containers"]]
        assert hooks == [["sleep", str(seconds)]] * 2, "the sidecar, too"
    runtime = runtime.model_copy(update={"drain_seconds": 0})
    pod = _applied(runtime, spec())[0]["spec"]["template"]["spec"]
    assert not [each for each in pod["containers"] if "lifecycle" in each]


def test_a_field_that_kubernetes_does_not_know_would_be_found(spec: Spec) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed"
    )
    made = _applied(KubernetesServing(namespace="models"), spec())[0]
    made["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(validate.ValidationError):
        validate.validate(made, "1.31", strict=True)


@pytest.mark.parametrize(
    "runtime",
    [KubernetesServing(namespace="models"), OpenShiftServing(project="models")],
    ids=lambda runtime: runtime.use,
)
def test_pods_keep_the_rules_of_restricted_v2(
    runtime: KubernetesServing | OpenShiftServing, spec: Spec
) -> None:
    (made,) = [each for each in _applied(runtime, spec()) if each["kind"] == "Deployment"]
    pod = made["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all("emptyDir" in volume for volume in pod["volumes"])
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True, "runAsNonRoot": True,
    }  # fmt: skip
    assert "runAsUser" not in json.dumps(made)
    assert "hostPort" not in json.dumps(made)
    assert {"mountPath": "/tmp", "name": "tmp"} in container["volumeMounts"]
    assert container["resources"]["requests"]
    assert container["resources"]["limits"]["memory"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_a_user_is_fixed_only_where_one_is_named(spec: Spec) -> None:
    job = JobPlan(
        name="j", labels={}, key="k", image="r.example/j", command=(), environment={}, claim="c",
        mount="/m", requests={}, limits={}, user=65532,
    )  # fmt: skip
    served = _applied(KubernetesServing(namespace="models", user=65532), spec())[0]
    kserve = KServe(namespace="models", user=65532)
    for pod in (
        job_manifest(job)["spec"]["template"]["spec"],
        served["spec"]["template"]["spec"],
        inference_service(kserve._plan(spec(), "k"))["spec"]["predictor"],
    ):
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["runAsNonRoot"] is True
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        KubernetesServing(namespace="models", user=0)


def test_figures_are_told_to_prometheus_where_that_is_wanted(spec: Spec) -> None:
    plain_pod = _applied(KubernetesServing(namespace="models"), spec())[0]["spec"]["template"]
    assert "args" not in plain_pod["spec"]["containers"][0]
    assert not [name for name in plain_pod["metadata"]["annotations"] if "prometheus" in name]
    made = _applied(KubernetesServing(namespace="models", prometheus=True), spec())[0]
    pod = made["spec"]["template"]
    notes, (server,) = pod["metadata"]["annotations"], pod["spec"]["containers"]
    assert notes["prometheus.io/scrape"] == "true"
    assert notes["prometheus.io/port"] == "8501"
    assert notes["prometheus.io/path"] == "/monitoring/prometheus/metrics"
    assert server["args"] == ["--monitoring_config_file=/etc/waystage/monitoring.config"]
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "monitoring"]
    (item,) = volume["downwardAPI"]["items"]
    assert item["fieldRef"]["fieldPath"] == "metadata.annotations['waystage.dev/monitoring']"
    assert "enable: true" in notes["waystage.dev/monitoring"]


def test_the_monitor_of_the_how_to_finds_the_pods_and_their_figures(spec: Spec) -> None:
    if not HOW_TO.is_file():
        pytest.skip("the checkout's docs are not beside the tests")
    text = HOW_TO.read_text()
    assert "with `scoring_log:` the port is `model`" in text
    block = next(b for b in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "PodMonitor" in b)
    monitor = yaml.safe_load(block)["spec"]
    (told,) = monitor["podMetricsEndpoints"]
    beside = {"scoring_log": FULL["scoring_log"]}
    for settings, port in (({}, told["port"]), (beside, "model")):
        runtime = KubernetesServing.model_validate(
            {"namespace": "models", "prometheus": True, **settings}
        )
        pod = _applied(runtime, spec())[0]["spec"]["template"]
        assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert pod["metadata"]["annotations"]["prometheus.io/path"] == told["path"]
        (server, *_) = pod["spec"]["containers"]
        assert port in {each["name"] for each in server["ports"]}


def test_endpoints_are_those_that_the_stage_asks_for(spec: Spec) -> None:
    runtime = KubernetesServing(namespace="models")
    usual = {"rest": 8501, "grpc": 8500}
    for openings, ports in (
        ([], usual),
        ([{"name": "score", "protocol": "rest"}], {"rest": 8501}),
        ([{"name": "fast", "protocol": "grpc"}], usual),  # probes speak REST in any case
    ):
        asked = DeploySpec.model_validate(spec().model_dump() | {"endpoints": openings})
        deployment, service, *_ = _applied(runtime, asked)
        (server,) = deployment["spec"]["template"]["spec"]["containers"]
        assert {each["name"]: each["containerPort"] for each in server["ports"]} == ports
        assert {each["name"]: each["port"] for each in service["spec"]["ports"]} == ports


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({}, None),
        ({"port": 9001, "grpc_port": 9000}, ["--rest_api_port=9001", "--port=9000"]),
        ({"port": 9001, "arguments": ["--rest_api_port=9001"]}, ["--rest_api_port=9001"]),
    ],
)
def test_the_server_listens_where_it_is_looked_for(
    spec: Spec, settings: Thing, arguments: list[str] | None
) -> None:
    runtime = KubernetesServing(namespace="models", **settings)
    (server,) = _applied(runtime, spec())[0]["spec"]["template"]["spec"]["containers"]
    assert server.get("args") == arguments
    told = inference_service(KServe(namespace="models", **_rest(settings))._plan(spec(), "k"))
    (server,) = told["spec"]["predictor"]["containers"]
    assert server.get("args") == (arguments[:1] if arguments else None)


def _rest(settings: Thing) -> Thing:
    return {name: value for name, value in settings.items() if name != "grpc_port"}


def test_no_deployment_config_is_ever_made(spec: Spec) -> None:
    made = _applied(OpenShiftServing(project="models", **FULL), spec())
    assert {each["kind"] for each in made} == {
        "ImageStream", "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget",
    }  # fmt: skip


def test_the_key_is_told_beside_the_pods_so_that_asking_again_restarts_nothing(
    spec: Spec,
) -> None:
    runtime = KubernetesServing(namespace="models")
    first = runtime._objects(runtime._plan(spec(), "a"))[0][1]
    again = runtime._objects(runtime._plan(spec(), "b"))[0][1]
    assert first["metadata"]["annotations"] != again["metadata"]["annotations"]
    assert first["spec"] == again["spec"]


@pytest.mark.parametrize(
    "service", ["credit-risk", "Kredit Ärger", "a" * 120, "x_y", "---", "9lives", "a.b/c"]
)
def test_names_are_names_whatever_the_service_is_called(spec: Spec, service: str) -> None:
    import re

    wanted = spec().model_copy(update={"service": service})
    for name in (version_name(wanted), shared_name(service, "PROD")):
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name), name
        assert len(name) <= 56
    for label in (plain(service, 63), plain("PROD", 63)):
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", label), label


def test_services_that_read_alike_have_names_of_their_own(spec: Spec) -> None:
    names = {shared_name(service, "PROD") for service in ("a-b", "a_b", "a.b", "A b")}
    assert len(names) == 4
    versions = {
        version_name(spec(version, role=role))
        for version in ("1", "2")
        for role in ("champion", "challenger")
    }
    assert len(versions) == 4
