"""A real Docker engine for tests, started by hand and taken away whole.

`apt-get install docker.io` (Debian) brings the program; it needs root. Its containers have no
network, and nothing of it touches an engine that runs here already.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from with_parent import end_with_parent


class NoEngine(Exception):
    """An engine cannot be had here; the text says why."""


class DockerEngine:
    """One engine with a socket, data and images of its own."""

    def __init__(self) -> None:
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
                [self._program, *paths, "-H", self.host, "--bridge=none", "--iptables=false",
                 "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
                 "--storage-driver=vfs", "--containerd", ""],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # one system call, no lock is taken
            )  # fmt: skip
        end = time.monotonic() + 60
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
            self._process.wait(timeout=60)

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


def _root() -> bytes:
    program = shutil.which("busybox")
    assert program, "it was looked for before the engine was started"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(program, "bin/busybox")
        folder = tarfile.TarInfo("models")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
    return buffer.getvalue()
