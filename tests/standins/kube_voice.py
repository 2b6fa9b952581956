"""Speaks to a Kubernetes API as a part of the cluster that may do everything."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3

Thing = dict[str, Any]


class KubeVoice:
    """One voice; `name` is the part of the cluster that speaks: kubelet, router."""

    def __init__(self, url: str, token: str, ca: Path, name: str) -> None:
        self.url, self.token, self.name = url, token, name
        self._http = urllib3.PoolManager(ca_certs=str(ca), maxsize=8)

    def close(self) -> None:
        """Let go of all connections."""
        self._http.clear()

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Ask, and give what is answered."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind,
                   "User-Agent": self.name}  # fmt: skip
        sent = None if body is None else json.dumps(body)
        answer = self._http.request(method, self.url + path, body=sent, headers=headers, retries=5)
        return json.loads(answer.data)

    def items(self, path: str) -> list[Thing]:
        """Give the objects of a list; none where that kind is not known."""
        return list(self.call("GET", path).get("items") or ())

    def find(self, path: str) -> Thing | None:
        """Give an object, None if there is none."""
        found: Thing = self.call("GET", path)
        return None if found.get("kind") == "Status" else found

    def status(self, path: str, status: Thing) -> bool:
        """Write what became of an object; say whether it is there."""
        told = self.call(
            "PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json"
        )
        return bool(told.get("kind") != "Status")

    def event(self, root: str, about: Thing, kind: str, told: tuple[str, str, str]) -> None:
        """Note what happened to an object: type, reason and message."""
        meta, happened = about["metadata"], now()
        place = meta.get("namespace")
        self.call("POST", f"{root}/events", {
            "apiVersion": "v1", "kind": "Event", "count": 1,
            "metadata": {"name": f"{meta['name']}.{secrets.token_hex(8)}", "namespace": place},
            "involvedObject": {"apiVersion": about.get("apiVersion", "v1"), "kind": kind,
                               "uid": meta["uid"], "name": meta["name"], "namespace": place},
            "type": told[0], "reason": told[1], "message": told[2],
            "firstTimestamp": happened, "lastTimestamp": happened,
            "source": {"component": self.name},
        })  # fmt: skip


def now() -> str:
    """Give the present second as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
