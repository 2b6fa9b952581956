"""Who says how many pods a Deployment has: the settings, or an autoscaler."""

from __future__ import annotations

from typing import Any

from waystage_plugins.runtimes.kubernetes.foreign import only_scaled, owns_replicas
from waystage_plugins.runtimes.kubernetes.kinds import DEPLOYMENT, Kind
from waystage_plugins.runtimes.kubernetes.names import AUTOSCALED
from waystage_plugins.runtimes.kubernetes.sizes import Autoscale

Thing = dict[str, Any]


def handed_over(kind: Kind, manifest: Thing, live: Thing | None, asked: Autoscale | None) -> Thing:
    """Give the manifest with the number of pods that run, where an autoscaler is to have it.

    A field that is ours and is no longer applied falls back to its default: one pod. So the
    number stays applied until the autoscaler has changed it, and made it its own by that.
    """
    if kind != DEPLOYMENT or asked is None or live is None or not owns_replicas(live):
        return manifest
    number = min(max(int(live["spec"].get("replicas", 1)), asked.min), asked.max)
    return manifest | {"spec": manifest["spec"] | {"replicas": number}}


def taken_back(kind: Kind, live: Thing | None, asked: Autoscale | None) -> bool:
    """Say whether the number of pods may be taken by force: only an autoscaler of ours had it."""
    if kind != DEPLOYMENT or asked is not None or live is None:
        return False
    return AUTOSCALED in live["metadata"].get("annotations", {}) and only_scaled(live)
