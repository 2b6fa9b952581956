"""A real Docker engine for tests, started by hand and taken away whole.

`apt-get install docker.io` (Debian) brings the program; it needs root. Its containers have no
network, or that of a bridge of their own, and nothing of it touches an engine that runs here
already.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

from with_parent import end_with_parent


class NoEngine(Exception):
    """An engine cannot be had here; the text says why."""


class DockerEngine:
    """One engine with a socket, data and images of its own.

    `bridge` names a bridge for its containers (see `Bridge`); without one they have no network.
    `trusts` is a file with who may vouch for registries, instead of the machine's authorities.
    """

    def __init__(self, bridge: str = "none", trusts: Path | None = None) -> None:
        self._bridge = bridge
        own = {"SSL_CERT_FILE": str(trusts)} if trusts else {}
        self._environment = os.environ | {"NO_PROXY": "*", "no_proxy": "*"} | own
        program = shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/sbin")
        if program is None:
            raise NoEngine("NOT TESTED: no dockerd (apt-get install docker.io)")
        if shutil.which("busybox") is None:
            raise NoEngine("NOT TESTED: no busybox (apt-get install busybox-static)")
        if os.geteuid() != 0:
            raise NoEngine("NOT TESTED: dockerd needs root")
        self._place = Path(tempfile.mkdtemp(prefix="waystage-docker-"))
        self.host = f"unix://{self._place / 'socket'}"
        self._program = program
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Start the engine and wait until it answers."""
        import docker

        where = {"--data-root": "data", "--exec-root": "exec", "--pidfile": "pid"}
        paths = [f"{name}={self._place / place}" for name, place in where.items()]
        with (self._place / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, *paths, "-H", self.host, f"--bridge={self._bridge}",
                 "--iptables=false",
                 "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
                 "--storage-driver=vfs", "--containerd", ""],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # one system call, no lock is taken
            )  # fmt: skip
        end = time.monotonic() + 180
        while True:
            if "API listen on" in (self._place / "log").read_text(errors="replace"):
                self.client = docker.DockerClient(self.host)
                return
            if self._process.poll() is not None or time.monotonic() > end:
                said = (self._place / "log").read_text(errors="replace")[-500:]
                raise NoEngine(f"NOT TESTED: dockerd does not start: {said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the engine; its images stay."""
        if hasattr(self, "client"):
            self.client.close()
        if hasattr(self, "_process"):
            self._process.terminate()
            self._process.wait(timeout=300)

    def remove(self) -> None:
        """End the engine and throw everything away."""
        self.stop()
        shutil.rmtree(self._place, ignore_errors=True)

    def make_base(self, name: str) -> str:
        """Import a small root file system that stands in for TensorFlow Serving's image.

        It has a shell (busybox), and the settings of the real one that the build reads.
        """
        settings = ["ENV MODEL_BASE_PATH=/models", 'ENTRYPOINT ["/bin/busybox"]']
        repository, _, tag = name.rpartition(":")
        self.client.api.import_image_from_data(_root(), repository, tag, changes=settings)
        return str(self.client.images.get(name).id)

    def images(self) -> dict[str, list[str]]:
        """Give every image with its names."""
        listed: list[dict[str, Any]] = self.client.api.images()
        return {each["Id"]: sorted(each.get("RepoTags") or []) for each in listed}

    def kept(self) -> tuple[dict[str, list[str]], list[str], list[str]]:
        """Give all that an engine may be left with: images, containers, volumes."""
        api = self.client.api
        return (
            self.images(),
            sorted(each["Id"] for each in api.containers(all=True)),
            sorted(each["Name"] for each in api.volumes()["Volumes"] or ()),
        )


class Bridge:
    """A bridge of this machine with an address of its own; ports are published by a proxy."""

    _made = count()

    def __init__(self) -> None:
        if shutil.which("ip") is None:
            raise NoEngine("NOT TESTED: no ip (apt-get install iproute2)")
        which = next(self._made)  # a process may have several at a time
        self.name = f"ws{os.getpid() % 10**7:x}-{which % 100}"
        self.address = f"10.213.{(os.getpid() + 61 * which) % 250}.1"
        for words in (
            ("link", "add", self.name, "type", "bridge"),
            ("addr", "add", f"{self.address}/24", "dev", self.name),
            ("link", "set", self.name, "up"),
        ):
            done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
            if done.returncode:
                self.remove()
                raise NoEngine(f"NOT TESTED: no bridge for containers: {done.stderr.strip()}")

    def remove(self) -> None:
        """Take the bridge away."""
        subprocess.run(["ip", "link", "del", self.name], capture_output=True, check=False)


def _root() -> bytes:
    program = shutil.which("busybox")
    assert program, "it was looked for before the engine was started"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("bin", "models"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        archive.add(program, "bin/busybox")
    return buffer.getvalue()
