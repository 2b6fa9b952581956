"""A cluster whose pods are containers: stand-in API, Docker engine, real registry, real router.

Nothing of a cluster is played here but the API and its controllers: images are built by the steps
under test, pushed to the registry of the Distribution project over TLS, pulled by digest and run.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from container_at_work import Habits
from container_node import ContainerNode
from docker_engine import Bridge, DockerEngine
from image_registry import PASSWORD, USER, ImageRegistry
from image_streams import Pushes
from kube_api import KubeApi
from kube_voice import KubeVoice
from route_router import Router
from saved_models import saved_model
from serving_image import mounts, serving_base
from tls_files import make_certificate

from waystage.testing import FakeContext
from waystage_plugins.repositories.folder import Folder
from waystage_plugins.runtimes.kubernetes.rbac import manifests

Thing = dict[str, Any]
BASE = "mirror/serving"
CRASH = "ImportError: no module named scoring"
ROW = {"income": 100.0, "owner": False}
KINDS = (("apps/v1", "deployments"), ("apps/v1", "replicasets"), ("v1", "pods"),
         ("v1", "services"), ("v1", "endpoints"), ("batch/v1", "jobs"),
         ("route.openshift.io/v1", "routes"),
         ("image.openshift.io/v1", "imagestreams"))  # fmt: skip
MANIFEST: Thing = {
    "name": "credit", "services": ["credit-risk"], "format": "savedmodel", "author": "ada",
    "inputs": [{"name": "income"}, {"name": "owner", "type": "boolean"}],
    "outputs": [{"name": "score"}], "example": [ROW],
}  # fmt: skip


class RealPods:
    """The cluster, and what a test asks of all its parts."""

    def __init__(self, place: Path) -> None:
        self.bridge = Bridge()
        host = self.bridge.address  # engines check no certificates of registries on loopback
        self.certificate, key = make_certificate(place, host)
        self.engine = DockerEngine(self.bridge.name, trusts=self.certificate)
        self.pushes = Pushes()
        self.registry = ImageRegistry(
            place / "registry", htpasswd=True, certificate=(self.certificate, key), host=host,
            told=self.pushes.url,
        )  # fmt: skip
        self.node = ContainerNode(
            self.engine, Habits(mounted=mounts(), mounted_into="/credit-risk@")
        )
        self.router = Router((self.certificate, key))
        self.api = KubeApi(self.certificate, key, node=self.node, namespaces=())
        self.namespaces: list[str] = []
        for part in (self.node, self.router):
            part.begin(self.api.url, self.api.admin, self.namespaces, self.certificate)
        voice = KubeVoice(self.api.url, self.api.admin, self.certificate, "image-registry")
        self.pushes.begin(voice, self.namespaces)
        self._push("2.19.1")
        self._push("crashing", TEST_CRASH=CRASH.replace(" ", "-"))

    def close(self) -> None:
        """End all of it; raises what went wrong on the node."""
        try:
            self.router.close()
            self.node.close()
            self.pushes.close()
        finally:
            self.api.close()
            self.registry.stop()
            self.engine.remove()
            self.bridge.remove()

    def namespace(self, name: str, use: str, *, openshift: bool) -> None:
        """Make a namespace with the account of a runtime and a secret that its pods pull by."""
        if openshift:
            self.api.projects[name] = "Active"
        else:
            self.api.store.namespace(name)
        for each in manifests(use, name):
            self.made(name, each)
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        config = json.dumps({"auths": {self.registry.address: {"auth": auth}}})
        self.made(name, {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
        })  # fmt: skip
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        linked = {"imagePullSecrets": [{"name": "pull"}]}
        self.node.call("PATCH", account, linked, "application/merge-patch+json")
        self.namespaces.append(name)

    def made(self, namespace: str, thing: Thing) -> Thing:
        """Make an object as one who may do everything."""
        version = thing["apiVersion"]
        root = "/api/v1" if version == "v1" else f"/apis/{version}"
        path = f"{root}/namespaces/{namespace}/{thing['kind'].lower()}s"
        told: Thing = self.node.call("POST", path, thing)
        assert told["kind"] == thing["kind"], told
        return told

    def all(self, namespace: str, plural: str, version: str = "v1") -> list[Thing]:
        """Give the objects of a kind."""
        root = "/api/v1" if version == "v1" else f"/apis/{version}"
        return list(self.node.call("GET", f"{root}/namespaces/{namespace}/{plural}")["items"])

    def world(self, namespace: str) -> Thing:
        """Count what there is: objects, containers, images of node and builder, volumes."""
        self.node.collect()
        docker = self.engine.client.api
        return {
            "objects": sorted(f"{plural}/{each['metadata']['name']}" for version, plural in KINDS
                              for each in self.all(namespace, plural, version)),
            "containers": sorted(each["Names"][0] for each in docker.containers(all=True)),
            "images": sorted(each["Id"] for each in docker.images()),
            "volumes": sorted(each["Name"] for each in docker.volumes()["Volumes"] or ()),
        }  # fmt: skip

    def inspected(self, pod: Thing) -> Thing:
        """Give what the engine says of a pod's first container."""
        id_of = pod["status"]["containerStatuses"][0]["containerID"].partition("//")[2]
        found: Thing = self.engine.client.api.inspect_container(id_of)
        return found

    def token(self, namespace: str) -> str:
        """Give a token of the account that the runtime's manifests describe."""
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                 "spec": {"expirationSeconds": 3600}}  # fmt: skip
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/waystage/token"
        return str(self.node.call("POST", path, asked)["status"]["token"])

    def reached(self, **more: Any) -> Thing:
        """Give the settings that reach this cluster."""
        return {"api": self.api.url, "ca": str(self.certificate),
                "token": {"secret": "env/TOKEN"}} | more  # fmt: skip

    def context(self, root: Path, namespace: str, **tiny: Any) -> FakeContext:
        """Register a version whose model is `tiny`, and give the context of a run on it."""
        repository = Folder(path="models")
        told = {"env/TOKEN": self.token(namespace), "env/REGISTRY": PASSWORD}
        ctx = FakeContext(root, stage="PROD", repository=repository, secrets=told)
        number = len(repository.snapshots(ctx)) + 1
        source = root / f"source-{number}"
        (source / "variables").mkdir(parents=True)
        (source / "saved_model.pb").write_bytes(saved_model())
        slope = {"slope": number / 100} | tiny
        (source / "variables" / "tiny.json").write_text(json.dumps(slope))
        ctx.snapshot = repository.register(ctx, source, dict(MANIFEST), key=f"k{number}")
        ctx.run, ctx.key = f"credit-risk-{number}", f"credit-risk-{number}/1/step"
        return ctx

    def build(self, tag: str, base: str = "2.19.1", **more: Any) -> Thing:
        """Give the settings of a build onto a base of the registry."""
        registry = {"host": self.registry.address, "project": "models", "ca": str(self.certificate),
                    "user": USER, "token": {"secret": "env/REGISTRY"}}  # fmt: skip
        return {"base": f"{self.registry.address}/{BASE}:{base}", "tag": tag,
                "registry": registry, "engine": self.engine.host} | more  # fmt: skip

    def push(self, image: str, path: str) -> str:
        """Push an image of the engine to the registry, and give it by its digest."""
        name = f"{self.registry.address}/{path}"
        self.engine.client.images.get(image).tag(name, "1")
        login = {"username": USER, "password": PASSWORD}
        said = self.engine.client.images.push(
            name, "1", auth_config=login, stream=True, decode=True
        )
        digests = [each["aux"]["Digest"] for each in said if "aux" in each]
        self.engine.client.images.remove(f"{name}:1")
        return f"{name}@{digests[0]}"

    def _push(self, tag: str, **environment: str) -> None:
        made = f"{self.registry.address}/{BASE}:{tag}"
        serving_base(self.engine, made, **environment)
        login = {"username": USER, "password": PASSWORD}
        for said in self.engine.client.images.push(
            made, auth_config=login, stream=True, decode=True
        ):
            assert "error" not in said, said
