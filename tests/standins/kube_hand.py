"""How the controllers of the stand-in change what its API keeps: as anybody, and under a name."""

from __future__ import annotations

import copy
import secrets
from datetime import UTC, datetime
from typing import Any

from kube_answers import Answered
from kube_store import Store

Thing = dict[str, Any]
Place = tuple[str, str, str]  # group, plural, namespace
NAME = "kube-controller-manager"


class Hand:
    """One namespace, as controllers see and change it."""

    def __init__(self, store: Store, namespace: str) -> None:
        self.store, self.namespace = store, namespace

    def all(self, group: str, plural: str) -> list[Thing]:
        """Give the objects of a kind."""
        return list(self.store.all(group, plural, self.namespace).values())

    def owned(self, group: str, plural: str, owner: Thing) -> list[Thing]:
        """Give the objects of a kind that this one controls, the oldest first."""
        uid = owner["metadata"]["uid"]
        return [
            each
            for each in self.all(group, plural)
            if any(o["uid"] == uid for o in each["metadata"].get("ownerReferences") or ())
        ]

    def create(self, group: str, plural: str, thing: Thing) -> Thing:
        """Make an object; raises `Answered`."""
        return self.store.create((group, plural, self.namespace), thing, NAME)

    def change(self, group: str, plural: str, thing: Thing, **parts: Any) -> Thing:
        """Change parts of an object where they are not so already; give what it is then."""
        if all(thing.get(name) == value for name, value in parts.items()):
            return thing
        made = copy.deepcopy(thing) | copy.deepcopy(parts)
        made["metadata"].pop("resourceVersion", None)
        part = "status" if set(parts) == {"status"} else ""
        return self.store.replace((group, plural, self.namespace), made, NAME, part)

    def delete(self, group: str, plural: str, thing: Thing) -> None:
        """Take an object away with what it owns."""
        self.store.delete((group, plural, self.namespace), thing["metadata"]["name"], {})

    def pod(self, owner: Thing, template: Thing, labels: dict[str, str], prefix: str) -> str:
        """Make a pod of a template; give why it was not let in."""
        pod = copy.deepcopy(template)
        meta = pod.setdefault("metadata", {})
        meta["generateName"] = f"{prefix}-"
        meta["labels"] = (meta.get("labels") or {}) | labels
        meta["ownerReferences"] = [reference(owner)]
        pod |= {"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Pending"}}
        try:
            self.create("", "pods", pod)
        except Answered as no:
            return str(no)
        return ""

    def warn(self, about: Thing, reason: str, message: str) -> None:
        """Note once what went wrong with an object."""
        meta = about["metadata"]
        for each in self.all("", "events"):
            if each["involvedObject"]["uid"] == meta["uid"] and each.get("message") == message:
                return
        self.create("", "events", {
            "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason,
            "metadata": {"name": f"{meta['name']}.{secrets.token_hex(8)}"}, "message": message,
            "involvedObject": {"kind": about["kind"], "name": meta["name"], "uid": meta["uid"],
                               "namespace": self.namespace, "apiVersion": about["apiVersion"]},
            "source": {"component": NAME}, "count": 1,
            "firstTimestamp": now(), "lastTimestamp": now(),
        })  # fmt: skip


def reference(owner: Thing) -> Thing:
    """Give how an object names the one that controls it."""
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True,
            "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": True}  # fmt: skip


def conditions(before: Thing, *wanted: Thing) -> list[Thing]:
    """Give conditions with the time since when each is as it is."""
    known = {each["type"]: each for each in (before.get("status") or {}).get("conditions") or ()}
    made = []
    for each in wanted:
        old = known.get(each["type"]) or {}
        same = {k: v for k, v in old.items() if not k.startswith("last")} == each
        changed = old.get("status") != each["status"]
        made.append(each | {
            "lastUpdateTime": old["lastUpdateTime"] if same else now(),
            "lastTransitionTime": now() if changed else old["lastTransitionTime"],
        })  # fmt: skip
    return made


def is_ready(pod: Thing) -> bool:
    """Whether a pod is ready and stays."""
    told = (pod.get("status") or {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in told)
    return ready and not is_going(pod)


def is_going(thing: Thing) -> bool:
    """Whether an object is being deleted."""
    return "deletionTimestamp" in thing["metadata"]


def now() -> str:
    """Give the present second as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(written: str) -> float:
    """Give the seconds that have passed since a time that the API wrote."""
    then = datetime.fromisoformat(written)
    return (datetime.now(UTC) - then).total_seconds()
