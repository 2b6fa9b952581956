"""A runtime whose whole world is a directory of files, changed by hand in tests of drift."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from waystage.errors import Retryable
from waystage.plugin import (
    Context,
    DeploySpec,
    Difference,
    Endpoint,
    Handle,
    JsonObject,
    Observation,
    OnlineRuntime,
    Services,
)


class FilesRuntime(OnlineRuntime):
    """Keep each deployment as a JSON file; what it says otherwise than applied differs.

    - use: test.files
      with: {home: /tmp/files}
    """

    use: ClassVar[str] = "test.files"
    capabilities: ClassVar[frozenset[str]] = frozenset({"switch"})
    home: str
    restart: bool = False

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        with Path(self.home, "applied").open("a") as file:
            file.write(f"{ctx.key}\n")
        if Path(self.home, "broken").exists():
            raise Retryable("the world is broken")
        name = spec.snapshot.id.replace("/", "-") + ".json"
        told = {"digest": spec.snapshot.digest, "replicas": 1, "image": spec.image}
        if not Path(self.home, "kept").exists():
            Path(self.home, name).write_text(json.dumps(told))
        return Handle(ref={"file": name, "image": spec.image, "key": ctx.key})

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        place = Path(self.home, str(handle.ref["file"]))
        if Path(self.home, "away").exists():
            raise Retryable("the world is away")
        if not place.exists():
            gone = (Difference(what="process", found="it died"),) if self.restart else ()
            return Observation(phase="absent", differs=gone, restart=self.restart)
        told: dict[str, Any] = json.loads(place.read_text())
        differs: list[Difference] = []
        if told["replicas"] != 1:
            by = told.get("by", "")
            differs.append(
                Difference(what="replicas", wanted="1", found=str(told["replicas"]), by=by)
            )
        traffic = Path(self.home, "traffic")
        led = traffic.read_text().split()[0] if traffic.exists() else place.name
        if led != place.name:
            differs.append(Difference(what="traffic", wanted=place.name, found=led))
        slow = Path(self.home, "slow").exists() and not str(handle.ref["key"]).startswith("restore")
        phase = (
            told.get("phase")
            or ("pending" if slow and place.name != "credit-1.json" else "")
            or ("degraded" if told["replicas"] != 1 else "ready")
        )
        return Observation(
            phase=phase, digest=told["digest"], endpoints=(Endpoint(url=told.get("url", "http://127.0.0.1:1")),),
            differs=tuple(differs), message=told.get("message", ""), lag=told.get("lag"),
        )  # fmt: skip

    def set_traffic(self, ctx: Services, handle: Handle, percent: int = 100) -> None:
        Path(self.home, "traffic").write_text(f"{handle.ref['file']} {percent}")

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        return [{"score": 0.5} for _ in rows]

    def delete(self, ctx: Services, handle: Handle) -> None:
        Path(self.home, str(handle.ref["file"])).unlink(missing_ok=True)

    def logs(self, ctx: Services, handle: Handle, lines: int = 50) -> str:
        return ""
