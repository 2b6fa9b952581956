"""A stand-in for a Kubernetes API without nodes, and one who may do everything there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from kube_api import KubeApi
from tls_files import make_certificate

Thing = dict[str, Any]
CONFIGS = "/api/v1/namespaces/models/configmaps"
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"


class Asker:
    """Asks an API: `asker("GET", path)` gives the answer's code and body."""

    def __init__(self, api: KubeApi, ca: Path) -> None:
        self.api, self.token = api, api.admin
        self.http = urllib3.PoolManager(ca_certs=str(ca))

    def __call__(
        self, method: str, path: str, body: Any = None, kind: str = "application/json",
        token: str | None = None, accept: str = "application/json",
    ) -> tuple[int, Thing]:  # fmt: skip
        head = {"Content-Type": kind, "Accept": accept, "User-Agent": "asker"}
        if token != "":
            head["Authorization"] = f"Bearer {token or self.token}"
        sent = None if body is None else json.dumps(body)
        answer = self.http.request(
            method, self.api.url + path, body=sent, headers=head, retries=False
        )
        return answer.status, json.loads(answer.data)

    def config(self, name: str, **meta: Any) -> Thing:
        """Make a ConfigMap; give it."""
        code, made = self("POST", CONFIGS, {"metadata": {"name": name} | meta, "data": {"a": "1"}})
        assert code == 201, made
        return made

    def names(self, path: str = CONFIGS) -> list[str]:
        """Give the names in a list."""
        return [each["metadata"]["name"] for each in self("GET", path)[1]["items"]]

    def watch(self, path: str) -> Iterator[tuple[str, Thing]]:
        """Give the events of a watch until it ends."""
        head = {"Authorization": f"Bearer {self.token}"}
        answer = self.http.request(
            "GET", self.api.url + path, headers=head, preload_content=False, retries=False
        )
        assert answer.status == 200
        buffered = b""
        for chunk in answer.stream(None):
            buffered += chunk
            *lines, buffered = buffered.split(b"\n")
            for line in lines:
                told = json.loads(line)
                yield told["type"], told["object"]


class NoNode:
    """Where pods would run."""

    def log(self, pod: Thing, lines: int, *, previous: bool, container: str = "") -> str | None:
        return None


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def api(files: tuple[Path, Path]) -> Iterator[KubeApi]:
    found = KubeApi(*files, node=NoNode())
    yield found
    found.close()


@pytest.fixture
def ask(api: KubeApi, files: tuple[Path, Path]) -> Iterator[Asker]:
    found = Asker(api, files[0])
    yield found
    found.http.clear()
