"""ImageStreams as OpenShift keeps them: tags that are named, and tags that pushes make."""

from __future__ import annotations

from typing import Any

from image_registry import Shelf
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
    """What OpenShift's registry does with a push to `<project>/<name>:<tag>`: an ImageStream."""

    def __init__(self, registry: Shelf, voice: KubeVoice) -> None:
        self.registry, self.voice = registry, voice

    def look(self, namespace: str) -> None:
        """Bring the ImageStreams of a project up to what the registry holds."""
        listed = self.registry.send("GET", "/v2/_catalog").json().get("repositories") or ()
        for path in listed:
            project, _, name = path.partition("/")
            if project == namespace and "/" not in name:
                self._follow(namespace, path, name)

    def _follow(self, namespace: str, path: str, name: str) -> None:
        root = f"/apis/{GROUP}/v1/namespaces/{namespace}/imagestreams"
        there = self.voice.find(f"{root}/{name}")
        if there is None:
            there = self.voice.call("POST", root, {
                "apiVersion": f"{GROUP}/v1", "kind": "ImageStream", "metadata": {"name": name},
            })  # fmt: skip
        known = {each["tag"]: each for each in (there.get("status") or {}).get("tags") or ()}
        for tag in self.registry.tags(path):
            found = self.registry.manifest(path, tag)
            if found is not None:
                image = f"{REGISTRY}/{path}"
                known[tag] = tagged(known.get(tag), tag, image, found["digest"])
        tags = [known[tag] for tag in sorted(known)]
        if tags != ((there.get("status") or {}).get("tags") or []):
            self.voice.status(f"{root}/{name}", {"tags": tags})
