"""Who else changed what a runtime applied, by the record that the API keeps of fields."""

from __future__ import annotations

from typing import Any

from waystage_plugins.runtimes.kubernetes.manifests import CONTAINER
from waystage_plugins.runtimes.kubernetes.names import MANAGER

Thing = dict[str, Any]
IMAGE = (
    "f:spec", "f:template", "f:spec", "f:containers", f'k:{{"name":"{CONTAINER}"}}', "f:image",
)  # fmt: skip
REPLICAS = ("f:spec", "f:replicas")


def manager_of(thing: Thing, path: tuple[str, ...]) -> str:
    """Give who else has set a field, or nothing when it is ours or nobody's."""
    others = [
        str(entry.get("manager"))
        for entry in thing["metadata"].get("managedFields", ())
        if entry.get("manager") != MANAGER and _has(entry.get("fieldsV1") or {}, path)
    ]
    return ", ".join(sorted(set(others)))


def _has(fields: Thing, path: tuple[str, ...]) -> bool:
    found: Any = fields
    for step in path:
        if not isinstance(found, dict) or step not in found:
            return False
        found = found[step]
    return True


def deployment_change(live: Thing, image: str, replicas: int | None) -> str:
    """Say what somebody else made of a Deployment; empty when it is as it was applied."""
    containers = live["spec"]["template"]["spec"]["containers"]
    ours = next((each for each in containers if each["name"] == CONTAINER), None)
    if ours is None or len(containers) != 1:
        return "other containers were put into the Deployment"
    if ours["image"] != image:
        who = manager_of(live, IMAGE) or "somebody"
        return f"{who} changed the image to {ours['image']}"
    if replicas is not None and live["spec"].get("replicas") != replicas:
        who = manager_of(live, REPLICAS) or "somebody"
        return f"{who} changed the replicas to {live['spec'].get('replicas')}"
    return ""
