"""One repository of a registry: its manifests and blobs, every byte held against its digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from waystage.errors import Hopeless, Retryable, WaystageError
from waystage.plugin import Services
from waystage_plugins.images.login import Login, client
from waystage_plugins.images.reference import DIGEST
from waystage_plugins.images.wire import MAX_ANSWER, Wire, pull_scope, push_scope

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPTED = ", ".join((DOCKER_MANIFEST, OCI_MANIFEST, DOCKER_LIST, OCI_INDEX))
CHUNK = 1 << 20


class Manifest(NamedTuple):
    """A manifest as the registry gave it; the digest is that of these very bytes."""

    raw: bytes
    type: str
    digest: str

    @property
    def body(self) -> dict[str, Any]:
        """The manifest's fields; raises `Hopeless` when it has none."""
        return json_object(self.raw, "a manifest")

    @property
    def config(self) -> str:
        """The digest of the image's configuration, which is the image's id; empty for a list."""
        found = self.body.get("config")
        return _digests([found])[0] if found is not None else ""

    @property
    def layers(self) -> list[str]:
        """The digests of the layers, lowest first; raises `Hopeless` when they are none."""
        return _digests(self.body.get("layers"))

    @property
    def platforms(self) -> list[tuple[str, str]]:
        """The digests of a list's manifests, and what each is for, `linux/amd64`."""
        listed = self.body.get("manifests")
        names = []
        for digest, each in zip(_digests(listed), listed or (), strict=True):
            on = each.get("platform") if isinstance(each.get("platform"), dict) else {}
            parts = (on.get(key) for key in ("os", "architecture", "variant"))
            names.append((digest, "/".join(str(part) for part in parts if part)))
        return names


class Remote:
    """A repository of a registry."""

    def __init__(self, ctx: Services, wire: Wire, path: str) -> None:
        self._ctx, self._wire, self.path = ctx, wire, path

    @property
    def _cancelled(self) -> bool:
        """Whether the run has gone on that this is for; looks of runtimes are for none."""
        return bool(getattr(self._ctx, "cancelled", False))

    def manifest(self, version: str) -> Manifest | None:
        """Give the manifest of a tag or digest, None if there is none.

        Raises `Hopeless` when the bytes are not those of the digest that was asked for.
        """
        what = f"{self.path}:{version}"
        url = f"/v2/{self.path}/manifests/{version}"
        with self._wire.ask(
            "GET", url, headers={"Accept": ACCEPTED}, fine=(200, 404), what=what
        ) as answer:
            if answer.status_code == 404:
                return None
            raw = self._wire.read(answer, "a manifest")
            told = answer.headers.get("Content-Type", "").partition(";")[0]
        digest = sha256(raw)
        if version.startswith("sha256:") and version != digest:
            raise Hopeless(f"{what}: the registry gave other bytes, their digest is {digest}")
        return Manifest(raw, str(json_object(raw, what).get("mediaType") or told), digest)

    def put_manifest(self, version: str, raw: bytes, kind: str) -> None:
        """Keep a manifest under a tag or its digest."""
        with self._wire.ask(
            "PUT", f"/v2/{self.path}/manifests/{version}",
            headers={"Content-Type": kind, "Content-Length": str(len(raw))},
            body=lambda: [raw], fine=(200, 201, 202), what=f"{self.path}:{version}",
        ):  # fmt: skip
            pass

    def blob(self, digest: str, what: str) -> bytes:
        """Give a small blob; raises `Hopeless` when it is not there or has other bytes."""
        return b"".join(self._blob(digest, what, MAX_ANSWER))

    def fetch(self, digest: str, into: Path) -> None:
        """Write a blob to a file; raises `Hopeless` when its bytes have another digest."""
        try:
            with into.open("wb") as file:
                for chunk in self._blob(digest, f"layer {digest[:19]}", None):
                    file.write(chunk)
        except BaseException:
            into.unlink(missing_ok=True)
            raise

    def has(self, digest: str) -> bool:
        """Whether the repository has this blob."""
        url = f"/v2/{self.path}/blobs/{digest}"
        with self._wire.ask("HEAD", url, fine=(200, 404), what=f"layer {digest[:19]}") as answer:
            return answer.status_code == 200

    def mount(self, digest: str, other: str) -> bool:
        """Take a blob over from another repository of the registry; False if it will not.

        A registry may refuse because who writes here may not read there: then it is carried.
        """
        query = urlencode({"mount": digest, "from": other})
        url = f"/v2/{self.path}/blobs/uploads/?{query}"
        try:
            with self._wire.ask(
                "POST", url, fine=(201, 202), what=f"layer {digest[:19]}"
            ) as answer:
                if answer.status_code == 201:
                    return True
                self._give_up(answer.headers.get("Location", ""))
        except Hopeless:
            pass
        return False

    def upload(self, place: Path, digest: str, what: str) -> None:
        """Bring a file into the repository as a blob; an upload that fails is given up."""
        size = place.stat().st_size
        with self._wire.ask(
            "POST", f"/v2/{self.path}/blobs/uploads/", fine=(202,), what=what
        ) as answer:
            location = answer.headers.get("Location", "")
        try:
            with self._wire.ask(
                "PATCH", location, fine=(202,), what=what, body=lambda: self._chunks(place),
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            ) as answer:  # fmt: skip
                location = answer.headers.get("Location", location)
            joint = "&" if "?" in location else "?"
            closing = f"{location}{joint}digest={quote(digest, safe='')}"
            with self._wire.ask(
                "PUT", closing, headers={"Content-Length": "0"}, fine=(201, 204), what=what
            ):
                pass
        except WaystageError:
            self._give_up(location)
            raise

    def _give_up(self, location: str) -> None:
        """Take an upload back; what a dead registry keeps of it, it removes itself one day."""
        with (
            suppress(WaystageError),
            self._wire.ask(
                "DELETE", location, fine=(200, 202, 204, 404), what="giving an upload up"
            ),
        ):
            pass

    def _chunks(self, place: Path) -> Iterator[bytes]:
        with place.open("rb") as file:
            while chunk := file.read(CHUNK):
                if self._cancelled:
                    raise Retryable("the run no longer waits for this image")
                yield chunk

    def _blob(self, digest: str, what: str, most: int | None) -> Iterator[bytes]:
        found, size = hashlib.sha256(), 0
        url = f"/v2/{self.path}/blobs/{digest}"
        with self._wire.ask("GET", url, what=what) as answer:
            for chunk in answer.iter_bytes(CHUNK):
                if self._cancelled:
                    raise Retryable("the run no longer waits for this image")
                found.update(chunk)
                size += len(chunk)
                if most is not None and size > most:
                    raise Hopeless(f"{self.path}: {what} is larger than {most} bytes")
                yield chunk
        if f"sha256:{found.hexdigest()}" != digest:
            raise Hopeless(
                f"{self.path}: {what}: the registry gave other bytes, "
                f"their digest is sha256:{found.hexdigest()} instead of {digest}"
            )


def _digests(parts: object) -> list[str]:
    """Read the digests of a manifest's parts; they become names of files and parts of URLs."""
    listed = parts if isinstance(parts, list) else [None]
    found = [each.get("digest") if isinstance(each, dict) else None for each in listed]
    if not all(isinstance(each, str) and re.fullmatch(DIGEST, each) for each in found):
        raise Hopeless("a manifest names a part without a sha256 digest")
    return [str(each) for each in found]


@contextmanager
def remote(
    ctx: Services, host: str, login: Login, path: str, *, push: bool = False, also: str = ""
) -> Iterator[Remote]:
    """Open a repository; `also` names another one whose blobs may be taken over."""
    scopes = (push_scope(path) if push else pull_scope(path), *([pull_scope(also)] if also else []))
    with ExitStack() as stack:
        http = stack.enter_context(client(ctx, login))
        yield Remote(ctx, Wire(ctx, http, host, login, scopes), path)


def sha256(raw: bytes) -> str:
    """Give the digest of bytes as registries write it."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def json_object(raw: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object; raises `Hopeless` when it is none."""
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Hopeless(f"{what} is no JSON object")
    return found
