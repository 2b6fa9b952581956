"""The official Python client, its watch and its dynamic client take the stand-in for an API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kube_api import KubeApi

from .conftest import Asker

kubernetes = pytest.importorskip("kubernetes", reason="NOT TESTED: the client is not installed")
LABELS = {"app": "web"}


@pytest.fixture
def client(api: KubeApi, files: tuple[Path, Path]) -> Any:
    settings = kubernetes.client.Configuration()
    settings.host, settings.ssl_ca_cert = api.url, str(files[0])
    settings.api_key = {"authorization": f"Bearer {api.admin}"}
    return kubernetes.client.ApiClient(settings)


def deployment(image: str = "nginx:1") -> dict[str, Any]:
    container = {"name": "web", "image": image, "ports": [{"containerPort": 80}]}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 0, "selector": {"matchLabels": LABELS}, "template": {
            "metadata": {"labels": LABELS}, "spec": {"containers": [container]}}},
    }  # fmt: skip


def test_the_official_client_reads_what_it_wrote(client: Any) -> None:
    apps = kubernetes.client.AppsV1Api(client)
    made = apps.create_namespaced_deployment("models", deployment())
    assert made.metadata.generation == 1
    made = apps.read_namespaced_deployment("web", "models")  # controllers have changed it
    made.spec.template.spec.containers[0].image = "nginx:2"
    changed = apps.replace_namespaced_deployment("web", "models", made)
    assert (changed.metadata.generation, changed.spec.strategy.type) == (2, "RollingUpdate")
    with pytest.raises(kubernetes.client.ApiException) as no:
        apps.replace_namespaced_deployment("web", "models", made)
    assert (no.value.status, no.value.reason) == (409, "Conflict")
    listed = apps.list_deployment_for_all_namespaces(label_selector="none")
    assert listed.items == []
    scale = apps.read_namespaced_deployment_scale("web", "models")
    assert scale.spec.replicas == 0
    apps.delete_namespaced_deployment("web", "models", propagation_policy="Foreground")
    with pytest.raises(kubernetes.client.ApiException) as no:
        apps.read_namespaced_deployment("web", "models")
    assert no.value.status == 404


def test_its_watch_gives_what_comes_and_says_when_the_past_is_forgotten(
    client: Any, ask: Asker
) -> None:
    old = ask.config("a")["metadata"]["resourceVersion"]
    core, watch = kubernetes.client.CoreV1Api(client), kubernetes.watch.Watch()
    seen = watch.stream(core.list_namespaced_config_map, "models", timeout_seconds=300)
    assert next(seen)["object"].metadata.name == "a"
    ask.config("b")
    assert next(seen)["object"].metadata.name == "b"
    ask.api.end_watches()
    assert list(seen) == []
    ask.api.store.history.compact()
    late = kubernetes.watch.Watch().stream(
        core.list_namespaced_config_map, "models", resource_version=old, timeout_seconds=300
    )
    with pytest.raises(kubernetes.client.ApiException) as no:
        next(late)
    assert no.value.status == 410


def test_the_dynamic_client_finds_kinds_by_discovery(client: Any) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(client)
    routes = dynamic.resources.get(api_version="route.openshift.io/v1", kind="Route")
    route = {"apiVersion": "route.openshift.io/v1", "kind": "Route",
             "metadata": {"name": "web"},
             "spec": {"to": {"kind": "Service", "name": "web"}}}  # fmt: skip
    made = dynamic.create(routes, body=route, namespace="models")
    assert made.spec.to.weight == 100
    found = dynamic.get(routes, namespace="models")
    assert [each.metadata.name for each in found.items] == ["web"]
    kinds = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    applied = dynamic.server_side_apply(
        kinds, body=deployment(), name="web", namespace="models", field_manager="me"
    )
    assert applied.metadata.managedFields[0].manager == "me"
    with pytest.raises(kubernetes.dynamic.exceptions.ConflictError) as no:
        dynamic.server_side_apply(
            kinds, body=deployment("nginx:9"), name="web", namespace="models", field_manager="you"
        )
    assert '"you"' not in str(no.value)
    assert ".spec.template.spec.containers" in no.value.summary()
