"""The online runtime `local.serving`: model servers as processes of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Context, DeploySpec, Handle, JsonObject, Observation, Services
from waystage_plugins.runtimes.files import read_json
from waystage_plugins.runtimes.holder import alive, end
from waystage_plugins.runtimes.local_online import LocalOnline, stop_all
from waystage_plugins.runtimes.serving.config import PROBE_HEADER, SERVER, Config, Entry
from waystage_plugins.runtimes.serving.look import model_url, observed

__all__ = ["LocalServing", "stop_all"]


class LocalServing(LocalOnline):
    """Serve ONNX models on loopback by TensorFlow Serving's REST protocol.

        - use: local.serving
          with: {port: 8501, threads: 2}

    One server process per service and stage holds all its versions side by side, with the
    labels `champion` and `challenger`, so that the address stays and a new version takes over
    without a gap. The process outlives the daemon. `port: 0` takes a free port and keeps it;
    a fixed port suits a runtime that serves one service.
    """

    use: ClassVar[str] = "local.serving"
    capabilities: ClassVar[frozenset[str]] = frozenset({"labels", "logs", "in_place_update"})
    home: ClassVar[str] = "serving"
    program: ClassVar[str] = "waystage_plugins.runtimes.serving"

    port: int = Field(default=0, ge=0, le=65535, description="0: any free port")

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        """Send a real scoring request marked as a probe."""
        import httpx

        directory, number, _ = self._parts(ctx, handle)
        port = read_json(directory / SERVER).get("port")
        if port is None or not alive(directory):
            raise Retryable(f"no server runs for {handle.ref['service']}")
        url = f"{model_url(port, str(handle.ref['service']))}/versions/{number}:predict"
        try:
            answer = ctx.http.post(url, json={"instances": rows}, headers={PROBE_HEADER: "1"})
        except httpx.TransportError as error:
            raise Retryable(f"{url}: {error or type(error).__name__}") from error
        if answer.status_code != 200:
            kind = Hopeless if 400 <= answer.status_code < 500 else Retryable
            raise kind(f"{url}: HTTP {answer.status_code}: {answer.text[:500]}")
        return [{"score": each["score"]} for each in answer.json()["predictions"]]

    def _settings(
        self, ctx: Context, directory: Path, known: Config | None, spec: DeploySpec
    ) -> dict[str, Any]:
        kept = 0
        if known and not known.fixed:
            kept = read_json(directory / SERVER).get("port") or known.port
        return {"port": self.port or kept, "fixed": bool(self.port)}

    def _judged(
        self, ctx: Services, handle: Handle, seen: dict[str, Any], config: Any, entry: Entry
    ) -> Observation:
        port = read_json(self._parts(ctx, handle)[0] / SERVER).get("port")
        return observed(seen, config, entry, int(port or 0))

    def _make_room(
        self, ctx: Services, directory: Path, known: Config | None, wanted: Config
    ) -> None:
        """End a server that listens at another port than the one that is fixed now."""
        port = read_json(directory / SERVER).get("port")
        if self.port and port not in (None, self.port):
            end(directory)
