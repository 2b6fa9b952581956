"""A real etcd, kube-apiserver and kube-controller-manager on loopback, where they are found.

They are found on the PATH, or in the directory that `WAYSTAGE_KUBERNETES` names.
`tests/helpers/build_kubernetes.sh` makes them from Debian's sources.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubelet import Kubelet
from tls_files import make_certificate

Thing = dict[str, Any]
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
CONTROLLERS = "deployment,replicaset,garbagecollector,serviceaccount,job,resourcequota,namespace"
CUSTOM = (
    ("route.openshift.io", "v1", "Route", "routes"),
    ("image.openshift.io", "v1", "ImageStream", "imagestreams"),
    ("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices"),
)


class NoCluster(Exception):  # the word that tests are skipped with
    """A cluster cannot be had here."""


class RealCluster:
    """A control plane without nodes; `kubelet` plays the one node that it is told of."""

    def __init__(self) -> None:
        self.programs = {name: _find(name) for name in PROGRAMS}
        self.place = Path(tempfile.mkdtemp(prefix="waystage-kubernetes-"))
        self.admin = secrets.token_hex(16)
        self.port, self._etcd = _free_port(), (_free_port(), _free_port())
        self.certificate, self.key = make_certificate(self.place)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.kubelet = Kubelet()
        self._node = _node_server(self)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"https://127.0.0.1:{self.port}"

    def close(self) -> None:
        """End everything."""
        self.kubelet.close()
        self._node.shutdown()
        self._node.server_close()
        for process in reversed(self.processes):
            process.terminate()
            process.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def log(self, name: str) -> str:
        """Give what a program printed."""
        return (self.place / f"{name}.log").read_text(errors="replace")

    def _start(self) -> None:
        client, peer = self._etcd
        self._run("etcd", "--data-dir", str(self.place / "etcd"), "--log-level=error",
                  f"--listen-client-urls=http://127.0.0.1:{client}",
                  f"--advertise-client-urls=http://127.0.0.1:{client}",
                  f"--listen-peer-urls=http://127.0.0.1:{peer}", "--unsafe-no-fsync")  # fmt: skip
        (self.place / "tokens.csv").write_text(f"{self.admin},admin,admin,system:masters\n")
        signing = [f"--service-account-key-file={self.key}"]
        self._run("kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}",
                  f"--secure-port={self.port}", "--bind-address=127.0.0.1",
                  f"--tls-cert-file={self.certificate}", f"--tls-private-key-file={self.key}",
                  f"--cert-dir={self.place}", f"--token-auth-file={self.place}/tokens.csv",
                  "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
                  "--service-account-issuer=https://kubernetes.default.svc", *signing,
                  f"--service-account-signing-key-file={self.key}",
                  "--endpoint-reconciler-type=none", "--allow-privileged=false")  # fmt: skip
        self.kubelet.begin(self.url, self.admin, [], self.certificate)
        self._await_api()
        self._run("kube-controller-manager", f"--kubeconfig={self._kubeconfig()}",
                  f"--controllers={CONTROLLERS}", "--leader-elect=false", "--port=0",
                  "--secure-port=0", f"--service-account-private-key-file={self.key}")  # fmt: skip
        self._equip()

    def _run(self, name: str, *arguments: str) -> None:
        with (self.place / f"{name}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen([self.programs[name], *arguments], stdout=log, stderr=log)
            )

    def _await_api(self) -> None:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            try:
                answer = self.kubelet.http.request(
                    "GET", f"{self.url}/readyz", retries=False,
                    headers={"Authorization": f"Bearer {self.admin}"},
                )  # fmt: skip
                if answer.status == 200:
                    return
            except Exception:  # noqa: BLE001  # it is not listening yet, in whatever way
                pass
            time.sleep(0.1)
        raise NoCluster(self.log("kube-apiserver")[-2000:])

    def _kubeconfig(self) -> Path:
        path = self.place / "kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {
                "server": self.url, "certificate-authority": str(self.certificate)}}],
            "users": [{"name": "it", "user": {"token": self.admin}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }))  # fmt: skip
        return path

    def _equip(self) -> None:
        self.kubelet.call("POST", "/api/v1/nodes", {"metadata": {"name": "node"}})
        self.kubelet.call("PATCH", "/api/v1/nodes/node/status", {"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._node.server_port}},
        }}, "application/merge-patch+json")  # fmt: skip
        self.kubelet.node_name = "node"
        for group, version, kind, plural in CUSTOM:
            self.kubelet.call(
                "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                _definition(group, version, kind, plural),
            )  # fmt: skip


def _definition(group: str, version: str, kind: str, plural: str) -> Thing:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": version, "served": True, "storage": True,
                          "subresources": {"status": {}},
                          "schema": {"openAPIV3Schema": schema}}],
        },
    }  # fmt: skip


def _node_server(cluster: RealCluster) -> ThreadingHTTPServer:
    """Serve what an API server asks of a node: the logs of containers."""

    class Node(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            split = urlsplit(self.path)
            _, _, namespace, name, _ = split.path.split("/")
            query = parse_qs(split.query)
            pod = cluster.kubelet.call("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")
            lines = int(query.get("tailLines", ["100"])[0])
            text = cluster.kubelet.log(pod, lines, previous="previous" in query) or ""
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Node)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.certificate, cluster.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def _find(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("WAYSTAGE_KUBERNETES")) or shutil.which(name)
    if not found:
        raise NoCluster(f"there is no {name} here; tests/helpers/build_kubernetes.sh makes it")
    return found


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
