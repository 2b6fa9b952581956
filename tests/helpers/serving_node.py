"""A cluster's node and router that do their work: images are pulled and served, Routes lead there.

`Kubelet` plays a node by what a test plans. This one takes the image of each pod out of the
registry by its digest, unpacks it, and starts the model server on what it finds there, with
TensorFlow: a process for each image, whatever pods share it. A pod is ready when its model is.
Every Route gets an address of its own that passes requests on to the pods of its Service. What
runs in the place of the image's own program is `tf_server.py`, in no container.
"""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.request
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from image_registry import Shelf
from kubelet import Kubelet
from saved_models import PLACE
from with_parent import end_with_parent

import waystage
import waystage_plugins

Thing = dict[str, Any]
HERE = Path(__file__).parent
LOOKS = 0.2  # seconds between two looks at all pods: models take longer to load
TENSORFLOW = PLACE / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


class Served:
    """An image that was unpacked, and the model server on it."""

    def __init__(self, place: Path, settings: dict[str, str]) -> None:
        self.rest, grpc = free_port(), free_port()
        packages = [
            HERE,
            *{Path(p.__file__ or "").parents[1] for p in (waystage, waystage_plugins)},
        ]
        environment = os.environ | settings | {
            "MODEL_BASE_PATH": str(place) + settings["MODEL_BASE_PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, [*packages, TENSORFLOW])),
            "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "",
        }  # fmt: skip
        with (place / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", str(HERE / "tf_server.py"),
                 f"--port={grpc}", f"--rest_api_port={self.rest}"],
                env=environment, stdout=log, stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # one system call, no lock is taken
            )  # fmt: skip

    def answers(self, path: str) -> bool:
        """Whether a GET there is answered with 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}{path}", timeout=10) as told:
                return bool(told.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


class ServingNode(Kubelet):
    """The node; in the namespaces of `broken` every pod crashes that does not run already."""

    def __init__(self, registry: Shelf) -> None:
        super().__init__()
        self.registry = registry
        self.routes_lead_here = False  # each Route has an address of its own instead
        self.broken: set[str] = set()
        self.served: dict[str, Served] = {}
        self.routers: dict[str, ThreadingHTTPServer] = {}
        self._targets: dict[str, int] = {}

    def close(self) -> None:
        """End everything."""
        super().close()
        for router in self.routers.values():
            router.shutdown()
            router.server_close()
        for each in self.served.values():
            each.process.send_signal(signal.SIGKILL)
            each.process.wait()

    def port(self, pod: Thing, number: int) -> int | None:
        """Give where a port of a pod is on this machine."""
        found = self.served.get(_image(pod))
        return found.rest if found is not None and number == 8501 else None

    def _work(self) -> None:
        while not self._end.wait(LOOKS):
            for namespace in self.namespaces:
                self._look(f"/api/v1/namespaces/{namespace}", namespace)

    def _plan_of_image(self, pod: Thing) -> str:
        runs = self.seen.get(pod["metadata"]["uid"]) == "run"
        broken = pod["metadata"]["namespace"] in self.broken and not runs
        return "crash" if broken else super()._plan_of_image(pod)

    def _give(self, path: str, root: str, pod: Thing, plan: str) -> None:
        if plan == "run" and not self._ready(pod):
            self.seen.pop(pod["metadata"]["uid"])  # it is looked at again
            return
        super()._give(path, root, pod, plan)

    def _ready(self, pod: Thing) -> bool:
        """Start the pod's image unless it runs; say whether its readiness probe is answered."""
        image = _image(pod)
        if image not in self.served:
            place = self.place / f"image-{len(self.served)}"
            self.served[image] = Served(place, self._pull(image, place))
        (container,) = pod["spec"]["containers"]
        return self.served[image].answers(container["readinessProbe"]["httpGet"]["path"])

    def _pull(self, image: str, place: Path) -> dict[str, str]:
        """Unpack the layers of an image; give its environment."""
        name, _, digest = image.partition("@")
        path = name.partition("/")[2]
        found = self.registry.manifest(path, digest)
        assert found is not None, f"the registry has no {image}"
        assert found["digest"] == digest
        for layer in found["layers"]:
            raw = self.registry.blob(path, layer["digest"])
            with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
                archive.extractall(place, filter="data")
        pairs = (each.split("=", 1) for each in self.registry.config(path, digest)["config"]["Env"])
        return dict(pairs)

    def _look(self, root: str, namespace: str) -> None:
        super()._look(root, namespace)
        routes = f"/apis/route.openshift.io/v1/namespaces/{namespace}/routes"
        pods: list[Thing] = []
        for route in self.call("GET", routes).get("items", ()):
            name = f"{namespace}/{route['metadata']['name']}"
            pods = pods or self.call("GET", f"{root}/pods").get("items", [])
            self._targets[name] = self._led_to(root, route, pods)
            if "ingress" not in route.get("status", {}):
                admitted = [{"type": "Admitted", "status": "True"}]
                status = {"ingress": [{"host": self._router(name), "conditions": admitted}]}
                self._status(f"{routes}/{route['metadata']['name']}", status)

    def _led_to(self, root: str, route: Thing, pods: list[Thing]) -> int:
        """Give the port of a pod that the Route's Service selects, 0 while there is none."""
        service = self.call("GET", f"{root}/services/{route['spec']['to']['name']}")
        wanted = service.get("spec", {}).get("selector", {})
        for pod in pods:
            labels = pod["metadata"].get("labels", {})
            if wanted and wanted.items() <= labels.items() and _image(pod) in self.served:
                return self.served[_image(pod)].rest
        return 0

    def _router(self, name: str) -> str:
        """Begin to listen for a Route; give its host and port."""
        target = partial(self._targets.get, name, 0)
        handler = type("Router", (Passing,), {"target": staticmethod(target)})
        self.routers[name] = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.routers[name].daemon_threads = True
        threading.Thread(target=self.routers[name].serve_forever, args=(0.02,), daemon=True).start()
        return f"127.0.0.1:{self.routers[name].server_port}"


class Passing(BaseHTTPRequestHandler):
    """Passes a request on to where the Route leads."""

    target: Any = None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = f"http://127.0.0.1:{self.target()}{self.path}"
        asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=300) as told:
                status, content = told.status, told.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        except OSError as error:  # as a router says it when no pod answers
            status, content = 503, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None: ...


def free_port() -> int:
    """Give a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _image(pod: Thing) -> str:
    return str(pod["spec"]["containers"][0]["image"])
