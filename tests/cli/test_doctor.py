"""`waystage doctor` finds what is wrong with a project's surroundings, and says the cure."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from waystage.cli.main import run as waystage
from waystage.store import Store

CHANNELS = """
channels:
  operations: {use: log, with: {path: messages.jsonl}}
notify_channel: operations
"""
PEOPLE = """
on_behalf: false
people: {otto: {roles: [operator]}, vera: {roles: [validator]}}
roles: {operator: [operate, override], validator: [decide]}
"""
PROJECT = f"""project: p
repositories:
  - {{name: models, use: folder, with: {{path: models}}}}
{CHANNELS}{PEOPLE}"""


class Patient:
    """A small project that is well, and what the doctor says of it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        (root / "models").mkdir(parents=True)
        self.write(PROJECT)
        (root / ".waystage").mkdir(mode=0o700)
        store = Store(f"sqlite:///{root / 'waystage.db'}")
        store.close()

    def write(self, text: str) -> None:
        (self.root / "waystage.yaml").write_text(text)

    def change(self, old: str, new: str) -> None:
        assert old in PROJECT
        self.write(PROJECT.replace(old, new))

    def wrong(self) -> list[dict[str, Any]]:
        self._capsys.readouterr()
        code = waystage(["--project", str(self.root), "doctor", "--json"])
        found = json.loads(self._capsys.readouterr().out)
        wrong = [each for each in found["found"] if each["level"] == "wrong"]
        assert (code, found["wrong"]) == (1 if wrong else 0, len(wrong))
        return wrong


@pytest.fixture
def patient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Patient:
    return Patient(tmp_path / "p", capsys)


def test_a_project_that_is_well_has_nothing_wrong(
    patient: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert patient.wrong() == []
    assert waystage(["--project", str(patient.root), "doctor"]) == 0
    said = capsys.readouterr().out
    assert "ok     database: SQLite, whole, schema" in said
    assert said.endswith("Nothing is wrong.\n")


def _open_to_others(patient: Patient) -> None:
    (patient.root / ".waystage").chmod(0o755)


def _token_for_all(patient: Patient) -> None:
    file = patient.root / ".waystage/daemon.json"
    file.write_text(json.dumps({"pid": os.getpid()}))
    file.chmod(0o644)


def _dead(patient: Patient) -> None:
    file = patient.root / ".waystage/daemon.json"
    file.write_text(json.dumps({"pid": 2**22 - 1}))
    file.chmod(0o600)


def _no_models(patient: Patient) -> None:
    shutil.rmtree(patient.root / "models")


def _damaged(patient: Patient) -> None:
    file = patient.root / "waystage.db"
    data = bytearray(file.read_bytes())
    for page in range(3, len(data) // 4096, 2):
        data[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    file.write_bytes(data)


def _newer(patient: Patient) -> None:
    with closing(sqlite3.connect(patient.root / "waystage.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


def _to_come(patient: Patient) -> None:
    _row(patient, "INSERT INTO runs VALUES (1, 's-1', 'k', 'l', 'd', 's', 'n/1', 'open', '', 'a', "
                  "1, x'7b7d', x'00', 0, 9000000000000000, 0)")  # fmt: skip


def _left_behind(patient: Patient) -> None:
    _row(patient, "INSERT INTO work (run, slot, body, due_at, fence, tries) "
                  "VALUES (1, '', x'7b7d', 1, 0, 0)")  # fmt: skip


def _row(patient: Patient, text: str) -> None:
    with closing(sqlite3.connect(patient.root / "waystage.db")) as connection:
        connection.execute(text)
        connection.commit()


def _readable_secret(patient: Patient) -> None:
    file = patient.root / "key"
    file.write_text("hush")
    file.chmod(0o644)
    _mail(patient, 'user: u, password: {secret: "file/./key"}', tls="starttls")


def _mail(patient: Patient, more: str = "", tls: str = "none") -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = (f"host: 127.0.0.1, port: {port}, sender: a@b.c, to: [a@b.c], tls: {tls}"
                + (f", {more}" if more else ""))  # fmt: skip
    patient.change("{use: log, with: {path: messages.jsonl}}",
                   f"{{use: mail, with: {{{settings}}}}}")  # fmt: skip


@pytest.mark.parametrize(("hurt", "area", "says"), [
    (_open_to_others, "directories", "open to others (0755)"),
    (_token_for_all, "daemon", "others may read it (0644)"),
    (_dead, "daemon", "died without a word"),
    (_no_models, "repository models", "is no directory"),
    (_damaged, "database", "malformed"),
    (_newer, "database", "schema 9999 is of a newer Waystage"),
    (_to_come, "clocks", "which is to come"),
    (_left_behind, "leases", "1 steps are overdue"),
    (_mail, "channel operations", "takes no connection"),
    (_readable_secret, "channel operations", "everybody on this machine may read it"),
    (lambda p: p.change("use: log", "use: logg"), "files", "logg"),
    (lambda p: p.write("project: ["), "files", "waystage.yaml"),
    (lambda p: p.change("project: p", "project: p\nplugins: [nobodys]"), "plugins", "nobodys"),
    (lambda p: p.change("[operate, override]", "[operate]"), "people", "nobody may override"),
    (lambda p: p.change("project: p", "project: p\ndatabase: sqlite:///no/such/x.db"), "database",
     "No such file"),
])  # fmt: skip
def test_what_is_wrong_is_found_with_its_cure(
    patient: Patient, hurt: Any, area: str, says: str
) -> None:
    hurt(patient)
    found = [each for each in patient.wrong() if says in each["said"]]
    assert found, patient.wrong()
    assert area in {each["area"] for each in found}
    assert all(each["cure"] for each in found)


def test_a_secret_that_two_settings_name_is_told_once(
    patient: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = "{use: webhook, with: {url: {secret: env/NOT_SET}, secret: {secret: env/NOT_SET}}}"
    patient.change("{use: log, with: {path: messages.jsonl}}", twice)
    assert waystage(["--project", str(patient.root), "doctor"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("env/NOT_SET") == 1
    assert "set here what the daemon is started with" in said
