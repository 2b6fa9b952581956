"""The versions that a server holds: loaded side by side, labels moved when loaded."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waystage.plugin import Snapshot
from waystage_plugins.repositories.tree import tree_digest, tree_files
from waystage_plugins.runtimes.holder import read_json
from waystage_plugins.runtimes.onnx_model import OnnxModel

CONFIG = "config.json"
LOOK_SECONDS = 0.1


@dataclass
class Version:
    """One version: what it is and whether it answers."""

    number: int
    snapshot: Snapshot
    role: str
    key: str
    state: str = "LOADING"
    error: str = ""
    digest: str = ""
    model: OnnxModel | None = None


@dataclass
class Models:
    """All versions of the one model that a server serves; follows the config file."""

    directory: Path
    name: str = ""
    versions: dict[int, Version] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)
    service: str = ""
    stage: str = ""
    _seen: int = -1

    def follow(self) -> None:
        """Load and unload as the config file says, for ever, in a thread of its own."""
        threading.Thread(target=self._follow, name="models", daemon=True).start()

    def pick(self, *, version: int | None = None, label: str | None = None) -> Version | None:
        """Give the version asked for, else the champion, else the newest that answers."""
        if label is not None:
            version = self.labels.get(label, -1)
        if version is None:
            version = self.labels.get("champion")
        if version is None:
            version = max((n for n, v in self.versions.items() if v.model), default=-1)
        return self.versions.get(version)

    def refresh(self) -> None:
        """Look at the config file once."""
        path = self.directory / CONFIG
        try:
            changed = path.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if changed == self._seen:
            return
        config = read_json(path)
        if not config:
            return
        self.name, self.service, self.stage = config["model"], config["service"], config["stage"]
        self.log = config.get("scoring_log") or {}
        self._load(config)
        self._seen = changed

    def _load(self, config: dict[str, Any]) -> None:
        wanted = {int(number): entry for number, entry in config["versions"].items()}
        for number, entry in wanted.items():
            known = self.versions.get(number)
            if known is None or known.key != entry["key"]:
                self._add(number, entry)
        ready = {number for number, version in self.versions.items() if version.model}
        self.labels = {k: int(n) for k, n in config["labels"].items() if int(n) in ready} | {
            label: number
            for label, number in self.labels.items()
            # the old version keeps its label until the new one answers
            if label in config["labels"] and int(config["labels"][label]) not in ready
            and number in wanted
        }  # fmt: skip
        self.versions = {n: version for n, version in self.versions.items() if n in wanted}

    def _add(self, number: int, entry: dict[str, Any]) -> None:
        snapshot = Snapshot.model_validate(entry["snapshot"])
        version = Version(number, snapshot, entry["role"], entry["key"])
        known = self.versions.get(number)
        if known is None or known.model is None:
            self.versions = self.versions | {number: version}
        directory = self.directory / "models" / str(number)
        try:
            version.digest = tree_digest(tree_files(directory))
            if version.digest != snapshot.digest:
                raise ValueError(f"files have digest {version.digest}, not {snapshot.digest}")
            version.model = OnnxModel(directory, snapshot)
            version.state = "AVAILABLE"
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a model is its own state
            version.state, version.error = "END", str(error)
            print(f"version {number} cannot be served: {error}", flush=True)
        self.versions = self.versions | {number: version}

    def _follow(self) -> None:
        while True:
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001  # a server goes on with what it has
                print(f"config cannot be followed: {error}", flush=True)
                self._seen = -1
            time.sleep(LOOK_SECONDS)
