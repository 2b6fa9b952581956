"""One container of a pod on a Docker engine: pulled, started, probed, started anew, ended."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kube_voice import now
from pod_container import Lookup, NotMade, settings_of
from pod_probes import Health

Thing = dict[str, Any]
Said = list[tuple[str, str, str]]  # type, reason and message of events
LONGEST_WAIT = 30  # times the first wait between two starts


@dataclass
class Habits:
    """How a node treats containers, and how fast: tests have no five minutes."""

    backoff: float = 0.5  # seconds before what failed twice is tried again; a kubelet waits 10
    hurry: float = 5.0  # so many times shorter are the times between two probes
    # of this machine, read only, where the image's name has this word: what a small base lacks
    mounted: Mapping[str, str] = field(default_factory=dict)
    mounted_into: str = ""


class ContainerAtWork:
    """What becomes of a container; `turn` does what is due, and the rest is what to tell of it."""

    def __init__(
        self, docker: Any, pod: Thing, told: Thing, volumes: Mapping[str, Path], lookup: Lookup,
        habits: Habits,
    ) -> None:  # fmt: skip
        self.docker, self.pod, self.told, self.volumes = docker, pod, told, volumes
        self.lookup, self.habits, self.name = lookup, habits, told["name"]
        self.state: Thing = {"waiting": {"reason": "ContainerCreating"}}
        self.last: Thing = {}
        self.ids: list[str] = []  # of the engine's containers, the newest at the end
        self.restarts, self.image_id, self.sandbox = 0, "", ""
        self.health = Health(told, habits.hurry)
        self._due, self._wait = 0.0, habits.backoff

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return "running" in self.state

    @property
    def is_ready(self) -> bool:
        """Whether its probes let requests come."""
        return self.is_running and self.health.ready

    @property
    def exit_code(self) -> int | None:
        """How it ended for good, None if it did not."""
        return self.state["terminated"]["exitCode"] if "terminated" in self.state else None

    def status(self) -> Thing:
        """Give what the API is told of it."""
        return {
            "name": self.name, "image": self.told["image"], "imageID": self.image_id,
            "containerID": f"docker://{self.ids[-1]}" if self.ids else "",
            "ready": self.is_ready,
            "started": self.is_running and self.health.started,
            "restartCount": self.restarts, "state": self.state, "lastState": self.last,
        }  # fmt: skip

    def turn(self, sandbox: str, address: str) -> Said:
        """Do what is due; give what happened."""
        self.sandbox = sandbox
        if self.is_running:
            return self._watch(address)
        if self.exit_code is not None:
            return []
        if time.monotonic() < self._due:
            self._back_off()
            return []
        return self._begin()

    def stop(self, seconds: float) -> None:
        """Have it end: first asked by the hook and a signal, then made to."""
        if not self.is_running:
            return
        found = self.docker.containers.get(self.ids[-1])
        hook = (self.told.get("lifecycle") or {}).get("preStop") or {}
        until = time.monotonic() + seconds
        if "exec" in hook:
            found.exec_run(hook["exec"]["command"])
        if "sleep" in hook:
            time.sleep(min(float(hook["sleep"]["seconds"]), seconds))
        found.stop(timeout=max(0, int(until - time.monotonic())))

    def remove(self) -> None:
        """Take all of it off the engine."""
        import docker.errors

        for each in self.ids:
            try:
                self.docker.api.remove_container(each, force=True, v=True)
            except docker.errors.NotFound:
                continue

    def log(self, lines: int, *, previous: bool) -> str | None:
        """Give the last lines that it printed, None while it has not started."""
        at = -2 if previous and "waiting" not in self.state else -1
        if len(self.ids) < -at:
            return None
        text: bytes = self.docker.containers.get(self.ids[at]).logs(tail=lines)
        return text.decode(errors="replace")

    def _begin(self) -> Said:
        said: Said = []
        try:
            said += self._pull()
            made = self._make()
        except NotMade as no:
            self._waits(no.reason, str(no))
            pulled = f'Failed to pull image "{self.told["image"]}"'
            what = pulled if no.reason == "ErrImagePull" else "Error"
            return [*said, ("Warning", "Failed", f"{what}: {no}")]
        self.ids.append(made)
        for old in self.ids[:-2]:  # the one before is kept for its log
            self.docker.api.remove_container(old, force=True, v=True)
        self.ids = self.ids[-2:]
        self.health = Health(self.told, self.habits.hurry)
        self.state = {"running": {"startedAt": now()}}
        return [*said, ("Normal", "Started", f"Started container {self.name}")]

    def _pull(self) -> Said:
        """Have the engine get the image, by as many ways as the pod has secrets."""
        import docker.errors

        image = self.told["image"]
        try:
            found = self.docker.images.get(image)
            if self.told.get("imagePullPolicy") != "Always":
                self._came_as(found)
                return []
        except docker.errors.ImageNotFound:
            pass
        if self.told.get("imagePullPolicy") == "Never":
            raise NotMade("ErrImageNeverPull", f'Container image "{image}" is not present')
        why = ""
        for login in [*_logins(self.pod, image, self.lookup), {}]:
            try:
                self._came_as(self.docker.images.pull(image, auth_config=login))
                return [("Normal", "Pulled", f'Successfully pulled image "{image}"')]
            except (docker.errors.APIError, docker.errors.NotFound) as error:
                why = why or str(error.explanation or error)
        raise NotMade("ErrImagePull", f"rpc error: code = Unknown desc = {why}")

    def _came_as(self, found: Any) -> None:
        path, _, name = self.told["image"].partition("@")[0].rpartition("/")
        own = f"{path}/{name.partition(':')[0]}@"
        digests = [e for e in found.attrs.get("RepoDigests") or () if e.startswith(own)]
        self.image_id = f"docker-pullable://{digests[0]}" if digests else f"docker://{found.id}"
        self._user = (found.attrs.get("Config") or {}).get("User") or ""

    def _make(self) -> str:
        import docker.errors

        given = settings_of(self.pod, self.told, self._user, self.volumes, self.lookup)
        if self.habits.mounted_into in self.told["image"]:
            own = {k: {"bind": v, "mode": "ro"} for k, v in self.habits.mounted.items()}
            given["volumes"] = own | given["volumes"]
        meta = self.pod["metadata"]
        labels = {"io.kubernetes.pod.name": meta["name"], "io.kubernetes.pod.uid": meta["uid"],
                  "io.kubernetes.container.name": self.name}  # fmt: skip
        name = f"k8s_{self.name}_{meta['name']}_{meta['uid']}_{self.restarts}"
        try:
            made = self.docker.containers.create(
                self.told["image"], name=name, labels=labels,
                network_mode=f"container:{self.sandbox}", **given,
            )  # fmt: skip
        except docker.errors.APIError as error:
            raise NotMade("CreateContainerError", str(error.explanation)) from error
        try:
            made.start()
        except docker.errors.APIError as error:
            made.remove(force=True, v=True)
            raise NotMade("RunContainerError", str(error.explanation)) from error
        return str(made.id)

    def _watch(self, address: str) -> Said:
        found = self.docker.containers.get(self.ids[-1])
        if found.status == "running":
            failed = self.health.look(address, lambda words: int(found.exec_run(words).exit_code))
            said: Said = [("Warning", "Unhealthy", each) for each in failed]
            if self.health.dead:
                told = f"Container {self.name} failed {self.health.dead} probe, will be restarted"
                self.stop(float(self.pod["spec"].get("terminationGracePeriodSeconds", 30)))
                said.append(("Normal", "Killing", told))
            return said
        return self._ended(found.attrs["State"])

    def _ended(self, state: Thing) -> Said:
        code = int(state["ExitCode"])
        reason = "OOMKilled" if state["OOMKilled"] else "Error" if code else "Completed"
        ended = {
            "exitCode": code, "reason": reason, "containerID": f"docker://{self.ids[-1]}",
            "startedAt": state["StartedAt"], "finishedAt": state["FinishedAt"],
        }  # fmt: skip
        policy = self.pod["spec"].get("restartPolicy", "Always")
        if policy == "Never" or (policy == "OnFailure" and not code):
            self.state = {"terminated": ended}
            return []
        self.last = {"terminated": ended}
        self.restarts += 1
        if self.restarts == 1:  # the first time it is started anew at once
            self.state, self._due = {"terminated": ended}, 0.0
            return self._begin()
        meta = self.pod["metadata"]
        which = f"container={self.name} pod={meta['name']}"
        self._waits("CrashLoopBackOff", f"back-off {self._wait:g}s restarting failed {which}")
        return [("Warning", "BackOff", f"Back-off restarting failed container {self.name}")]

    def _waits(self, reason: str, message: str) -> None:
        self.state = {"waiting": {"reason": reason, "message": message}}
        self._due = time.monotonic() + self._wait
        self._wait = min(self._wait * 2, self.habits.backoff * LONGEST_WAIT)

    def _back_off(self) -> None:
        """Tell a pull that failed as one that waits, as the kubelet does a moment later."""
        waiting = self.state.get("waiting") or {}
        if waiting.get("reason") == "ErrImagePull":
            image = self.told["image"]
            told = f'Back-off pulling image "{image}": ErrImagePull: {waiting["message"]}'
            self.state = {"waiting": {"reason": "ImagePullBackOff", "message": told}}


def _logins(pod: Thing, image: str, lookup: Lookup) -> list[dict[str, str]]:
    """Give what the pod's secrets say for the registry of an image."""
    host, found = image.partition("/")[0], []
    for each in pod["spec"].get("imagePullSecrets") or ():
        secret = lookup("secrets", each["name"])
        raw = ((secret or {}).get("data") or {}).get(".dockerconfigjson")
        told = json.loads(base64.b64decode(raw)).get("auths", {}).get(host) if raw else None
        if told:
            user, _, word = base64.b64decode(told["auth"]).decode().partition(":")
            found.append({"username": user, "password": word})
    return found
