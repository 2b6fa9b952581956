"""The address that a service keeps in a stage, whichever of its snapshots is behind it."""

from __future__ import annotations

from typing import Any

from waystage.plugin import JsonObject
from waystage_plugins.runtimes.kubernetes import manifests
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.runtimes.kubernetes.kinds import DEPLOYMENT, SERVICE
from waystage_plugins.runtimes.kubernetes.names import DEPLOYMENT_LABEL, ROLE_LABEL, labels_of

Thing = dict[str, Any]


def address(ref: JsonObject) -> Thing:
    """Give the Service of the service, leading to what a handle stands for."""
    labels = shared_labels(ref)
    grpc_port = int(str(ref.get("grpc_port") or 0))
    return manifests.service(
        str(ref["shared"]), labels, str(ref["name"]), int(str(ref["port"])), grpc_port
    )


def shared_labels(ref: JsonObject) -> dict[str, str]:
    """Give the labels of what all snapshots of a service in a stage share."""
    return labels_of(str(ref["service"]), str(ref["stage"]), str(ref["owner"]))


def target(api: Api, shared: str) -> str:
    """Give the name of the deployment that the address leads to, or nothing."""
    return leads_to(api.get(SERVICE, shared))


def leads_to(live: Thing | None) -> str:
    """Give the name of the deployment that a Service leads to, or nothing."""
    return str((live or {}).get("spec", {}).get("selector", {}).get(DEPLOYMENT_LABEL, ""))


def heir(api: Api, ref: JsonObject) -> str:
    """Give the champion that gets the requests when this deployment goes, or nothing.

    One that serves goes before one that does not, a later one before an earlier one.
    """
    found = api.list(DEPLOYMENT, shared_labels(ref) | {ROLE_LABEL: "champion"})
    others = [
        ((each.get("status") or {}).get("availableReplicas", 0) > 0,
         each["metadata"]["creationTimestamp"], each["metadata"]["name"])
        for each in found
        if each["metadata"]["name"] != ref["name"] and "deletionTimestamp" not in each["metadata"]
    ]  # fmt: skip
    return str(max(others)[2]) if others else ""
