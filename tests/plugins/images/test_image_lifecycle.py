"""A lifecycle whose approver types the tag: checked, approved, built, pushed, by digest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from image_registry import PASSWORD, USER, small_layer
from registry_stand_in import StandIn
from saved_models import saved_model

from waystage.cli.main import run as waystage
from waystage.daemon import decisions
from waystage.daemon.daemon import Daemon
from waystage.people import OWN_TOKEN, Caller

LIFECYCLE = """
lifecycle: serving-image
services: ["credit-*"]
params:
  registry: {type: string, default: registry.example.org}
initial: check
states:
  check:
    steps: [{use: model.check}]
    next: {done: approve, refused: rejected}
  approve:
    task:
      title: "Approve {{ snapshot.name }} {{ snapshot.version }} as champion"
      for: [role:validator]
      form:
        image_tag: {type: string, pattern: "^[a-z0-9][a-z0-9._-]{0,127}$", title: Image tag}
    next: {approve: build, reject: rejected}
  build:
    steps:
      - id: image
        use: tfserving.build
        with:
          base: "{{ params.registry }}/mirror/serving:2.19.1"
          tag: "{{ tasks.approve.form.image_tag }}"
          registry:
            host: "{{ params.registry }}"
            project: models
            user: builder
            token: {secret: env/TEST_REGISTRY_TOKEN}
            plain_http: true
      - id: live
        use: image.push
        with:
          image: "{{ steps.image.image }}"
          tag: "{{ tasks.approve.form.image_tag }}"
          imagestream: live
          registry:
            host: "{{ params.registry }}"
            user: builder
            token: {secret: env/TEST_REGISTRY_TOKEN}
            plain_http: true
    next: {done: built}
  built: {final: true}
  rejected: {final: true, outcome: rejected}
"""


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("TEST_REGISTRY_TOKEN", PASSWORD)
    found = StandIn(user=(USER, PASSWORD))
    found.put_image("mirror/serving", "2.19.1", small_layer(), ["MODEL_BASE_PATH=/models"])
    yield found
    found.stop()


@pytest.fixture
def daemon(tmp_path: Path, shelf: StandIn) -> Iterator[Daemon]:
    root = tmp_path / "p"
    assert waystage(["init", str(root)]) == 0
    for file in [*root.glob("lifecycles/**/*.yaml"), *root.glob("stages/*.yaml")]:
        file.unlink()
    (root / "lifecycles" / "serving-image.yaml").write_text(LIFECYCLE)
    (root / "waystage.yaml").write_text(yaml.safe_dump({
        "project": "p",
        "repositories": [
            {"name": "models", "use": "folder", "poll": "PT0.1S", "with": {"path": "models"}}
        ],
        "services": {"credit-risk": {"params": {"registry": shelf.address}}},
        "people": {"dana": {"roles": ["operator"]}, "vera": {"roles": ["validator"]}},
        "roles": {"operator": ["operate"], "validator": ["decide"]},
    }, sort_keys=False))  # fmt: skip
    assert waystage(["--project", str(root), "validate"]) == 0
    found = Daemon(root)
    found.start()
    yield found
    found.stop()


def register(root: Path, version: str, content: bytes) -> None:
    place = root / "models" / "credit" / version
    (place / "variables").mkdir(parents=True)
    (place / "saved_model.pb").write_bytes(saved_model())
    (place / "variables" / "variables.index").write_bytes(content)
    (place / "manifest.yaml").write_text(yaml.safe_dump({
        "format": "savedmodel", "services": ["credit-risk"], "author": "ada",
        "inputs": [{"name": "income"}, {"name": "owner", "type": "boolean"}],
        "outputs": [{"name": "score"}], "example": [{"income": 1.0, "owner": True}],
    }))  # fmt: skip


def until(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + 120
    while not (found := holds()):
        assert time.monotonic() < end, "nothing happens any more"
        time.sleep(0.01)
    return found


def approved(daemon: Daemon, version: str, tag: str) -> str:
    """Open a run on a version, and have vera approve it with this tag."""
    run = until(daemon.store.snapshots) and daemon.start_run(
        "serving-image", "credit-risk", "credit", version, "dana"
    )
    (task,) = until(lambda: daemon.store.tasks(run=run))
    vera = Caller("vera", OWN_TOKEN)
    decisions.complete(daemon, task.id, vera, "approve", {"image_tag": tag}, "")
    return str(run)


def ended(daemon: Daemon, run: str) -> bool:
    row = daemon.store.run(run)
    return row is not None and row.status == "ended"


def test_what_the_approver_typed_is_the_tag_and_never_moves(daemon: Daemon, shelf: StandIn) -> None:
    root = daemon.connections.project
    register(root, "1", b"weights")
    register(root, "2", b"other weights")
    until(lambda: len(daemon.store.snapshots()) == 2)
    run = approved(daemon, "1", "1.0.3")
    until(lambda: ended(daemon, run) or daemon.store.incidents())
    assert daemon.store.incidents() == []
    made = shelf.manifest("models/credit-risk", "1.0.3")
    assert made
    assert (shelf.manifest("live", "1.0.3") or {})["digest"] == made["digest"]
    body = daemon.store.run_body(run)
    assert f"{shelf.address}/live@{made['digest']}" in str(body)
    second = approved(daemon, "2", "1.0.3")
    (parked,) = until(daemon.store.incidents)
    assert parked.run == second
    assert parked.message.endswith(
        f"1.0.3 is taken by another image, {made['digest']}; a tag is never moved: "
        f"choose another one"
    )
    assert shelf.manifest("models/credit-risk", "1.0.3") == made
    for file in root.rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
