"""A pod on a node: its containers on the engine in one network, and what the API is told of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import urllib3
from container_at_work import ContainerAtWork, Habits, Said
from kube_voice import KubeVoice, now
from pod_volumes import NotMounted, prepared

Thing = dict[str, Any]
LOOKS, CALM = 0.1, 0.5  # seconds between two looks at a pod, and at one that is ready
PAUSE = "waystage-pause:1"


class PodAtWork:
    """A pod from its start to its end, in a thread of its own."""

    def __init__(
        self, docker: Any, voice: KubeVoice, pod: Thing, place: Path, claims: Mapping[str, Path],
        habits: Habits,
    ) -> None:  # fmt: skip
        self.docker, self.voice, self.pod = docker, voice, pod
        meta = pod["metadata"]
        self.root = f"/api/v1/namespaces/{meta['namespace']}"
        self.path = f"{self.root}/pods/{meta['name']}"
        self.address, self.is_gone, self.fault = "", False, ""
        self.containers: list[ContainerAtWork] = []
        self._place, self._claims, self._habits = place, claims, habits
        self._sandbox = ""
        self._told: Thing = {}
        self._said: set[tuple[str, str, str]] = set()
        self._since: dict[str, tuple[bool, str]] = {}
        self._grace: float | None = None
        self._wake, self._begun = threading.Event(), now()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Have it end within so many seconds; it goes on in its own thread."""
        self._grace = seconds if self._grace is None else min(self._grace, seconds)
        self._wake.set()

    def join(self) -> None:
        """Wait until it is gone."""
        self._thread.join()

    def log(self, lines: int, container: str, *, previous: bool) -> str | None:
        """Give the last lines of a container, None while it has not started."""
        named = [each for each in self.containers if container in ("", each.name)]
        return named[0].log(lines, previous=previous) if named else None

    def _lookup(self, plural: str, name: str) -> Thing | None:
        return self.voice.find(f"{self.root}/{plural}/{name}")

    def _work(self) -> None:
        try:
            while self._grace is None:
                with suppress(urllib3.exceptions.HTTPError):  # a node waits for its API
                    self._turn()
                self._wake.wait(CALM if self._is_ready() else LOOKS)
            self._stop()
        except Exception as error:  # noqa: BLE001  # told to the test by the node's `close`
            self.fault = f"{type(error).__name__}: {error}"
        finally:
            self._clear()

    def _turn(self) -> None:
        said: Said = [] if self.containers else self._prepare()
        for each in self.containers:
            if self._grace is None:
                said += each.turn(self._sandbox, self.address)
        self._tell(said)

    def _prepare(self) -> Said:
        """Make volumes and network; what cannot be mounted is tried again."""
        try:
            volumes = prepared(self.pod, self._place, self._lookup, self._claims)
        except NotMounted as no:
            return [("Warning", "FailedMount", str(no))]
        meta = self.pod["metadata"]
        made = self.docker.containers.run(
            PAUSE, ["sleep", "2147483647"], detach=True,
            name=f"k8s_POD_{meta['name']}_{meta['uid']}", hostname=meta["name"][:63],
            labels={"io.kubernetes.pod.uid": meta["uid"]},
        )  # fmt: skip
        made.reload()
        self._sandbox, self.address = str(made.id), made.attrs["NetworkSettings"]["IPAddress"]
        self.pod["status"] = (self.pod.get("status") or {}) | {"podIP": self.address}
        self.containers = [
            ContainerAtWork(self.docker, self.pod, each, volumes, self._lookup, self._habits)
            for each in self.pod["spec"]["containers"]
        ]
        return []

    def _tell(self, said: Said) -> None:
        status = self._status()
        if status != self._told and self.voice.status(self.path, status):
            self._told = status
        for each in said:
            if each not in self._said:
                self._said.add(each)
                self.voice.event(self.root, self.pod, "Pod", each)

    def _is_ready(self) -> bool:
        return bool(self.containers) and all(each.is_ready for each in self.containers)

    def _status(self) -> Thing:
        ready = self._is_ready()
        phase, waiting = self._phase(), [{"name": each["name"], "image": each["image"],
            "imageID": "", "ready": False, "started": False, "restartCount": 0,
            "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {},
        } for each in self.pod["spec"]["containers"]]  # fmt: skip
        ended = phase in ("Succeeded", "Failed")
        told = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
        return {
            "phase": phase, "startTime": self._begun, "podIP": self.address,
            "podIPs": [{"ip": self.address}] if self.address else [],
            "conditions": [self._condition(kind, is_so, ended) for kind, is_so in told.items()],
            "containerStatuses": [each.status() for each in self.containers] or waiting,
        }  # fmt: skip

    def _condition(self, kind: str, is_so: bool, ended: bool) -> Thing:
        was, since = self._since.get(kind, (None, ""))
        since = since if was is is_so else now()
        self._since[kind] = (is_so, since)
        told: Thing = {"type": kind, "status": str(is_so), "lastTransitionTime": since}
        if not is_so:
            told["reason"] = "PodCompleted" if ended else "ContainersNotReady"
        return told

    def _phase(self) -> str:
        codes = [each.exit_code for each in self.containers]
        if codes and all(code is not None for code in codes):
            return "Failed" if any(codes) else "Succeeded"
        begun = [each.ids for each in self.containers]
        return "Running" if begun and all(begun) else "Pending"

    def _stop(self) -> None:
        threads = [threading.Thread(target=each.stop, args=(self._grace,))
                   for each in self.containers]  # fmt: skip
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def _clear(self) -> None:
        import docker.errors

        for each in self.containers:
            each.remove()
        if self._sandbox:
            try:
                self.docker.api.remove_container(self._sandbox, force=True, v=True)
            except docker.errors.APIError as error:
                self.fault = self.fault or str(error)
        shutil.rmtree(self._place, ignore_errors=True)
        self.is_gone = True
