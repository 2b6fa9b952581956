"""Containers, their volumes and images in a Docker engine: found by name, made and taken away."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from waystage.errors import Conflict, Hopeless, Retryable
from waystage_plugins.images.engine import Engine, engine
from waystage_plugins.images.reference import parse_reference

Thing = dict[str, Any]
MISSING = "the Docker SDK is not installed: pip install 'waystage[docker]'"
STOP_SECONDS = 10  # until a server that was told to end is killed
GONE_SECONDS = 15.0
TAKEN = ("port is already allocated", "address already in use", "ports are not available")


class Held(NamedTuple):
    """An image that an engine has."""

    id: str
    labels: Mapping[str, str]


class PortTaken(Conflict):
    """A port of the engine's machine is taken."""


class Containers:
    """What is done with containers of one engine."""

    def __init__(self, found: Engine) -> None:
        self._engine, self._api = found, found.api

    def ping(self) -> None:
        """Raise when the engine does not answer."""
        self._api.ping()

    def image(self, name: str, login: tuple[str, str] | None) -> Held:
        """Give an image by reference or by the engine's id, pulled if it is not there."""
        if name.startswith("sha256:"):
            there = self._engine.image(name)
            if there is None:
                raise Hopeless(f"the engine has no image {name[:19]}, and no registry to ask")
            return Held(there["Id"], (there.get("Config") or {}).get("Labels") or {})
        base = self._engine.base(parse_reference(name), login, "")
        return Held(base.engine_id, base.settings.get("Labels") or {})

    def find(self, name: str) -> Thing | None:
        """Say what the engine knows of a container, None if there is none of that name."""
        import docker.errors

        try:
            found: Thing = self._api.inspect_container(name)
        except docker.errors.NotFound:
            return None
        return found

    def create(self, name: str, image: str, told: Thing) -> None:
        """Make a container that does not run yet."""
        made = dict(told)
        host = self._api.create_host_config(**made.pop("host"))
        self._api.create_container(image, name=name, host_config=host, **made)

    def start(self, name: str) -> None:
        """Start a container; raises `PortTaken` when its port is not free."""
        import docker.errors

        try:
            self._api.start(name)
        except docker.errors.APIError as error:
            if any(word in str(error.explanation).lower() for word in TAKEN):
                raise PortTaken(f"{name}: {error.explanation}") from None
            raise

    def stop(self, name: str) -> None:
        """Have a container end; harmless when it has ended."""
        self._api.stop(name, timeout=STOP_SECONDS)

    def rename(self, name: str, other: str) -> None:
        """Give a container another name."""
        self._api.rename(name, other)

    def remove(self, name: str) -> None:
        """End a container and take it away with its unnamed volumes; harmless without."""
        import docker.errors

        end = time.monotonic() + GONE_SECONDS
        while (there := self.find(name)) is not None:
            if there["State"].get("Running"):
                with suppress(docker.errors.NotFound):
                    self.stop(name)
            try:
                self._api.remove_container(name, v=True, force=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.response.status_code != 409 or time.monotonic() > end:
                    raise  # 409: it is being removed already
                time.sleep(0.05)

    def volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Have a volume of that name."""
        self._api.create_volume(name, labels=dict(labels))

    def volume_labels(self, name: str) -> Mapping[str, str] | None:
        """Give the labels of a volume, None if there is none of that name."""
        import docker.errors

        try:
            return self._api.inspect_volume(name).get("Labels") or {}
        except docker.errors.NotFound:
            return None

    def remove_volume(self, name: str) -> None:
        """Take a volume away; harmless without."""
        import docker.errors

        with suppress(docker.errors.NotFound):
            self._api.remove_volume(name)

    def put(self, name: str, directory: str, archive: bytes | Path) -> None:
        """Unpack an archive into a directory of a container, which need not run."""
        if isinstance(archive, bytes):
            self._api.put_archive(name, directory, archive)
            return
        with archive.open("rb") as file:
            self._api.put_archive(name, directory, file)

    def get(self, name: str, path: str) -> Iterator[bytes]:
        """Give a file or directory of a container as an archive; nothing when it is not there."""
        import docker.errors

        try:
            chunks, _ = self._api.get_archive(name, path)
        except docker.errors.NotFound:
            return
        yield from chunks

    def has(self, name: str, path: str) -> bool:
        """Whether a container has a file or directory, whether it runs or not."""
        import docker.errors

        url = self._api._url("/containers/{0}/archive", name)
        answer = self._api.head(url, params={"path": path})
        if answer.status_code == 404:
            return False
        try:
            self._api._raise_for_status(answer)
        except docker.errors.NotFound:
            return False
        return True

    def forget(self, name: str, path: str) -> bool:
        """Remove a directory inside of a running container; False when it has no way to."""
        import docker.errors

        try:
            made = self._api.exec_create(name, ["rm", "-rf", "--", path], user="0")
            self._api.exec_start(made["Id"])
            return bool(self._api.exec_inspect(made["Id"])["ExitCode"] == 0)
        except docker.errors.APIError:
            return False

    def logs(self, name: str, lines: int) -> str:
        """Give the last lines that a container printed, control characters left out."""
        import docker.errors

        try:
            raw: bytes = self._api.logs(name, tail=lines, stdout=True, stderr=True)
        except docker.errors.NotFound:
            return ""
        text = raw.decode(errors="replace")
        clean = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
        return "\n".join(line.rstrip() for line in clean.splitlines() if line.strip())


@contextmanager
def containers(host: str, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Containers]:
    """Reach an engine; raises `Retryable` or `Hopeless` with one line for what goes wrong."""
    if find_spec("docker") is None:
        raise Hopeless(MISSING)
    try:
        with engine(host, cancelled) as found:
            yield Containers(found)
    except PortTaken as error:
        raise Retryable(str(error)) from None


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """Give an archive of small files that everybody may read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
