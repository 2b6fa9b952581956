"""The whole way of a signature: made beside the files, verified by a daemon, asked for by PROD."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from model_signer import make_key, sign_with_key
from saved_models import saved_model

from waystage.cli.main import run as waystage
from waystage.daemon.daemon import Daemon

pytest.importorskip("model_signing", reason="model-signing is not installed")

PROJECT = """\
project: signed
repositories: [{name: models, use: folder, with: {path: models}}]
channels: {log: {use: log, with: {path: messages.jsonl}}}
notify_channel: log
signers:
  models-ca: {use: model_signing.key, with: {public_key: keys/models.pub}}
services: {credit-risk: {owner: otto}}
people: {otto: {roles: [owner, operator]}}
roles: {owner: [decide], operator: [operate, override]}
"""
STAGE = """\
stage: PROD
requires: {signed_by: models-ca}
"""
LIFECYCLE = """\
lifecycle: crowned
services: [credit-risk]
initial: check
states:
  check:
    steps: [{id: check, use: model.check}]
    next: {done: crown, refused: rejected}
  crown:
    stage: PROD
    steps: [{use: repository.set_champion}]
    next: {done: closed, refused: refused}
  closed: {final: true}
  rejected: {final: true, outcome: rejected}
  refused: {final: true, outcome: refused}
"""
MANIFEST = """\
format: savedmodel
services: [credit-risk]
author: dana
inputs: [{name: income}, {name: owner, type: boolean}]
outputs: [{name: score}]
example: [{income: 20.0, owner: true}]
"""


class Signed:
    """A project whose PROD takes signed models alone, with its daemon."""

    def __init__(self, root: Path, more: str = "") -> None:
        self.root = root
        for name, text in (("waystage.yaml", PROJECT + more), ("stages/PROD.yaml", STAGE),
                           ("lifecycles/crowned.yaml", LIFECYCLE)):  # fmt: skip
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "keys").mkdir()
        (root.parent / "vault").mkdir()  # the private key is nowhere in the project
        private, public = make_key(root.parent / "vault")
        public.rename(root / "keys" / "models.pub")
        self.private = private
        self.daemon = Daemon(root)
        self.daemon.start()

    def model(self, version: str, *, signed: bool) -> Path:
        place = self.root / "models" / "credit" / version
        place.mkdir(parents=True)
        (place / "saved_model.pb").write_bytes(saved_model())
        (place / "notes.txt").write_text(version)
        (place / "manifest.yaml").write_text(MANIFEST)
        if signed:
            sign_with_key(place, self.private)
        return place

    def outcome(self, version: str, key: str = "") -> str:
        run = self.daemon.start_run("crowned", "credit-risk", "credit", version, "otto", key)
        self.run = run
        self.until(lambda: self.daemon.store.run(run).status == "ended")  # type: ignore[union-attr]  # it is there
        return str(self.daemon.store.run(run).outcome)  # type: ignore[union-attr]  # as above

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < end, self.daemon.store.incidents()
            time.sleep(0.01)

    def said(self) -> str:
        rows = self.daemon.store.history(self.run)
        return "\n".join(" ".join(record) for row in rows for record in row.records)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Signed]:
    found = Signed(tmp_path / "project")
    yield found
    found.daemon.stop()


def test_only_signed_models_become_champions(project: Signed) -> None:
    project.model("1", signed=True)
    assert project.outcome("1") == "done"
    body: Any = project.daemon.store.run_body(project.run)
    assert body["steps"]["check"]["signed_by"] == ["models-ca"]
    project.model("2", signed=False)
    assert project.outcome("2") == "refused"
    assert "of credit/2: no such signature was verified" in project.said()
    sign_with_key(project.root / "models/credit/2", project.private)
    assert project.outcome("2", "again") == "done"
    one, three = project.root / "models/credit/1", project.model("3", signed=False)
    (three / "model.sig").write_bytes((one / "model.sig").read_bytes())
    assert project.outcome("3") == "rejected"
    assert "its signature is for another notes.txt (asked: models-ca)" in project.said()


def test_what_a_process_of_its_own_verified_counts(tmp_path: Path) -> None:
    project = Signed(tmp_path / "project", "execution: {isolate: [model.check]}\n")
    try:
        project.model("1", signed=True)
        assert project.outcome("1") == "done"
    finally:
        project.daemon.stop()


def test_a_new_key_makes_old_signatures_void(project: Signed) -> None:
    project.model("1", signed=True)
    assert project.outcome("1") == "done"
    private, public = make_key(project.root.parent / "vault", "new")
    public.rename(project.root / "keys" / "models.pub")
    assert project.outcome("1", "again") == "rejected"
    sign_with_key(project.root / "models/credit/1", private)
    assert project.outcome("1", "anew") == "done"


def test_doctor_tells_keys_that_cannot_be_used(
    project: Signed, capsys: pytest.CaptureFixture[str]
) -> None:
    def told() -> Any:
        capsys.readouterr()
        waystage(["--project", str(project.root), "doctor", "--json"])
        found = json.loads(capsys.readouterr().out)["found"]
        (mine,) = [each for each in found if each["area"] == "signer models-ca"]
        return mine

    assert told()["level"] == "good"
    key = project.root / "keys" / "models.pub"
    key.write_text("something else")
    assert (told()["level"], "is no public key in PEM" in told()["said"]) == ("wrong", True)
    key.unlink()
    assert "keys/models.pub cannot be read" in told()["said"]
