"""ImageStreams as OpenShift keeps them: tags that are named, and tags that pushes make."""

from __future__ import annotations

import json
import threading
from collections.abc import Container
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kube_hand import Hand, now
from kube_voice import KubeVoice

Thing = dict[str, Any]
GROUP = "image.openshift.io"
REGISTRY = "image-registry.openshift-image-registry.svc:5000"


def keep_stream(hand: Hand, thing: Thing) -> None:
    """Tell the image of each tag that is named by its digest; other tags wait for an import."""
    status = dict(thing.get("status") or {})
    known = {each["tag"]: each for each in status.get("tags") or ()}
    for each in (thing.get("spec") or {}).get("tags") or ():
        image, _, digest = str((each.get("from") or {}).get("name", "")).partition("@")
        if digest:
            known[each["name"]] = tagged(known.get(each["name"]), each["name"], image, digest)
    name = thing["metadata"]["name"]
    status["dockerImageRepository"] = f"{REGISTRY}/{hand.namespace}/{name}"
    status["tags"] = [known[name] for name in sorted(known)]
    hand.change(GROUP, "imagestreams", thing, status=status)


def tagged(before: Thing | None, tag: str, image: str, digest: str) -> Thing:
    """Give a tag of a status with this image at its head, and those before it behind."""
    items = list((before or {}).get("items") or ())
    if not items or items[0]["image"] != digest:
        number = 1 + max((int(each["generation"]) for each in items), default=0)
        items.insert(0, {"created": now(), "dockerImageReference": f"{image}@{digest}",
                         "image": digest, "generation": number})  # fmt: skip
    return {"tag": tag, "items": items}


class Pushes:
    """What OpenShift's registry does with a push to `<project>/<name>:<tag>`: an ImageStream.

    A registry tells its pushes to `url`, by the notifications of the Distribution project. Those
    to no project of the cluster are of no interest to it.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._voice: KubeVoice | None = None
        self._projects: Container[str] = ()
        self._lock = threading.Lock()
        handler = type("Heard", (_Hearing,), {"pushes": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def begin(self, voice: KubeVoice, projects: Container[str]) -> None:
        """Keep the ImageStreams of these projects."""
        self._voice, self._projects = voice, projects

    def close(self) -> None:
        """Hear nothing any more; raises what went wrong meanwhile."""
        self._server.shutdown()
        self._server.server_close()
        if self._voice is not None:
            self._voice.close()
        assert not self.faults, self.faults

    def heard(self, event: Thing) -> None:
        """Take one event of a registry in."""
        target = event["target"]
        project, _, name = target["repository"].partition("/")
        is_image = event["action"] == "push" and target.get("tag")  # blobs have no tag
        if self._voice is not None and is_image and project in self._projects and "/" not in name:
            with self._lock:
                self._follow(self._voice, project, name, target["tag"], target["digest"])

    def _follow(self, voice: KubeVoice, project: str, name: str, tag: str, digest: str) -> None:
        root = f"/apis/{GROUP}/v1/namespaces/{project}/imagestreams"
        there = voice.find(f"{root}/{name}") or voice.call("POST", root, {
            "apiVersion": f"{GROUP}/v1", "kind": "ImageStream", "metadata": {"name": name},
        })  # fmt: skip
        known = {each["tag"]: each for each in (there.get("status") or {}).get("tags") or ()}
        known[tag] = tagged(known.get(tag), tag, f"{REGISTRY}/{project}/{name}", digest)
        voice.status(f"{root}/{name}", {"tags": [known[each] for each in sorted(known)]})


class _Hearing(BaseHTTPRequestHandler):
    """Takes what a registry tells."""

    pushes: Pushes

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            for event in told["events"]:
                self.pushes.heard(event)
        except Exception as error:  # noqa: BLE001  # told to the test by `close`
            self.pushes.faults.append(f"{type(error).__name__}: {error}")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...
