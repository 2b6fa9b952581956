"""Real daemons, each a process with a project directory of its own, on one database."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

import waystage
import waystage_plugins

SCRIPT = Path(__file__).with_name("side_daemon.py")
LOAD = """
lifecycle: load
services: [s]
initial: a
states:
  a: {steps: [{use: side.act, id: one, with: {ms: 5}}], next: b}
  b: {timers: {soon: {after: PT0.2S}}, next: {soon: c}}
  c: {steps: [{use: side.act, with: {ms: 5}}, {use: side.act, with: {ms: 5}}], next: end}
  end: {final: true}
"""
PROJECT = """
project: side
database: "{url}"
plugins: [builtin]
repositories: [{{name: models, use: folder, services: ["*"], with: {{path: models}}}}]
channels: {{ops: {{use: side.tell}}}}
notify_channel: ops
services: {{s: {{title: S}}}}
people: {{otto: {{roles: [operator]}}}}
roles: {{operator: [operate, override, decide]}}
"""
MIGRATION = '''"""Planted: what a next version adds."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{number}", "{before}", None, None


def upgrade() -> None:
    note = sa.Column("note{number}", sa.String(9), nullable=False, server_default="")
    op.add_column("runs", note)
    op.create_index("runs_by_note{number}", "runs", ["note{number}"])
    op.create_table("planted{number}", sa.Column("id", sa.Integer, primary_key=True))


def downgrade() -> None:
    op.drop_table("planted{number}")
'''


def newer_version(directory: Path, steps: int = 1) -> Path:
    """Make a copy of the packages as a later version would be: a number and shapes further on."""
    for package in (waystage, waystage_plugins):
        source = Path(str(package.__file__)).parent
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, directory / source.name, ignore=ignored)
    init = directory / "waystage" / "__init__.py"
    init.write_text(init.read_text().replace(waystage.__version__, f"9.{steps}.0"))
    assert f"9.{steps}.0" in init.read_text()
    versions = directory / "waystage/store/migrations/versions"
    newest = max(int(file.name[:4]) for file in versions.glob("0*.py"))
    for number in range(newest + 1, newest + steps + 1):
        text = MIGRATION.format(number=f"{number:04}", before=f"{number - 1:04}")
        (versions / f"{number:04}_planted.py").write_text(text)
    spec = directory / "waystage/spec/lifecycle.py"  # a word that only the later version knows
    old = '    lifecycle: KebabName\n    title: str = ""\n'
    assert old in spec.read_text()
    spec.write_text(spec.read_text().replace(old, f'{old}    mood: str = ""\n'))
    return directory


def make_project(root: Path, url: str, lifecycles: dict[str, str] | None = None) -> Path:
    """Make a project directory with one model."""
    (root / "lifecycles").mkdir(parents=True)
    (root / "waystage.yaml").write_text(PROJECT.format(url=url))
    for name, text in (lifecycles or {"load": LOAD}).items():
        (root / "lifecycles" / f"{name}.yaml").write_text(text)
    place = root / "models/credit/1"
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(b"weights")
    (place / "manifest.yaml").write_text(
        "name: credit\nversion: '1'\nservices: [s]\nauthor: dana\nformat: onnx\n"
    )
    return root


class Side:
    """One daemon: a process, its API, and what it said."""

    def __init__(
        self, root: Path, effects: Path, *, code: Path | None = None, lease: float = 60.0,
        grace: float = 10.0, without: str = "", looks: float = 5.0,
    ) -> None:  # fmt: skip
        self.root, self._effects, self._code = root, effects, code
        environment = os.environ | {"SIDE_EFFECTS": str(effects), "SIDE_LEASE": str(lease)}
        environment |= {"SIDE_WITHOUT": without, "SIDE_GRACE": str(grace)}
        environment |= {"SIDE_LOOKS": str(looks)}
        if code is not None:
            environment["PYTHONPATH"] = str(code)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "--project", str(root), "up", "--port", "0"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._http: httpx.Client | None = None

    @property
    def said(self) -> str:
        """Everything that it has printed."""
        return "".join(self.lines)

    def up(self) -> Side:
        """Wait until it serves its API."""
        until(lambda: "is up at" in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.said
        found = json.loads((self.root / ".waystage/daemon.json").read_text())
        self._http = httpx.Client(
            base_url=found["url"], trust_env=False, timeout=60,
            headers={"Authorization": f"Bearer {found['token']}", "X-Waystage-Person": "otto"},
        )  # fmt: skip
        return self

    def ask(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Ask its API; what is given is the body."""
        assert self._http is not None
        return self._http.request(
            method, f"/v1/{path}", json=body or ({} if method != "GET" else None)
        )

    def get(self, path: str) -> Any:
        """Give what its API answers to a question."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def open(self, key: str, lifecycle: str = "load") -> httpx.Response:
        """Have it open a run."""
        return self.ask("POST", "runs", lifecycle=lifecycle, service="s", model="credit",
                        version="1", key=key)  # fmt: skip

    def tell(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        self.process.send_signal(number)

    def ended(self, within: float = 120) -> int:
        """Wait for its end; give the exit code."""
        code = self.process.wait(timeout=within)
        self._reader.join(timeout=300)
        return code

    def close(self) -> None:
        """End it, whatever it does, and let go of everything."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(timeout=300)
        self._reader.join(timeout=300)
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self._http is not None:
            self._http.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))


class Load:
    """Opens runs, one after the other, at whichever daemon answers, until it is ended."""

    def __init__(self, *sides: Side) -> None:
        self.sides = list(sides)
        self.opened: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def end(self) -> dict[str, str]:
        """Open no more; give the runs that were acknowledged, by key."""
        self._stopping.set()
        self._thread.join(timeout=120)
        return self.opened

    def more(self, count: int) -> None:
        """Wait until so many more were opened."""
        wanted = len(self.opened) + count
        until(lambda: len(self.opened) >= wanted)

    def _loop(self) -> None:
        number = 0
        while not self._stopping.is_set():
            key = f"k{number}"
            side = self.sides[number % len(self.sides)]
            try:
                answer = side.open(key)
            except httpx.TransportError:
                time.sleep(0.01)
                continue  # the same key again: it opens one run, whoever heard it
            if answer.status_code == 200:
                self.opened[key] = answer.json()["run"]
                number += 1
            time.sleep(0.01)


def until(holds: Callable[[], Any], within: float = 180) -> None:
    """Look until it holds."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "nothing happens any more"
        time.sleep(0.02)


def acted(effects: Path) -> Counter[str]:
    """Count how often each key acted."""
    return Counter(line.split()[1] for line in marks(effects) if line[0] == "=")


def marks(effects: Path) -> list[str]:
    """Give the lines that plugins wrote."""
    return effects.read_text().splitlines() if effects.exists() else []
