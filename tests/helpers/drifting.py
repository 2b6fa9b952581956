"""A daemon on a small project whose one stage is a directory of files, for tests of drift."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from world_of_files import FilesRuntime

from waystage.clock import HandClock
from waystage.daemon import inventory
from waystage.daemon.daemon import Daemon
from waystage.registry import load_catalog
from waystage.store import PlacementRow
from waystage.store.codec import load

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
PROJECT = """
project: drifting
database: "{url}"
plugins: [builtin]
repositories: [{{name: models, use: folder, services: ["*"], with: {{path: models}}}}]
channels: {{ops: {{use: log, with: {{path: messages.jsonl}}}}}}
notify_channel: ops
services: {{credit-risk: {{title: Credit}}}}
people: {{otto: {{roles: [operator]}}, ada: {{}}}}
roles: {{operator: [operate, override, decide]}}
"""
LIFECYCLE = """
lifecycle: serve
services: [credit-risk]
data: {drifts: {type: integer, default: 0}}
initial: deploy
states:
  deploy:
    stage: PROD
    steps: [{use: runtime.deploy, with: {role: champion}}]
    next: {done: serving, refused: end}
  serving:
    stage: PROD
    signals: [leave, runtime.degraded]
    next: {leave: out, runtime.degraded: {to: looked, set: {drifts: "{{ data.drifts + 1 }}"}}}
  looked: {stage: PROD, signals: [leave], next: {leave: out}}
  out: {stage: PROD, steps: [{use: runtime.undeploy}], next: end}
  end: {final: true}
"""


class Drifting:
    """The project at `root`, looked at when a test says so; `home` is what really runs."""

    def __init__(
        self, root: Path, url: str, home: Path, *, clock: HandClock | None = None,
        on_drift: str = "report", lease: float = 60.0, **stage: Any,
    ) -> None:  # fmt: skip
        self.root, self.home, self.clock = root, home, clock or HandClock(START)
        home.mkdir(exist_ok=True)
        self.lease = lease
        if not root.exists():
            self.make(url, on_drift=on_drift, **stage)
        self.boot()

    def make(self, url: str, *, on_drift: str, **stage: Any) -> None:
        """Write the project's files."""
        root = self.root
        (root / "lifecycles").mkdir(parents=True)
        (root / "stages").mkdir()
        (root / "waystage.yaml").write_text(PROJECT.format(url=url))
        (root / "lifecycles/serve.yaml").write_text(LIFECYCLE)
        self.write_stage(on_drift=on_drift, **stage)
        self.model("1")

    def write_stage(self, *, on_drift: str = "report", restart: bool = False, **more: Any) -> None:
        """Say what the stage is; a daemon that runs does not look at it by itself."""
        settings = {"home": str(self.home), "restart": restart}
        runtime = {"name": "files", "use": "test.files", "mode": "online", "with": settings}
        told = {"stage": "PROD", "runtimes": [runtime], "on_drift": on_drift, **more}
        (self.root / "stages/PROD.yaml").write_text(yaml.safe_dump(told, sort_keys=False))

    def model(self, version: str) -> None:
        """Put a version into the repository."""
        place = self.root / "models/credit" / version
        place.mkdir(parents=True)
        (place / "model.onnx").write_bytes(version.encode())
        manifest = {"format": "onnx", "services": ["credit-risk"], "author": "dana"}
        (place / "manifest.yaml").write_text(yaml.safe_dump(manifest))

    def boot(self) -> None:
        """Start the daemon; nothing but its writer runs by itself."""
        catalog = load_catalog() | {"test.files": FilesRuntime}
        self.daemon = Daemon(self.root, clock=self.clock, catalog=catalog, lease=self.lease)
        self.daemon.engine.start()

    def stop(self) -> None:
        self.daemon.engine.stop()
        self.daemon.connections.close()
        self.daemon.store.close()

    def begin(self, version: str = "1") -> str:
        """Deploy a version by a run, and look at it once."""
        run = self.daemon.start_run("serve", "credit-risk", "credit", version, "otto")
        self.until(lambda: "serving" in self.places(run))
        self.look()
        return run

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not holds():
            parked = [each.message for each in self.daemon.store.incidents()]
            assert not parked, parked
            assert time.monotonic() < end, [r.places for r in self.daemon.store.runs()]
            time.sleep(0.01)

    def places(self, run: str) -> tuple[str, ...]:
        row = self.daemon.store.run(run)
        assert row is not None
        return row.places

    def look(self, times: int = 1) -> int:
        found = 0
        for _ in range(times):
            found = inventory.look(self.daemon.engine, self.daemon.connections)
        return found

    def turn(self, **by: float) -> None:
        self.clock.turn(timedelta(**by))
        self.daemon.engine.turned()

    def row(self, version: str = "1") -> PlacementRow:
        rows = self.daemon.store.placements(service="credit-risk")
        return next(row for row in rows if row.snapshot == f"credit/{version}")

    @property
    def state(self) -> str:
        return self.row().state

    def file(self, version: str = "1") -> Path:
        return self.home / f"credit-{version}.json"

    def change(self, version: str = "1", **values: Any) -> None:
        """Change what runs, as somebody does by hand."""
        told = json.loads(self.file(version).read_text())
        self.file(version).write_text(json.dumps(told | values))

    def replicas(self) -> int:
        return int(json.loads(self.file().read_text())["replicas"])

    def applied(self) -> list[str]:
        """Give the keys of all calls of `apply` by restores."""
        lines = (self.home / "applied").read_text().split()
        return [line for line in lines if line.startswith("restore/")]

    def messages(self) -> list[str]:
        """Give the titles that people were told, the oldest first."""
        return [body["title"] for body in self.bodies()]

    def bodies(self) -> list[dict[str, Any]]:
        """Give what people were told, the oldest first."""
        return [load(row.body) for row in self.daemon.store.due_messages(1 << 62, 500)]

    def signals(self, run: str) -> list[tuple[str, str, dict[str, Any]]]:
        """Give the signals in a run's history: name, by whom, what they told."""
        rows = self.daemon.store.history(run)
        return [(row.event["name"], row.actor, row.event.get("data", {}))
                for row in rows if row.event["kind"] == "signal"]  # fmt: skip
