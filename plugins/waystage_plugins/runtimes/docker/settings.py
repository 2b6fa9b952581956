"""What a container may use and do, as a stage's file says it."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from waystage.plugin import Plugin
from waystage.plugin.values import Value
from waystage_plugins.runtimes.kubernetes.cluster import LABEL
from waystage_plugins.runtimes.kubernetes.names import OWNER

Thing = dict[str, Any]
MEMORY = r"^[0-9]+(b|k|m|g)$"
NOBODY = "65534:65534"
SETTINGS = "waystage.dev/settings"


class Limits(Value):
    """What a container may use at most."""

    cpus: float = Field(default=1.0, gt=0, le=1024)
    memory: str = Field(default="1g", pattern=MEMORY, description="swap is not given besides")
    processes: int = Field(default=512, ge=16, le=1_000_000)
    temporary: str = Field(default="256m", pattern=MEMORY, description="of /tmp, in memory")


class DockerPlace(Plugin):
    """The settings of whatever runs as a container."""

    engine: str = Field(
        default="", max_length=500, description="Docker's address, else as DOCKER_HOST says"
    )
    owner: str = Field(
        default="waystage", pattern=LABEL, description="label of what this project made"
    )
    limits: Limits = Limits()
    user: str = Field(
        default=NOBODY, pattern=r"^[0-9]{1,10}:[0-9]{1,10}$", description="user and group, numbers"
    )
    restart: Literal["unless-stopped", "on-failure", "no"] = Field(
        default="unless-stopped", description="by the engine, when it ends by itself"
    )
    network: str = Field(
        default="", pattern=r"^[A-Za-z0-9_.-]{0,64}$", description="default: the engine's bridge"
    )
    mounts: dict[str, str] = Field(
        default={}, description="read only: path in the container to path on the engine's machine"
    )

    def hardened(self) -> Thing:
        """Give what a container is made with, whatever runs in it: nothing that it does not need.

        The root file system is read only, there are no capabilities and no new privileges.
        """
        made: Thing = {
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "mem_limit": self.limits.memory,
            "memswap_limit": self.limits.memory,
            "nano_cpus": int(self.limits.cpus * 1e9),
            "pids_limit": self.limits.processes,
            "tmpfs": {"/tmp": f"size={self.limits.temporary},mode=1777"},  # noqa: S108  # in the container
            "restart_policy": {"Name": self.restart},
            "log_config": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        }
        if self.network:
            made["network_mode"] = self.network
        return made

    def mounted(self) -> list[Thing]:
        """Give the mounts that the settings ask for."""
        return [
            {"Type": "bind", "Source": place, "Target": target, "ReadOnly": True}
            for target, place in sorted(self.mounts.items())
        ]

    def is_ours(self, labels: Thing | None) -> bool:
        """Whether something with these labels was made by this project."""
        return (labels or {}).get(OWNER) == self.owner

    def engine_host(self) -> str:
        """Give the machine that published ports are on; empty for this one."""
        found = urlsplit(self.engine or os.environ.get("DOCKER_HOST", ""))
        return found.hostname or "" if found.scheme in ("tcp", "http", "https", "ssh") else ""


def fingerprint(told: Thing) -> str:
    """Give a few digits by which a container that was made otherwise is recognized."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
