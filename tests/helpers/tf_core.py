"""What a model server holds and by which rules, after TensorFlow Serving's: for tests.

It serves real SavedModels by TensorFlow where that can be imported. Elsewhere, and for models
whose `variables/tiny.json` says so, it works out `sigmoid(slope * income + owner)` itself
(`number` names another input than `income`). Labels
of versions that are not loaded, versions that cannot be loaded and unknown signatures are refused
as TensorFlow Serving does.
"""

from __future__ import annotations

import importlib
import json
import math
import re
import threading
import time
from pathlib import Path
from typing import Any

from waystage_plugins.steps.savedmodel import Signature, serving_signature
from waystage_plugins.tfserving.messages import message
from waystage_plugins.tfserving.models_config import ServedModel
from waystage_plugins.tfserving.tensors import from_tensor
from waystage_plugins.tfserving.warmup import PLACE, read_records


class Wrong(Exception):
    """What a request gets instead of an answer: a code of gRPC and a text."""

    def __init__(self, code: str, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(text)


class Version:
    """A loaded version, or what is known of one that was not."""

    def __init__(self, number: int, place: Path) -> None:
        self.number, self.place = number, place
        self.state, self.error, self.warmed = "LOADING", "", 0
        self.signature = Signature("", {}, {})

    def load(self) -> None:
        """Load it and warm it up."""
        try:
            self.signature = serving_signature(self.place)
            self._score = _scorer(self.place)
            self._warm_up()
            self.state = "AVAILABLE"
        except Exception as error:  # noqa: BLE001  # whatever a model brings
            self.state, self.error = "END", f"cannot load {self.place}: {error}"
            print(self.error, flush=True)

    def score(self, inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Give the outputs for these inputs."""
        if unknown := sorted(set(inputs) ^ set(self.signature.inputs)):
            raise Wrong("INVALID_ARGUMENT", f"input keys differ from the signature: {unknown}")
        found: dict[str, list[Any]] = self._score(inputs)
        return found

    def _warm_up(self) -> None:
        file = self.place / PLACE
        for record in read_records(file.read_bytes()) if file.is_file() else ():
            asked = message("PredictionLog").FromString(record).predict_log.request
            self.score({name: from_tensor(each) for name, each in asked.inputs.items()})
            self.warmed += 1


def _scorer(place: Path) -> Any:
    tiny = place / "variables" / "tiny.json"
    if tiny.is_file():
        told = json.loads(tiny.read_text())
        time.sleep(told.get("seconds", 0))
        if told.get("eats"):
            held = bytearray(told["eats"] << 20)
            held[::4096] = b"x" * len(held[::4096])
        return lambda inputs: _tiny(told, inputs)
    tf: Any = importlib.import_module("tensorflow")  # where it is: it is no dependency
    loaded = tf.saved_model.load(str(place))  # kept: its variables live as long as it does
    called = loaded.signatures["serving_default"]
    wanted = called.structured_input_signature[1]

    def score(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
        assert loaded is not None
        tensors = {name: tf.constant(v, wanted[name].dtype) for name, v in inputs.items()}
        return {name: each.numpy().tolist() for name, each in called(**tensors).items()}

    return score


def _tiny(told: dict[str, Any], inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    numbers = inputs[told.get("number", "income")]
    if told.get("nan"):
        return {"score": [math.nan for _ in numbers]}
    owners = inputs.get("owner", [False] * len(numbers))
    slope, pairs = told.get("slope", 0.01), zip(numbers, owners, strict=True)
    return {"score": [1 / (1 + math.exp(-slope * float(i) - float(o))) for i, o in pairs]}


class Core:
    """What is loaded, and which labels lead where: the rules of TensorFlow Serving."""

    def __init__(self, *, early_labels: bool) -> None:
        self.models: dict[str, ServedModel] = {}
        self.versions: dict[str, dict[int, Version]] = {}
        self.labels: dict[str, dict[str, int]] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.moves: list[tuple[str, dict[str, int], list[int]]] = []
        self._early, self._lock = early_labels, threading.RLock()

    def follow(self, models: list[ServedModel], *, wait: bool = False) -> None:
        """Serve these; raises `Wrong` and keeps all as it is for a label that may not move."""
        with self._lock:
            for model in models:
                self._check_labels(model)
            for gone in set(self.models) - {model.name for model in models}:
                self.versions.pop(gone)
                self.models.pop(gone)
                self.labels.pop(gone, None)
            threads = [each for model in models for each in self._load(model)]
        for thread in threads if wait else ():
            thread.join()

    def _check_labels(self, model: ServedModel) -> None:
        held, known = self.labels.get(model.name, {}), self.versions.get(model.name, {})
        for label, number in model.labels.items():
            there = number in known and known[number].state == "AVAILABLE"
            if held.get(label) != number and not there and not (self._early and label not in held):
                raise Wrong(
                    "FAILED_PRECONDITION",
                    f"Request to assign label {label} to version {number} of model "
                    f"{model.name}, which is not currently available for inference",
                )

    def _load(self, model: ServedModel) -> list[threading.Thread]:
        known, threads = self.versions.setdefault(model.name, {}), []
        wanted = _wanted(model)
        for number in set(known) - set(wanted):
            known.pop(number)
        for number, place in wanted.items():
            if number not in known:
                known[number] = Version(number, place)
                threads.append(threading.Thread(target=known[number].load, daemon=True))
                threads[-1].start()
        self.models[model.name], self.labels[model.name] = model, dict(model.labels)
        self.moves.append((model.name, dict(model.labels), sorted(known)))
        return threads

    def find(self, name: str, target: int | str = "") -> Version:
        """Give the version that a request is for; raises `Wrong`."""
        with self._lock:
            known = self.versions.get(name, {})
            ready = [n for n, each in known.items() if each.state == "AVAILABLE"]
            if isinstance(target, str) and target:
                if target not in self.labels.get(name, {}):
                    raise Wrong(
                        "INVALID_ARGUMENT", f"Unrecognized servable version label: {target}"
                    )
                target = self.labels[name][target]
            number = target or max(ready, default=0)
            if number not in ready:
                raise Wrong("NOT_FOUND", f"Servable not found for request: {name} {target}")
            return known[int(number)]

    def states(self, name: str, target: int | str = "") -> list[Version]:
        """Give the versions of a model; raises `Wrong` when there are none."""
        with self._lock:
            if isinstance(target, str) and target:
                return [self.find(name, target)]
            known = self.versions.get(name, {})
            found = [known[n] for n in sorted(known, reverse=True) if target in ("", n)]
            if not found:
                raise Wrong("NOT_FOUND", f"Could not find any versions of model {name}")
            return found

    def count(self, model: str, status: str) -> None:
        """Count a request for Prometheus."""
        with self._lock:
            self.counts[model, status] = self.counts.get((model, status), 0) + 1


def _wanted(model: ServedModel) -> dict[int, Path]:
    home = Path(model.base_path)
    found = {int(each.name): each for each in home.glob("*") if re.fullmatch(r"\d+", each.name)}
    if model.versions.policy == "specific":
        return {number: found[number] for number in model.versions.numbers if number in found}
    newest = sorted(found, reverse=True)
    keep = newest if model.versions.policy == "all" else newest[: model.versions.count]
    return {number: found[number] for number in keep}
