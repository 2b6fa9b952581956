"""Registering a directory of model files as a new version of a model in SAS Model Manager.

A model's present version is marked with the key and with the version that it began from before
it is frozen, so that an attempt which died anywhere is gone on with, and a version whose files are
not all there is told from a whole one.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from waystage.errors import Conflict, Hopeless, NotFound, Retryable
from waystage_plugins.repositories import sas_files as files
from waystage_plugins.repositories import sas_model as words
from waystage_plugins.repositories.manifest import write_manifest
from waystage_plugins.repositories.mlflow_files import checked
from waystage_plugins.repositories.mlflow_register import Registration
from waystage_plugins.repositories.sas_wire import VERSION, Viya
from waystage_plugins.repositories.tree import MANIFEST, SIGNATURE, read_signature

FIRST = "-"  # what a model's first version began from


def register(viya: Viya, it: Registration, project: str) -> tuple[str, str]:
    """Upload and register under the key; give the model's id and the version's name."""
    try:
        model = _model(viya, it, project)
        for version in versions(viya, model):
            if words.is_whole(version) and words.properties(version).get(words.KEY) == it.key:
                return model, words.version_of(version)
        mark = _begin(viya, it, model)
        _fill(viya, it, model)
        return model, _end(viya, it, model, mark)
    except Conflict as error:
        raise Retryable(f"{it.name} was changed by somebody else meanwhile: {error}") from error


def versions(
    viya: Viya, model: str, known: Callable[[str], bool] | None = None
) -> list[dict[str, Any]]:
    """Give every version of a model with all that is said of it, the present one too.

    `known` is asked by the version's name, where the list has it, for those to leave out: each
    costs a request.
    """
    found = []
    for each in viya.every(f"/models/{model}/versions"):
        name = str(each.get("modelVersionName") or "")
        if name and known and known(name):
            continue
        number = checked(str(each.get("id", "")), model)
        kind = (f"/models/{model}",) if number == model else (
            f"/models/{model}/modelVersions/{number}", VERSION)  # fmt: skip
        found.append(viya.get(*kind)[0])
    return found


def contents_of(model: str, version: dict[str, Any]) -> str:
    """Give where the files of a version are asked for."""
    number = checked(str(version.get("id", "")), model)
    within = "" if number == model else f"/modelVersions/{number}"
    return f"/models/{model}{within}/contents"


def _model(viya: Viya, it: Registration, project: str) -> str:
    """Give the id of the project's model of that name; one that is not there is made."""
    home = next((e for e in viya.every("/projects") if e.get("name") == project), None)
    if home is None:
        raise Hopeless(f"SAS Viya {viya.url} has no project {project!r}; make it there first")
    mine = [
        each for each in viya.every("/models")
        if each.get("projectId") == home["id"] and words.slug(str(each.get("name"))) == it.name
    ]  # fmt: skip
    if len(mine) > 1:
        raise Hopeless(f"SAS Viya {viya.url}: project {project} has several models {it.name}")
    if mine:
        return str(mine[0]["id"])
    began = {"name": words.NEXT, "value": f"{it.key} {FIRST}", "type": "string"}
    wanted = {"name": it.name, "projectId": home["id"], "properties": [began]}
    told = viya.post("/models", wanted)
    # where models are made there may be several in one answer
    made = told["items"][0] if told.get("items") else told
    return str(made["id"])


def _begin(viya: Viya, it: Registration, model: str) -> str:
    """Have a present version that is this key's and not whole yet; give what marks it so."""
    present, etag = viya.get(f"/models/{model}")
    version = words.version_of(present)
    told = words.properties(present).get(words.NEXT, "")
    whole = words.is_whole(present)
    base = version if whole else told.partition(" ")[2]
    wanted = f"{it.key} {base}"
    if told != wanted:
        changed = words.with_properties(present, {words.NEXT: wanted})
        viya.put(f"/models/{model}", changed, etag)
    if whole:
        viya.post(f"/models/{model}/modelVersions", {"option": "major"}, VERSION)
    return wanted


def _fill(viya: Viya, it: Registration, model: str) -> None:
    """Put the files there in the place of what the version before had."""
    for each in list(viya.every(f"/models/{model}/contents")):
        number = checked(str(each.get("id", "")), model)
        viya.delete(f"/models/{model}/contents/{number}")
    where = f"/models/{model}/contents"
    for path in it.files:
        with (it.source / path).open("rb") as content:
            viya.upload(where, files.content_name(path), content)
    viya.upload(where, MANIFEST, io.BytesIO(write_manifest(it.manifest)))
    signature = read_signature(it.source)
    if signature is not None:
        viya.upload(where, SIGNATURE, io.BytesIO(signature))


def _end(viya: Viya, it: Registration, model: str, mark: str) -> str:
    """Say of the version what it is; from now on it is whole.

    Raises `Conflict` when somebody else went on with it under another key.
    """
    present, etag = viya.get(f"/models/{model}")
    if (now := words.properties(present).get(words.NEXT, "")) != mark:
        raise Conflict(f"its property {words.NEXT} is {now!r}, no longer {mark!r}")
    services, tags = it.manifest.get("services"), it.manifest.get("tags")
    said = {str(k): str(v) for k, v in tags.items()} if isinstance(tags, dict) else {}
    said |= {words.KEY: it.key, words.DIGEST: it.digest}
    if isinstance(services, list):
        said[words.SERVICES] = ",".join(map(str, services))
    changed = words.with_properties(present, {**said, words.NEXT: None})
    changed["inputVariables"] = words.variables(it.manifest.get("inputs"), "input")
    changed["outputVariables"] = words.variables(it.manifest.get("outputs"), "output")
    viya.put(f"/models/{model}", changed, etag)
    return words.version_of(present)


def find(viya: Viya, models: list[dict[str, Any]], name: str, version: str) -> dict[str, Any]:
    """Give a whole version of the one model of that name; raises `NotFound`."""
    for model in models:
        if words.slug(str(model.get("name"))) == name:
            for each in versions(viya, str(model["id"])):
                if words.version_of(each) == version and words.is_whole(each):
                    return each | {"modelId": str(model["id"])}
    raise NotFound(f"SAS Viya {viya.url} has no {name}/{version}")
