"""A cluster's node that runs pods as real containers on a Docker engine.

It speaks to the API as anybody, so that it serves a stand-in and a real API server alike. Images
are pulled by the engine from where they are named, with the pod's own secrets; each pod has a
network and an address of its own; probes, limits, users, read-only roots and restarts are real.
What it does not know (init containers, some kinds of volumes) it refuses aloud.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import urllib3
from container_at_work import Habits
from docker_engine import DockerEngine
from kube_voice import KubeVoice
from pod_at_work import LOOKS, PAUSE, PodAtWork

Thing = dict[str, Any]
GRACE = 30  # seconds, of a pod that says none
NODE = "node-1"


class ContainerNode:
    """The node. `begin` starts it, `close` ends it and every container that it made."""

    def __init__(self, engine: DockerEngine, habits: Habits | None = None) -> None:
        self.engine, self.habits = engine, habits or Habits()
        self.docker = engine.client
        self.claims: dict[str, Path] = {}  # where the files of PersistentVolumeClaims are
        self.pods: dict[str, PodAtWork] = {}
        self.faults: list[str] = []
        self._place = Path(tempfile.mkdtemp(prefix="waystage-node-"))
        self._place.chmod(0o755)  # users of the cluster's choice come through it
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        if not self.docker.images.list(PAUSE):
            engine.make_base(PAUSE)

    def begin(self, url: str, token: str, namespaces: list[str], ca: Path) -> None:
        """Look after the pods of these namespaces."""
        self.voice, self.namespaces = KubeVoice(url, token, ca, "kubelet"), namespaces
        self.call = self.voice.call
        self._thread.start()

    def close(self) -> None:
        """End everything; raises what went wrong meanwhile."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        for each in self.pods.values():
            each.end(0)
        for each in self.pods.values():
            each.join()
            self.faults += filter(None, [each.fault])
        if hasattr(self, "voice"):
            self.voice.close()
        shutil.rmtree(self._place, ignore_errors=True)
        assert not self.faults, self.faults

    def log(self, pod: Thing, lines: int, *, previous: bool, container: str = "") -> str | None:
        """Give the last lines of a pod's container, None while there is none."""
        found = self.pods.get(pod["metadata"]["uid"])
        return found.log(lines, container, previous=previous) if found else None

    def address(self, pod: Thing, number: int) -> tuple[str, int] | None:
        """Give where a port of a pod is reached from this machine."""
        found = self.pods.get(pod["metadata"]["uid"])
        return (found.address, number) if found and found.address else None

    def collect(self) -> None:
        """Throw away what no container runs, as kubelets do when their disk fills."""
        used = {each["ImageID"] for each in self.docker.api.containers(all=True)}
        for image in self.docker.images.list():
            # those without a tag were pulled by their digest; the others are the test's own
            if image.id not in used and not image.tags and image.attrs.get("RepoDigests"):
                self.docker.images.remove(image.id, force=True)

    def _work(self) -> None:
        while not self._end.wait(LOOKS):
            try:
                self._look()
            except urllib3.exceptions.HTTPError:
                continue  # the API is away; what runs goes on

    def _look(self) -> None:
        pods = {each["metadata"]["uid"]: each for each in self.voice.items("/api/v1/pods")
                if each["metadata"]["namespace"] in self.namespaces}  # fmt: skip
        for uid, pod in pods.items():
            if "deletionTimestamp" in pod["metadata"]:
                self._release(uid, pod)
            elif not pod["spec"].get("nodeName"):
                self._bind(pod)
            elif uid not in self.pods:
                place = self._place / uid
                self.pods[uid] = PodAtWork(
                    self.docker, self.voice, pod, place, self.claims, self.habits
                )
        for uid, at_work in list(self.pods.items()):
            if uid not in pods:
                at_work.end(0)  # taken out of the API by force
                if at_work.is_gone:
                    self._forget(uid)

    def _bind(self, pod: Thing) -> None:
        """Take a pod to this node, as the scheduler does."""
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/binding"
        self.voice.call("POST", path, {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        })  # fmt: skip

    def _release(self, uid: str, pod: Thing) -> None:
        """End a pod that is asked to go, and say so when it is gone."""
        meta = pod["metadata"]
        if uid in self.pods:
            self.pods[uid].end(float(meta.get("deletionGracePeriodSeconds", GRACE)))
            if not self.pods[uid].is_gone:
                return
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        self.voice.call("DELETE", path, {"gracePeriodSeconds": 0,
                                         "preconditions": {"uid": uid}})  # fmt: skip
        self._forget(uid)

    def _forget(self, uid: str) -> None:
        if gone := self.pods.pop(uid, None):
            gone.join()
            self.faults += filter(None, [gone.fault])
