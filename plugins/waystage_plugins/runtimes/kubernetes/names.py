"""Names and labels of what the runtimes make, from services, stages and snapshots."""

from __future__ import annotations

import hashlib
import re

from waystage.plugin import DeploySpec

MANAGER = "waystage"
OWNER = "waystage.dev/owner"
SERVICE_LABEL = "waystage.dev/service"
STAGE_LABEL = "waystage.dev/stage"
ROLE_LABEL = "waystage.dev/role"
DEPLOYMENT_LABEL = "waystage.dev/deployment"
KEY = "waystage.dev/key"
DIGEST = "waystage.dev/digest"
SNAPSHOT = "waystage.dev/snapshot"
RUN = "waystage.dev/run"
AUTOSCALED = "waystage.dev/autoscaled"  # of a Deployment: an autoscaler of ours has its pods
MANAGED = {"app.kubernetes.io/managed-by": MANAGER}
LONGEST_BASE = 40  # leaves room for what controllers put behind the names of pods


def short_hash(*parts: str, length: int = 8) -> str:
    """Give a few hexadecimal digits of these texts together."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]


def plain(text: str, longest: int = LONGEST_BASE) -> str:
    """Make a DNS label of a text; one that had to be changed gets a hash of what it was."""
    made = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if made == text.lower() and len(made) <= longest:
        return made
    return f"{made[: longest - 9].rstrip('-')}-{short_hash(text)}".lstrip("-")


def shared_name(service: str, stage: str) -> str:
    """Give the name of the address that a service keeps in a stage."""
    return "ws-" + plain(f"{service}-{stage.lower()}")


def version_name(spec: DeploySpec) -> str:
    """Give the name of everything that serves this snapshot in this role."""
    told = short_hash(spec.service, spec.stage, spec.snapshot.id, spec.snapshot.digest, spec.role)
    return f"{shared_name(spec.service, spec.stage)}-{told}"


def labels_of(service: str, stage: str, owner: str) -> dict[str, str]:
    """Give the labels by which everything of a service in a stage is found again."""
    return MANAGED | {
        OWNER: owner,
        SERVICE_LABEL: plain(service, 63),
        STAGE_LABEL: plain(stage, 63),
    }


def selector(labels: dict[str, str]) -> str:
    """Write labels as the API takes them in a query."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
