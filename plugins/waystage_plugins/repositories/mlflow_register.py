"""Registering a directory of model files as a new version of a model in MLflow."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from waystage.errors import Conflict, Hopeless, NotFound
from waystage.plugin import JsonObject
from waystage.plugin.snapshot import NAME
from waystage_plugins.repositories import mlflow_files as artifacts
from waystage_plugins.repositories import mlflow_model as words
from waystage_plugins.repositories.layout import check_content
from waystage_plugins.repositories.manifest import write_manifest
from waystage_plugins.repositories.mlflow_wire import Server
from waystage_plugins.repositories.tree import (
    MANIFEST,
    SIGNATURE,
    read_signature,
    tree_digest,
    tree_files,
)


class Registration(NamedTuple):
    """What is to be registered: files, what is said of them, and what tells repeats apart."""

    source: Path
    manifest: JsonObject
    files: dict[str, str]
    key: str

    @property
    def name(self) -> str:
        """The registered model's name."""
        return str(self.manifest["name"])

    @property
    def digest(self) -> str:
        """The digest of the files."""
        return tree_digest(self.files)


def wanted(source: Path, manifest: JsonObject, key: str) -> Registration:
    """Read what is to be registered; raises `Hopeless` for what MLflow could not keep."""
    name, place = manifest.get("name"), source / MANIFEST
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise Hopeless(f"{place}: field name: {name!r} is not a name such as credit-risk")
    if manifest.get("version") is not None:
        raise Hopeless(f"{place}: field version: MLflow numbers versions itself; leave it out")
    files = tree_files(source)
    check_content(place, manifest, files)
    content = json.dumps([manifest, files], sort_keys=True)
    # a key is one model's; a tag is no place for any text: its digest stands for it
    mark = hashlib.sha256(f"{name}\0{key or content}".encode()).hexdigest()
    return Registration(source, manifest, files, mark)


def register(server: Server, it: Registration, experiment: str, now: datetime) -> str:
    """Upload and register under the key; give the version, also of an earlier time.

    What an attempt left that died on the way is found by the key and gone on with.
    """
    with suppress(Conflict):  # it is there already
        server.post("registered-models/create", {"name": it.name})
    for version in server.every("model-versions/search", "model_versions", filter=_named(it.name)):
        if words.tags_of(version).get(words.KEY) == it.key:
            return str(version["version"])
    run = _run(server, it, experiment, now)
    uri = f"{run['info']['artifact_uri']}/model-{it.digest.removeprefix('sha256:')[:12]}"
    _upload(server, it, artifacts.proxied(server, uri, f"the run of {it.name}"))
    run_id = str(run["info"]["run_id"])
    _log(server, it, run_id, now)
    made = server.post("model-versions/create", {
        "name": it.name, "source": uri, "run_id": run_id, "tags": _tags(it),
    })  # fmt: skip
    return str(made["model_version"]["version"])


def _named(name: str) -> str:
    return f"name='{name}'"  # a name such as NAME has it needs no quoting


def _run(server: Server, it: Registration, experiment: str, now: datetime) -> dict[str, Any]:
    """Give the run that the files belong to: MLflow keeps artifacts by runs."""
    home = _experiment(server, experiment)
    asked: JsonObject = {"experiment_ids": [home], "filter": f"tags.`{words.KEY}` = '{it.key}'"}
    found = server.post("runs/search", asked).get("runs", [])
    if found:
        return dict(found[0])
    told = server.post("runs/create", {
        "experiment_id": home,
        "start_time": _millis(now),
        "run_name": f"waystage: {it.name}",
        "tags": [{"key": words.KEY, "value": it.key}],
    })  # fmt: skip
    return dict(told["run"])


def _experiment(server: Server, name: str) -> str:
    try:
        told = server.get("experiments/get-by-name", experiment_name=name)
        return str(told["experiment"]["experiment_id"])
    except NotFound:
        return str(server.post("experiments/create", {"name": name})["experiment_id"])


def _upload(server: Server, it: Registration, path: str) -> None:
    artifacts.upload(server, it.source, it.files, path)
    server.upload(f"{path}/{MANIFEST}", write_manifest(it.manifest))
    signature = read_signature(it.source)
    if signature is not None:
        server.upload(f"{path}/{SIGNATURE}", signature)


def _log(server: Server, it: Registration, run: str, now: datetime) -> None:
    """Have the run show the metrics, and end it."""
    metrics = it.manifest.get("metrics")
    values: list[Any] = [
        {"key": key, "value": value, "timestamp": _millis(now), "step": 0}
        for key, value in (metrics if isinstance(metrics, dict) else {}).items()
    ]
    if values:
        server.post("runs/log-batch", {"run_id": run, "metrics": values})
    server.post("runs/update", {"run_id": run, "status": "FINISHED", "end_time": _millis(now)})


def _tags(it: Registration) -> list[Any]:
    tags, services = it.manifest.get("tags"), it.manifest.get("services")
    told = {str(k): str(v) for k, v in tags.items()} if isinstance(tags, dict) else {}
    told |= {words.KEY: it.key, words.DIGEST: it.digest}
    if isinstance(services, list) and services:
        told[words.SERVICES] = ",".join(map(str, services))
    return [{"key": key, "value": value} for key, value in told.items()]


def _millis(now: datetime) -> int:
    return int(now.timestamp() * 1000)
