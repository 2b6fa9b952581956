"""A project that builds a TensorFlow model into an image and serves it, and its runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from saved_models import saved_model

from waystage.cli.main import run as waystage
from waystage.daemon.daemon import Daemon

LIFECYCLE = """
lifecycle: serving
services: ["credit-*"]
initial: build
states:
  build:
    steps:
      - id: image
        use: tfserving.build
        with: {base: BASE, tag: "{{ snapshot.version }}", BUILD}
        retry: {max: 1, backoff: {first: PT0.1S}}
    next: {done: deploy}
  deploy:
    stage: DEV
    steps:
      - id: deployed
        use: runtime.deploy
        DEPLOY
        retry: {max: 1, backoff: {first: PT0.1S}}
        undo: {use: runtime.restore}
      - use: runtime.probe
        retry: {max: 1, backoff: {first: PT0.1S}}
    next: {done: live, refused: rejected}
  live:
    stage: DEV
    signals: [no.more]
    next: {no.more: retire}
  retire:
    stage: DEV
    steps: [{use: runtime.undeploy}]
    next: {done: gone}
  gone: {final: true}
  rejected: {final: true, outcome: rejected}
"""


def begun(
    root: Path, base: str, build: dict[str, Any], runtime: dict[str, Any], image: str = ""
) -> Daemon:
    """Make the project with one stage and this runtime in it, and start its daemon."""
    assert waystage(["init", str(root)]) == 0
    for file in [*root.glob("lifecycles/**/*.yaml"), *root.glob("stages/*.yaml")]:
        file.unlink()
    settings = json.dumps(build)[1:-1]
    text = LIFECYCLE.replace("BASE", json.dumps(base)).replace("BUILD", settings)
    text = text.replace("DEPLOY", f'with: {{image: "{image}"}}' if image else "with: {}")
    (root / "lifecycles" / "serving.yaml").write_text(text)
    placed = {"name": "servers", "mode": "online", "services": ["*"], **runtime}
    stage = yaml.safe_dump({"stage": "DEV", "runtimes": [placed]}, sort_keys=False)
    (root / "stages" / "DEV.yaml").write_text(stage)
    (root / "waystage.yaml").write_text(yaml.safe_dump({
        "project": "p",
        "repositories": [
            {"name": "models", "use": "folder", "poll": "PT0.1S", "with": {"path": "models"}}
        ],
        "services": {"credit-risk": {}},
        "people": {"dana": {"roles": ["operator"]}},
        "roles": {"operator": ["operate"]},
    }, sort_keys=False))  # fmt: skip
    assert waystage(["--project", str(root), "validate"]) == 0
    found = Daemon(root)
    found.start()
    return found


def until(holds: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "nothing happens any more"
        time.sleep(0.02)
    return found


def register(root: Path, version: str) -> None:
    place = root / "models" / "credit" / version
    (place / "variables").mkdir(parents=True)
    (place / "saved_model.pb").write_bytes(saved_model())
    (place / "variables" / "tiny.json").write_text(f'{{"slope": 0.0{version}}}')
    (place / "manifest.yaml").write_text(yaml.safe_dump({
        "format": "savedmodel", "services": ["credit-risk"], "author": "ada",
        "inputs": [{"name": "income"}, {"name": "owner", "type": "boolean"}],
        "outputs": [{"name": "score"}], "example": [{"income": 1.0, "owner": True}],
    }))  # fmt: skip


def opened(daemon: Daemon, version: str) -> str:
    """Have a version, and open its run."""
    register(daemon.connections.project, version)
    until(lambda: any(s["version"] == version for s in daemon.store.snapshots()))
    return str(daemon.start_run("serving", "credit-risk", "credit", version, "dana"))


def parked(daemon: Daemon, run: str, place: str, told: str) -> int:
    """Wait until the run is parked there for what is told; give the incident."""

    def found() -> list[Any]:
        rows = daemon.store.incidents()
        return [row for row in rows if row.run == run and told in row.message]

    (incident,) = until(found)
    assert is_in(daemon, run, place)
    return int(incident.id)


def live(daemon: Daemon, run: str) -> str:
    """Wait until the run serves; give the address."""
    until(lambda: is_in(daemon, run, "live"))
    return str((daemon.store.run_body(run) or {})["steps"]["deployed"]["url"])


def is_ended(daemon: Daemon, run: str) -> bool:
    row = daemon.store.run(run)
    return row is not None and row.status == "ended"


def is_in(daemon: Daemon, run: str, place: str) -> bool:
    row = daemon.store.run(run)
    return row is not None and place in row.places
