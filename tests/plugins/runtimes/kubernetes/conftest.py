"""Clusters for tests: a stand-in that is always there, and a real control plane where it is."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from cluster_story import ROW
from kube_api import KubeApi
from kubelet import PLAIN, Kubelet, ModelServer
from real_cluster import NoCluster, RealCluster
from tls_files import make_certificate

from waystage.plugin import DeploySpec, Snapshot
from waystage.testing import FakeContext
from waystage_plugins.runtimes.kubernetes import KubernetesServing, OpenShiftServing
from waystage_plugins.runtimes.kubernetes.rbac import manifests

Thing = dict[str, Any]
IMAGE = "registry.example/models/credit-risk@sha256:" + "a" * 64
BOTH = pytest.mark.parametrize(
    "world", ["stand-in", pytest.param("real", marks=pytest.mark.heavy)], indirect=True
)


class Cluster(Protocol):
    """What tests ask of either cluster."""

    url: str
    admin: str
    kubelet: Kubelet


class World:
    """A namespace of a cluster, with the account and Role that one runtime ships."""

    def __init__(self, url: str, certificate: Path, kubelet: Kubelet, namespace: str) -> None:
        self.url, self.certificate, self.kubelet = url, certificate, kubelet
        self.namespace = namespace
        self.api: KubeApi | None = None

    def root(self, group: str = "") -> str:
        """Give the path of a group's objects in the namespace."""
        return f"{f'/apis/{group}' if group else '/api/v1'}/namespaces/{self.namespace}"

    def all(self, plural: str, group: str = "") -> list[Thing]:
        """Give all objects of a kind as one who may see everything."""
        return list(self.kubelet.call("GET", f"{self.root(group)}/{plural}").get("items", ()))

    def names(self) -> set[str]:
        """Give the name of everything that runtimes could have made."""
        kinds = [("deployments", "apps/v1"), ("services", ""), ("pods", ""),
                 ("jobs", "batch/v1"), ("routes", "route.openshift.io/v1"),
                 ("imagestreams", "image.openshift.io/v1"),
                 ("inferenceservices", "serving.kserve.io/v1beta1")]  # fmt: skip
        return {
            f"{plural}/{each['metadata']['name']}"
            for plural, group in kinds
            for each in self.all(plural, group)
        }

    def change(self, path: str, patch: Thing, agent: str = "kubectl-edit") -> Thing:
        """Change an object as somebody else does."""
        return dict(
            self.kubelet.call(
                "PATCH", f"{path}?fieldManager={agent}", patch, "application/merge-patch+json"
            )
        )

    def grant(self, use: str) -> None:
        """Make the account that a runtime's manifests describe."""
        plurals = {"ServiceAccount": ("", "serviceaccounts"),
                   "Role": ("rbac.authorization.k8s.io/v1", "roles"),
                   "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings")}  # fmt: skip
        for each in manifests(use, self.namespace):
            group, plural = plurals[each["kind"]]
            made = self.kubelet.call("POST", f"{self.root(group)}/{plural}", each)
            assert made["kind"] == each["kind"], made

    def token(self, seconds: int = 3600) -> str:
        """Give a token of the account."""
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                 "spec": {"expirationSeconds": seconds}}  # fmt: skip
        path = f"{self.root()}/serviceaccounts/waystage/token"
        return str(self.kubelet.call("POST", path, asked)["status"]["token"])

    def settings(self, **more: Any) -> Thing:
        """Give what reaches this cluster."""
        return {
            "api": self.url, "token": {"secret": "env/TOKEN"}, "ca": str(self.certificate),
        } | more  # fmt: skip

    def serving(self, **more: Any) -> KubernetesServing:
        """Give the runtime for Kubernetes, its account made."""
        self.grant("kubernetes.tfserving")
        told = self.settings(namespace=self.namespace, **more)
        return KubernetesServing.model_validate(told)

    def openshift(self, **more: Any) -> OpenShiftServing:
        """Give the runtime for OpenShift, its account made; Routes lead to where models are."""
        self.grant("openshift.tfserving")
        if self.api is not None:
            self.api.projects[self.namespace] = "Active"
        told = self.settings(project=self.namespace, tls="none", **more)
        return OpenShiftServing.model_validate(told)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def real_cluster() -> Iterator[RealCluster]:
    try:
        made = RealCluster()
    except NoCluster as error:
        pytest.skip(str(error))
    yield made
    made.close()


_numbers = itertools.count(1)


@pytest.fixture
def world(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> Iterator[World]:
    """A namespace of its own on the cluster that the test asks for; the stand-in by default."""
    ModelServer.probes.clear()
    ModelServer.answer, ModelServer.inputs = None, PLAIN
    if getattr(request, "param", "stand-in") == "real":
        yield from _on_real(request.getfixturevalue("real_cluster"))
        return
    kubelet = Kubelet()
    api = KubeApi(*certificate, node=kubelet)
    kubelet.begin(api.url, api.admin, ["models"], certificate[0])
    made = World(api.url, certificate[0], kubelet, "models")
    made.api = api
    yield made
    kubelet.close()
    api.close()


def _on_real(cluster: RealCluster) -> Iterator[World]:
    namespace = f"models-{next(_numbers)}"
    cluster.kubelet.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    cluster.kubelet.plans.clear()
    cluster.kubelet.namespaces = [namespace]
    made = World(cluster.url, cluster.certificate, cluster.kubelet, namespace)
    # pods are made only once the namespace has its default account
    wait(lambda: any(a["metadata"]["name"] == "default" for a in made.all("serviceaccounts")))
    yield made
    for group in ("apps/v1", "batch/v1"):
        plural = "deployments" if group == "apps/v1" else "jobs"
        cluster.kubelet.call("DELETE", f"{made.root(group)}/{plural}")


def wait(what: Callable[[], Any], within: float = 180.0) -> Any:
    """Ask until the answer is true, and give it."""
    deadline = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < deadline, f"still {found!r} after {within:g} s"
        time.sleep(0.02)
    return found


@pytest.fixture
def ctx(tmp_path: Path, world: World) -> FakeContext:
    """A context that knows a token of the account, once it is made."""
    made = FakeContext(tmp_path)

    class Tokens(dict[str, str]):
        def __missing__(self, name: str) -> str:
            self[name] = world.token()
            return self[name]

        def __contains__(self, name: object) -> bool:
            return name == "env/TOKEN"

    made.secrets = Tokens()
    return made


@pytest.fixture
def spec() -> Callable[..., DeploySpec]:
    """Make what is to be deployed: `spec("2", image=…)`."""

    def make(version: str = "1", role: str = "champion", **fields: Any) -> DeploySpec:
        snapshot = Snapshot.model_validate(
            {"name": "credit", "version": version, "digest": "sha256:" + version[0] * 64,
             "format": "savedmodel", "example": [ROW]}
        )  # fmt: skip
        told = {"service": "credit-risk", "stage": "PROD", "snapshot": snapshot, "role": role,
                "source": "/nowhere", "run": "credit-risk-1", "image": IMAGE}  # fmt: skip
        return DeploySpec.model_validate(told | fields)

    return make
