"""A Docker engine: what it has, loading into it, pushing from it, and its errors in one line."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from waystage.errors import Hopeless, Retryable, WaystageError
from waystage_plugins.images.compose import Base
from waystage_plugins.images.layer import Layer
from waystage_plugins.images.reference import Reference

SECONDS = 300.0  # between two words of the engine
NOBODY = {"username": "", "password": ""}  # else the SDK takes those of whoever logged in here
# words by which registries and engines say that trying again is useless
FINAL = ("unauthorized", "denied", "no basic auth", "authentication required", "not found",
         "manifest unknown", "x509", "http response to https", "immutable")  # fmt: skip
# engines that keep images in containerd tell the digest of a push in words alone
PUSHED = re.compile(r"\bdigest: (sha256:[0-9a-f]{64})\b")
KNOWN_LAYER = "known"  # stands for a layer that the engine has already


class Engine:
    """One Docker engine; `cancelled` is asked while it works whether to go on."""

    def __init__(self, api: Any, cancelled: Callable[[], bool]) -> None:
        self._api, self._cancelled = api, cancelled

    @property
    def api(self) -> Any:
        """The SDK's client, for what is done with containers."""
        return self._api

    def image(self, name: str) -> dict[str, Any] | None:
        """Say what the engine knows of an image, None if it has none of that name."""
        import docker.errors

        try:
            found: dict[str, Any] = self._api.inspect_image(name)
        except docker.errors.ImageNotFound:
            return None
        return found

    def base(self, name: Reference, login: tuple[str, str] | None, platform: str) -> Base:
        """Give the base image, pulled if the engine does not have it."""
        wanted = f"{name.name}@{name.digest}" if name.digest else str(name)
        found = self.image(wanted)
        if found is None:
            self._pull(name, login, platform, f"pulling {wanted}")
            found = self.image(wanted)
        if found is None:
            raise Retryable(f"the engine pulled {wanted} and does not have it")
        return _base(found, name)

    def load(self, config: bytes, layer: Layer, base: Base, name: str, work: Path) -> str:
        """Have the engine keep the image under `name`; give the id that the engine has it by.

        Only the model's layer goes over: the engine finds the base's by their digests. One
        that does not (it keeps images in containerd) is given the base's layers too.
        """
        place = work / "image.tar"
        try:
            _write_archive(place, config, layer, base, name)
            try:
                self._take(place)
            except Hopeless:
                self._with_base(place, config, layer, base, name)
                self._take(place)
        finally:
            place.unlink(missing_ok=True)
        found = self.image(name)
        if found is None or found["RootFS"]["Layers"] != [*base.diffs, layer.diff]:
            raise Retryable(f"the engine was given {name} and has something else")
        return str(found["Id"])

    def tag(self, image: str, name: str) -> None:
        """Give an image another name, which no other image of the engine may have."""
        held = self.image(name)
        if held is not None and held["Id"] != image:
            raise Hopeless(
                f"the engine has another image by the name {name}, {held['Id'][:19]}; "
                f"a tag is never moved: choose another one, or remove that image"
            )
        repository, _, tag = name.rpartition(":")
        self._api.tag(image, repository, tag)

    def push(self, name: str, login: tuple[str, str] | None) -> str:
        """Push a tag and give the digest of what was pushed, as the engine says it."""
        repository, _, tag = name.rpartition(":")
        said = self._api.push(
            repository, tag=tag, stream=True, decode=True, auth_config=_auth(login)
        )
        digest = self._listen(said, f"pushing {name}")
        if not digest:
            raise Retryable(f"pushing {name}: the engine ended without saying a digest")
        return digest

    def untag(self, name: str) -> None:
        """Take a name away, and the image with it if that was its last; harmless without."""
        import docker.errors

        try:
            self._api.remove_image(name, noprune=True)
        except docker.errors.ImageNotFound:
            return

    def _pull(
        self, name: Reference, login: tuple[str, str] | None, platform: str, what: str
    ) -> None:
        import docker.errors

        try:
            said = self._api.pull(
                name.name, tag=name.version, stream=True, decode=True, platform=platform,
                auth_config=_auth(login),
            )  # fmt: skip
        except docker.errors.APIError as error:  # it may say so before it begins
            raise _failure(what, str(error.explanation or error)) from None
        self._listen(said, what)

    def _take(self, place: Path) -> None:
        with place.open("rb") as file:
            self._listen(self._api.load_image(file, quiet=True), "loading the image")

    def _with_base(self, place: Path, config: bytes, layer: Layer, base: Base, name: str) -> None:
        """Write the archive anew with the layers that the engine gives of its base image."""
        raw = place.with_name("base.tar")
        try:
            with raw.open("wb") as file:
                for chunk in self._api.get_image(base.engine_id):
                    file.write(chunk)
            _write_archive(place, config, layer, base, name, raw)
        finally:
            raw.unlink(missing_ok=True)

    def _listen(self, said: Iterable[dict[str, Any]], what: str) -> str:
        """Read what an engine says to its end; give the digest if it tells one.

        Engines answer 200 and tell in the stream what went wrong; the SDK does not raise it.
        """
        digest = wrong = ""
        for word in said:  # to its end, or the connection is left open
            if self._cancelled():
                raise Retryable(f"{what}: the run no longer waits for this image")
            if "error" in word or "errorDetail" in word:
                detail = word.get("errorDetail") or {}
                wrong = wrong or str(detail.get("message") or word.get("error") or "it failed")
            if told := PUSHED.search(str(word.get("status", ""))):
                digest = told[1]
            if isinstance(word.get("aux"), dict):
                digest = word["aux"].get("Digest", digest)
        if wrong:
            raise _failure(what, wrong)
        return digest


@contextmanager
def engine(host: str, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Engine]:
    """Reach an engine: at `host`, or where Docker's own environment variables say.

    Raises `Retryable` or `Hopeless` with one line for whatever the SDK raises meanwhile.
    """
    try:
        import docker
        import docker.errors
        import requests
        import urllib3
    except ImportError:
        raise Hopeless("builder docker needs the extra waystage[docker]") from None
    made = None
    try:
        made = (
            docker.DockerClient(host, timeout=SECONDS) if host else docker.from_env(timeout=SECONDS)
        )
        yield Engine(made.api, cancelled)
    except docker.errors.APIError as error:
        kind = Retryable if error.is_server_error() else Hopeless
        raise kind(f"the Docker engine refuses: {_line(error.explanation or error)}") from None
    except (
        docker.errors.DockerException, docker.errors.StreamParseError, requests.RequestException,
        urllib3.exceptions.HTTPError, OSError,
    ) as error:  # fmt: skip
        raise Retryable(f"the Docker engine does not answer: {_line(error)}") from None
    finally:
        if made is not None:
            made.close()


def _base(found: dict[str, Any], name: Reference) -> Base:
    pinned = [each.partition("@")[2] for each in found.get("RepoDigests") or ()
              if each.partition("@")[0] in (name.name, _short(name))]  # fmt: skip
    parts = (found.get("Os"), found.get("Architecture"), found.get("Variant"))
    return Base(
        "/".join(filter(None, parts)), found.get("Config") or {},
        tuple(found["RootFS"].get("Layers") or ()),
        name.digest or (pinned[0] if pinned else ""), {}, engine_id=found["Id"],
    )  # fmt: skip


def _short(name: Reference) -> str:
    """Give a Docker Hub name as engines show it."""
    return name.name.removeprefix("docker.io/").removeprefix("library/")


def _auth(login: tuple[str, str] | None) -> dict[str, str]:
    return {"username": login[0], "password": login[1]} if login else NOBODY


def _failure(what: str, said: str) -> WaystageError:
    final = any(word in said.lower() for word in FINAL) or what.startswith("loading")
    return (Hopeless if final else Retryable)(f"{what}: {_line(said)}")


def _line(error: object) -> str:
    """Give one short line of what an engine or the SDK says."""
    text = error.decode(errors="replace") if isinstance(error, bytes) else str(error)
    plain = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(plain.split())[:200]


def _write_archive(
    place: Path, config: bytes, layer: Layer, base: Base, name: str, full: Path | None = None
) -> None:
    """Write what `docker load` reads: a list of images, their configurations, their layers."""
    with tarfile.open(place, "w") as archive:
        known = _copy_layers(archive, full) if full else [KNOWN_LAYER] * len(base.diffs)
        told = [{"Config": "config.json", "RepoTags": [name], "Layers": [*known, "model.tar.gz"]}]
        for path, raw in (("config.json", config), ("manifest.json", json.dumps(told).encode())):
            entry = tarfile.TarInfo(path)
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
        archive.add(layer.path, "model.tar.gz")


def _copy_layers(archive: tarfile.TarFile, full: Path) -> list[str]:
    names = []
    with tarfile.open(full) as saved:
        found = saved.extractfile("manifest.json")
        layers = json.load(found)[0]["Layers"] if found else []
        for number, layer in enumerate(layers):
            file = saved.extractfile(layer)  # which may be a link to another one
            if file is None:
                raise Hopeless(f"the engine gave the base image without its layer {number + 1}")
            entry = tarfile.TarInfo(f"base-{number}.tar")
            entry.size = file.seek(0, io.SEEK_END)
            file.seek(0)
            archive.addfile(entry, file)
            names.append(entry.name)
    return names
