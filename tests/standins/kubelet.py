"""Plays the part of a cluster's node: gives pods the status that a test wants, runs jobs.

It speaks to the API as anybody, so that it serves a stand-in and a real API server alike.
What images do is told by `plans`: a word in the image's name to what becomes of its pods.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import urllib3

Thing = dict[str, Any]
OTHER = "sha256:" + "f" * 64
NO_MODEL = "Could not find base path /models/credit-risk for servable credit-risk"
UNREADY = "Readiness probe failed: HTTP probe failed with statuscode: 404"
DENIED = "Failed to pull image: unauthorized: authentication required"


Inputs = dict[str, tuple[str, list[int]]]  # by name: type and shape
PLAIN: Inputs = {
    "income": ("DT_FLOAT", [-1]), "children": ("DT_INT64", [-1]), "purpose": ("DT_STRING", [-1]),
}  # fmt: skip
SMALL: Inputs = {"income": ("DT_FLOAT", [-1]), "owner": ("DT_BOOL", [-1])}  # of `saved_models`


class ModelServer(BaseHTTPRequestHandler):
    """TensorFlow Serving's REST protocol for a model that adds up what it gets."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    probes: ClassVar[list[str]] = []
    answer: ClassVar[tuple[int, str] | None] = None  # instead of scores
    inputs: ClassVar[Inputs | None] = PLAIN  # of the signature; a model without one has none

    def do_GET(self) -> None:
        """Tell the signature, as it is written in a SavedModel."""
        told = {
            name: {"dtype": kind, "tensor_shape": {"unknown_rank": False, "dim": [
                {"size": str(size), "name": ""} for size in shape]}}
            for name, (kind, shape) in (self.inputs or {}).items()
        }  # fmt: skip
        own = {"inputs": told, "outputs": {}, "method_name": "tensorflow/serving/predict"}
        named = {"serving_default": own} if self.inputs is not None else {}
        self._say(200, json.dumps({"metadata": {"signature_def": {"signature_def": named}}}))

    def do_POST(self) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"]
        type(self).probes.append(str(self.headers.get("X-Waystage-Probe")))
        if self.answer is not None:
            return self._say(*self.answer)
        if wrong := next(filter(None, map(self._misfit, rows)), None):
            return self._say(400, json.dumps({"error": wrong}))
        numbers = [[v for each in row.values() for v in _numbers(each)] for row in rows]
        scores = [[1 - p, p] for p in (min(sum(each) / 10, 1.0) for each in numbers)]
        return self._say(200, json.dumps({"predictions": scores}))

    def _misfit(self, row: Any) -> str:
        wanted = self.inputs or {}
        if other := next((name for name in row if name not in wanted), None):
            return f"JSON object: does not have named input: {other}"
        for name, (_, shape) in wanted.items():
            given = row[name]
            if isinstance(given, list) != (len(shape) == 2) or (
                isinstance(given, list) and shape[1] not in (-1, len(given))
            ):
                return f"input {name} must have shape {shape}"
        return ""

    def _say(self, status: int, text: str) -> None:
        known = self.path.startswith("/v1/models/credit-risk")
        body, status = text.encode(), status if known else 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


def _numbers(given: Any) -> list[float]:
    values = given if isinstance(given, list) else [given]
    return [float(each) for each in values if isinstance(each, int | float)]


class Kubelet:
    """A node. `begin` starts it, `close` ends it and every job that it runs."""

    def __init__(self) -> None:
        self.plans: dict[str, str] = {}
        self.routes_lead_here = True
        self.refuse_routes = ""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), ModelServer)
        self.server.daemon_threads = True
        self.logs: dict[str, Path] = {}
        self.seen: dict[str, str] = {}  # what was done to a pod, by its uid
        self.jobs: dict[str, subprocess.Popen[bytes]] = {}
        self.place = Path(tempfile.mkdtemp(prefix="waystage-kubelet-"))
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self.server.serve_forever, args=(0.02,))]
        self._threads[0].start()
        self.node_name = ""  # of a node that pods are bound to, where the API wants one

    def begin(self, url: str, token: str, namespaces: list[str], ca: Path) -> None:
        """Look after the pods of these namespaces."""
        self.url, self.token, self.namespaces = url, token, namespaces
        self.http = urllib3.PoolManager(ca_certs=str(ca))
        self._threads.append(threading.Thread(target=self._work))
        self._threads[-1].start()

    def close(self) -> None:
        """End everything."""
        self._end.set()
        self.server.shutdown()
        self.server.server_close()
        for each in self._threads:
            each.join()
        for job in self.jobs.values():
            _kill(job)
        if hasattr(self, "http"):
            self.http.clear()

    def log(self, pod: Thing, lines: int, *, previous: bool) -> str | None:
        """Give the last lines of a pod's container, None while there is none."""
        plan = self._plan(pod)
        if plan == "no model":
            text = f"starting\n{NO_MODEL}\n"
        elif plan == "crash":
            text = "starting\nImportError: no module named scoring\n"
        elif pod["metadata"]["uid"] in self.logs:
            text = self.logs[pod["metadata"]["uid"]].read_text()
        else:
            return "serving\n" if self.seen.get(pod["metadata"]["uid"]) else None
        return "".join(text.splitlines(keepends=True)[-lines:])

    def port(self, pod: Thing, number: int) -> int | None:
        """Give where a port of a pod is on this machine."""
        return self.server.server_port if number == 8501 else None

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Speak to the API as one who may do everything; give what it answers."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind,
                   "User-Agent": "kubelet"}  # fmt: skip
        sent = None if body is None else json.dumps(body)
        answer = self.http.request(method, self.url + path, body=sent, headers=headers, retries=5)
        return json.loads(answer.data)

    def _work(self) -> None:
        while not self._end.wait(0.02):
            try:
                for namespace in self.namespaces:
                    self._look(f"/api/v1/namespaces/{namespace}", namespace)
            except urllib3.exceptions.HTTPError:
                continue  # the API is away; a node waits for it

    def _look(self, root: str, namespace: str) -> None:
        pods = self.call("GET", f"{root}/pods").get("items", ())
        for pod in pods:
            self._pod(root, pod)
        present = {pod["metadata"]["uid"] for pod in pods}
        for uid, job in self.jobs.items():
            if uid not in present and job.poll() is None:
                _kill(job)
        if not self.routes_lead_here:
            return
        routes = f"/apis/route.openshift.io/v1/namespaces/{namespace}/routes"
        for route in self.call("GET", routes).get("items", ()):
            if "ingress" not in route.get("status", {}):
                host = f"127.0.0.1:{self.server.server_port}"
                admitted = [{"type": "Admitted", "status": "True"}]
                if self.refuse_routes:
                    admitted = [{"type": "Admitted", "status": "False", "message": "taken",
                                 "reason": self.refuse_routes}]  # fmt: skip
                status = {"ingress": [{"host": host, "conditions": admitted}]}
                self._status(f"{routes}/{route['metadata']['name']}", status)

    def _pod(self, root: str, pod: Thing) -> None:
        path = f"{root}/pods/{pod['metadata']['name']}"
        if "deletionTimestamp" in pod["metadata"]:
            self.call("DELETE", path, {"gracePeriodSeconds": 0})
            return
        uid, plan = pod["metadata"]["uid"], self._plan(pod)
        if plan == "job":
            self._run(path, pod)
        elif self.seen.get(uid) != plan:
            self.seen[uid] = plan
            self._bind(path, pod)
            self._give(path, root, pod, plan)

    def _plan(self, pod: Thing) -> str:
        if pod["spec"].get("restartPolicy") == "Never":
            return "job"
        return self._plan_of_image(pod)

    def _plan_of_image(self, pod: Thing) -> str:
        image = pod["spec"]["containers"][0]["image"]
        return next((plan for word, plan in self.plans.items() if word in image), "run")

    def _bind(self, path: str, pod: Thing) -> None:
        if self.node_name and not pod["spec"].get("nodeName"):
            target = {"kind": "Node", "name": self.node_name, "apiVersion": "v1"}
            self.call("POST", f"{path}/binding", {"apiVersion": "v1", "kind": "Binding",
                      "metadata": {"name": pod["metadata"]["name"]}, "target": target})  # fmt: skip

    def _give(self, path: str, root: str, pod: Thing, plan: str) -> None:
        if plan == "wait":
            return
        if plan == "unschedulable":
            told = "0/3 nodes are available: 3 Insufficient memory."
            self._status(path, {"conditions": [{"type": "PodScheduled", "status": "False",
                         "reason": "Unschedulable", "message": told}]})  # fmt: skip
            return
        container = pod["spec"]["containers"][0]
        state: Thing = {"name": container["name"], "image": container["image"], "ready": False,
                        "restartCount": 0, "imageID": ""}  # fmt: skip
        if plan == "unauthorized":
            told = 'Back-off pulling image "x"'
            state["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": told}}
            self._event(root, pod, "Failed", DENIED)
        elif plan == "no model":
            state |= {"state": {"running": {}}, "started": True,
                      "imageID": container["image"]}  # fmt: skip
            self._event(root, pod, "Unhealthy", UNREADY)
        elif plan in ("crash", "out of memory"):
            why = "OOMKilled" if plan == "out of memory" else "Error"
            state["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
            state["lastState"] = {"terminated": {"exitCode": 1, "reason": why}}
        else:
            name, _, digest = container["image"].partition("@")
            running = OTHER if plan == "other image" else digest
            state |= {"ready": True, "started": True, "imageID": f"{name}@{running}",
                      "state": {"running": {}}}  # fmt: skip
        ready = "True" if state["ready"] else "False"
        self._status(path, {
            "phase": "Running" if state["ready"] else "Pending",
            "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [state],
        })  # fmt: skip

    def _run(self, path: str, pod: Thing) -> None:
        uid = pod["metadata"]["uid"]
        job = self.jobs.get(uid)
        if job is None:
            if self._plan_of_image(pod) != "run":
                if self.seen.get(uid) != "given":
                    self.seen[uid] = "given"
                    self._give(path, path.rpartition("/pods/")[0], pod, self._plan_of_image(pod))
                return
            self._bind(path, pod)
            self._start(pod)
            self._status(path, {"phase": "Running", "containerStatuses": [_container(pod, None)]})
        elif job.poll() is not None and self.seen.get(uid) != "ended":
            self.seen[uid] = "ended"
            code = job.returncode
            self._status(path, {
                "phase": "Failed" if code else "Succeeded",
                "containerStatuses": [_container(pod, code)],
            })  # fmt: skip

    def _start(self, pod: Thing) -> None:
        container, uid = pod["spec"]["containers"][0], pod["metadata"]["uid"]
        given: dict[str, str] = {}
        for each in container.get("env", ()):
            given[each["name"]] = _expanded(each["value"], given)
        words = [_expanded(word, given) for word in container["command"]]
        self.logs[uid] = self.place / f"{uid}.log"
        with self.logs[uid].open("wb") as log:
            self.jobs[uid] = subprocess.Popen(
                words, env={"PATH": os.environ["PATH"]} | given, cwd="/tmp",
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _status(self, path: str, status: Thing) -> None:
        self.call("PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json")

    def _event(self, root: str, pod: Thing, reason: str, message: str) -> None:
        meta = pod["metadata"]
        about = {"kind": "Pod", "uid": meta["uid"], "name": meta["name"],
                 "namespace": meta.get("namespace")}  # fmt: skip
        self.call("POST", f"{root}/events", {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{meta['name']}.failed"},
            "involvedObject": about, "reason": reason, "message": message, "type": "Warning",
            "lastTimestamp": "2026-01-05T09:00:00Z", "firstTimestamp": "2026-01-05T09:00:00Z",
        })  # fmt: skip


def _expanded(text: str, given: dict[str, str]) -> str:
    """Fill in `$(NAME)` as Kubernetes does: unknown ones stay, `$$(` is a dollar."""
    return re.sub(
        r"\$(\$)?\((\w+)\)", lambda m: f"$({m[2]})" if m[1] else given.get(m[2], m[0]), text
    )


def _container(pod: Thing, code: int | None) -> Thing:
    container = pod["spec"]["containers"][0]
    state: Thing = {"running": {}}
    if code is not None:
        state = {"terminated": {"exitCode": code if code >= 0 else 128 - code}}
    return {"name": container["name"], "image": container["image"], "imageID": container["image"],
            "ready": code is None, "restartCount": 0, "state": state}  # fmt: skip


def _kill(job: subprocess.Popen[bytes]) -> None:
    if job.poll() is None:
        os.killpg(job.pid, signal.SIGKILL)
    job.wait()
