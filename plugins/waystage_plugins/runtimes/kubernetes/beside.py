"""The sidecar that tells the scoring log what a model server in the same pod answered."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from waystage.plugin.values import Value
from waystage_plugins.runtimes.kubernetes.cluster import LABEL
from waystage_plugins.runtimes.kubernetes.sizes import Resources

SIDECAR = "scoring-log"
JOURNAL, TOKEN = "/var/lib/waystage-sidecar", "/var/run/waystage"
TOKEN_KEY = "token"  # noqa: S105  # the key's name, no token
MEGABYTES_BESIDE = 50  # in the journal's volume, for what lies beside the journal

Thing = dict[str, Any]


class ScoringSidecar(Value):
    """A `waystage sidecar` in each pod: requests go through it, and it tells the scoring log."""

    sidecar: str = Field(description="an image with Waystage in it, by digest")
    daemon: str = Field(pattern=r"^https://\S+$", description="the daemon's address, with TLS")
    token_secret: str = Field(
        pattern=LABEL, description="the cluster's secret with the service's token, at key `token`"
    )
    port: int = Field(default=8502, ge=1024, le=65535, description="where requests come then")
    score: str = Field(default="", max_length=200, description="where the score is in an answer")
    columns: tuple[str, ...] = Field(
        default=(), max_length=1000, description="names of the values, where a row is one list"
    )
    journal_mb: int = Field(default=500, ge=1, le=100_000, description="how large it may become")
    resources: Resources = Resources(cpu="100m", memory="256Mi")

    @field_validator("sidecar")
    @classmethod
    def _by_digest(cls, image: str) -> str:
        if "@sha256:" not in image:
            raise ValueError("the image is named without its digest: write …@sha256:…")
        return image


def container(told: ScoringSidecar, about: dict[str, str], upstream: int, port: str) -> Thing:
    """Give the container; `about` has service, stage, snapshot and role, `port` is its name."""
    env = {
        "WAYSTAGE_SERVICE": about["service"], "WAYSTAGE_STAGE": about["stage"],
        "WAYSTAGE_SNAPSHOT_ID": about["snapshot"], "WAYSTAGE_ROLE": about["role"],
        "WAYSTAGE_URL": told.daemon, "WAYSTAGE_TOKEN_FILE": f"{TOKEN}/{TOKEN_KEY}",
        "WAYSTAGE_JOURNAL": JOURNAL, "WAYSTAGE_JOURNAL_MB": str(told.journal_mb),
        "WAYSTAGE_UPSTREAM": f"127.0.0.1:{upstream}", "WAYSTAGE_LISTEN": f"0.0.0.0:{told.port}",
        "WAYSTAGE_SCORE": told.score, "WAYSTAGE_COLUMNS": ",".join(told.columns),
    }  # fmt: skip
    return {
        "name": SIDECAR,
        "image": told.sidecar,
        "imagePullPolicy": "IfNotPresent",
        "command": ["waystage", "sidecar", "--log", "json"],
        "env": [{"name": name, "value": value} for name, value in env.items() if value],
        "ports": [{"name": port, "containerPort": told.port, "protocol": "TCP"}],
        "resources": {"requests": told.resources.requests, "limits": told.resources.limits},
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # in the container
            {"name": "journal", "mountPath": JOURNAL},
            {"name": "scoring-token", "mountPath": TOKEN, "readOnly": True},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/waystage/health", "port": port, "scheme": "HTTP"},
            "periodSeconds": 5, "timeoutSeconds": 3,
        },
        "livenessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 10, "failureThreshold": 6},
    }  # fmt: skip


def volumes(told: ScoringSidecar) -> list[Thing]:
    """Give the volumes of the container, besides those of the pod."""
    room = f"{told.journal_mb + MEGABYTES_BESIDE}M"
    return [
        {"name": "journal", "emptyDir": {"sizeLimit": room}},
        {"name": "scoring-token", "secret": {
            "secretName": told.token_secret,
            "items": [{"key": TOKEN_KEY, "path": TOKEN_KEY}],
        }},
    ]  # fmt: skip
