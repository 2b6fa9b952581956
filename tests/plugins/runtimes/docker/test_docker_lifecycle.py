"""A lifecycle on a real daemon and a real engine that stops while it builds and deploys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from at_docker import OWNER, answers, asked
from docker_engine import DockerEngine
from saved_models import saved_model
from serving_image import mounts

from waystage.cli.main import run as waystage
from waystage.daemon import decisions
from waystage.daemon.daemon import Daemon
from waystage.people import OWN_TOKEN, Caller

pytestmark = pytest.mark.heavy
LIFECYCLE = """
lifecycle: serving
services: ["credit-*"]
initial: build
states:
  build:
    steps:
      - id: image
        use: tfserving.build
        with:
          {base: "serving:2.19.1", tag: "{{ snapshot.version }}", builder: docker, engine: ENGINE}
        retry: {max: 1, backoff: {first: PT0.1S}}
    next: {done: deploy}
  deploy:
    stage: DEV
    steps:
      - id: deployed
        use: runtime.deploy
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


def until(holds: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "nothing happens any more"
        time.sleep(0.02)
    return found


@pytest.fixture
def daemon(tmp_path: Path, networked_engine: DockerEngine) -> Iterator[Daemon]:
    root, host = tmp_path / "p", networked_engine.host
    assert waystage(["init", str(root)]) == 0
    for file in [*root.glob("lifecycles/**/*.yaml"), *root.glob("stages/*.yaml")]:
        file.unlink()
    (root / "lifecycles" / "serving.yaml").write_text(LIFECYCLE.replace("ENGINE", f'"{host}"'))
    told = {"engine": host, "image": "serving:2.19.1", "mounts": mounts(), "owner": OWNER}
    runtime = {"name": "docker", "use": "docker.tfserving", "mode": "online",
               "services": ["*"], "with": told}  # fmt: skip
    stage = yaml.safe_dump({"stage": "DEV", "runtimes": [runtime]}, sort_keys=False)
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
    yield found
    found.stop()


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


def parked(daemon: Daemon, run: str, place: str) -> int:
    """Wait until the run is parked there for the engine; give the incident."""
    (found,) = until(lambda: [i for i in daemon.store.incidents() if i.run == run])
    assert "the Docker engine does not answer" in found.message
    assert is_in(daemon, run, place)
    return int(found.id)


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


def test_a_run_is_parked_while_the_engine_is_away_and_goes_on_after_it(
    daemon: Daemon, networked_engine: DockerEngine, world: Any
) -> None:
    before, dana = world(), Caller("dana", OWN_TOKEN)
    networked_engine.stop()
    run = opened(daemon, "1")
    first = parked(daemon, run, "build")
    networked_engine.start()
    decisions.repair(daemon, first, "retry", dana, {})
    url = live(daemon, run)
    assert asked(url) == pytest.approx(0.7310586)

    second = opened(daemon, "2")
    until(lambda: is_in(daemon, second, "deploy"))
    networked_engine.stop()
    incident = parked(daemon, second, "deploy")
    networked_engine.start()
    until(lambda: answers(url))
    assert asked(url) == pytest.approx(0.7310586), "the first one still has the label"
    decisions.repair(daemon, incident, "retry", dana, {})
    assert live(daemon, second) == url
    assert asked(url) == pytest.approx(0.8807970)
    assert world()[0] == ["/ws-credit-risk-dev"]
    for each in (second, run):
        decisions.send_signal(daemon, "no.more", {}, dana, run=each)
        until(lambda each=each: is_ended(daemon, each))
    for version in ("1", "2"):
        networked_engine.client.images.remove(f"credit-risk:{version}")
    assert world() == before
