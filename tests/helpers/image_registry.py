"""Registries for tests: the real one of the Distribution project, and what tests ask it for.

`apt-get install docker-registry` (Debian) brings the program; without it the tests that need it
say so. Images are looked at by plain HTTP requests of our own, not by the code under test.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import httpx
import yaml
from token_server import ISSUER, SERVICE, TokenServer
from with_parent import end_with_parent

USER, PASSWORD = "builder", "correct horse battery"
# bcrypt of PASSWORD: the one kind that the registry takes
HTPASSWD = f"{USER}:$2b$05$c.vmk0vx1SgGkKobncOluOyu1Gm3H.htG0IXHozyd7VRuCn5jxgLa\n"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER = (
    MANIFEST,
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)
OCI = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
)
TYPES = f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json"


class NoRegistry(Exception):
    """The program is not here; the text says how to get it."""


class Shelf:
    """What tests ask any registry for, and put into it."""

    address: str
    url: str
    user: tuple[str, str] | None = None

    def manifest(self, path: str, version: str) -> dict[str, Any] | None:
        """Give a manifest with its `digest`, None if there is none."""
        told = self.send("GET", f"/v2/{path}/manifests/{version}", headers={"Accept": TYPES})
        if told.status_code == 404:
            return None
        assert told.status_code == 200, told.text
        digest = "sha256:" + hashlib.sha256(told.content).hexdigest()
        return {**told.json(), "digest": digest}

    def config(self, path: str, version: str) -> dict[str, Any]:
        """Give the configuration of an image."""
        found = self.manifest(path, version)
        assert found is not None, f"no {path}:{version}"
        return json.loads(self.blob(path, found["config"]["digest"]))  # type: ignore[no-any-return]  # of JSON

    def blob(self, path: str, digest: str) -> bytes:
        """Give a blob."""
        told = self.send("GET", f"/v2/{path}/blobs/{digest}")
        assert told.status_code == 200, told.text
        return told.content

    def layer(self, path: str, version: str, number: int = -1) -> dict[str, tarfile.TarInfo]:
        """Give the entries of a layer by their names."""
        found = self.manifest(path, version)
        assert found is not None
        raw = self.blob(path, found["layers"][number]["digest"])
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            return {entry.name: entry for entry in archive}

    def tags(self, path: str) -> list[str]:
        """Give the tags of a repository."""
        told = self.send("GET", f"/v2/{path}/tags/list")
        return sorted(told.json().get("tags") or []) if told.status_code == 200 else []

    def put_image(
        self, path: str, tag: str, layer: bytes, env: list[str], *, oci: bool = False
    ) -> str:
        """Put an image of one packed layer there, and give its digest."""
        kind, of_config, of_layer = OCI if oci else DOCKER
        plain = hashlib.sha256(gzip.decompress(layer)).hexdigest()
        config = json.dumps({
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": {"Env": env, "Entrypoint": ["/bin/busybox"], "Labels": {"maintainer": "me"}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{plain}"]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "by hand"}],
        }).encode()  # fmt: skip
        parts = [self._put_blob(path, raw) for raw in (config, layer)]
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": kind,
            "config": {"mediaType": of_config, **parts[0]},
            "layers": [{"mediaType": of_layer, **parts[1]}],
        }).encode()  # fmt: skip
        told = self.send("PUT", f"/v2/{path}/manifests/{tag}", content=manifest,
                         headers={"Content-Type": kind})  # fmt: skip
        assert told.status_code == 201, told.text
        return "sha256:" + hashlib.sha256(manifest).hexdigest()

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Ask as the one user of the registry."""
        with httpx.Client(trust_env=False, timeout=30, verify=False) as client:
            return client.request(method, f"{self.url}{path}", auth=self.user, **request)

    def _put_blob(self, path: str, raw: bytes) -> dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(raw).hexdigest()
        begun = self.send("POST", f"/v2/{path}/blobs/uploads/")
        assert begun.status_code == 202, begun.text
        there = begun.headers["Location"].removeprefix(self.url)
        joint = "&" if "?" in there else "?"
        done = self.send("PUT", f"{there}{joint}digest={digest}", content=raw)
        assert done.status_code == 201, done.text
        return {"size": len(raw), "digest": digest}


class ImageRegistry(Shelf):
    """The registry of the Distribution project on loopback, its files below `place`.

    `host` is another address of this machine, `told` an URL that each push is told to.
    """

    def __init__(
        self, place: Path, *, htpasswd: bool = False, tokens: TokenServer | None = None,
        certificate: tuple[Path, Path] | None = None, host: str = "127.0.0.1", told: str = "",
    ) -> None:  # fmt: skip
        self._program = shutil.which("docker-registry")
        if self._program is None:
            raise NoRegistry("NOT TESTED: no docker-registry (apt-get install docker-registry)")
        self._place = place
        self._place.mkdir(parents=True, exist_ok=True)
        self.port = _free_port(host)
        self.address = f"{host}:{self.port}"
        self.url = f"{'https' if certificate else 'http'}://{self.address}"
        self.user = (USER, PASSWORD) if htpasswd else None
        self._write_config(htpasswd, tokens, certificate, told)
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        assert self._program
        with (self._place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._program, "serve", self._place / "config.yml"], stdout=log, stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # one system call, no lock is taken
            )  # fmt: skip
        end = time.monotonic() + 120
        while True:
            try:
                self.send("GET", "/v2/")
                return
            except httpx.TransportError:
                assert self.process.poll() is None, (self._place / "log").read_text()
                assert time.monotonic() < end, "the registry does not answer"
                time.sleep(0.02)

    def stop(self) -> None:
        """Kill it; what it keeps stays."""
        self.process.kill()
        self.process.wait()

    def _write_config(
        self, htpasswd: bool, tokens: TokenServer | None, certificate: tuple[Path, Path] | None,
        told: str,
    ) -> None:  # fmt: skip
        auth: dict[str, Any] = {}
        if htpasswd:
            (self._place / "htpasswd").write_text(HTPASSWD)
            auth = {"htpasswd": {"realm": "tests", "path": str(self._place / "htpasswd")}}
        if tokens:
            auth = {"token": {"realm": tokens.url, "service": SERVICE, "issuer": ISSUER,
                              "rootcertbundle": str(tokens.certificate)}}  # fmt: skip
        http: dict[str, Any] = {"addr": self.address}
        if certificate:
            http["tls"] = {"certificate": str(certificate[0]), "key": str(certificate[1])}
        config = {
            "version": "0.1", "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self._place / "data")}},
            "http": http, **({"auth": auth} if auth else {}),
        }  # fmt: skip
        if told:
            config["notifications"] = {"endpoints": [{
                "name": "cluster", "url": told, "timeout": "5s", "threshold": 3, "backoff": "1s",
            }]}  # fmt: skip
        (self._place / "config.yml").write_text(yaml.safe_dump(config))


def basic(user: str, password: str) -> str:
    """Write credentials as a header has them."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def small_layer() -> bytes:
    """Give a packed layer with one file: a stand-in for what a serving base holds."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("etc/serving-base")
        entry.size = 9
        archive.addfile(entry, io.BytesIO(b"stand-in\n"))
    return buffer.getvalue()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
