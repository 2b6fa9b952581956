"""MLflow's model registry as a repository, over the REST API of its tracking server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from waystage.errors import Conflict, Hopeless, NotFound, Retryable, WaystageError
from waystage.plugin import JsonObject, Repository, Secret, Services, Snapshot
from waystage.plugin.snapshot import NAME
from waystage_plugins.repositories import mlflow_files as artifacts
from waystage_plugins.repositories import mlflow_model as words
from waystage_plugins.repositories.fetching import arriving, changed, place_of, readable
from waystage_plugins.repositories.layout import locked
from waystage_plugins.repositories.manifest import merged, read_manifest, to_snapshot
from waystage_plugins.repositories.mlflow_register import register, wanted
from waystage_plugins.repositories.mlflow_watch import Cursor
from waystage_plugins.repositories.mlflow_wire import Server, connected
from waystage_plugins.repositories.rest import LOCAL, basic
from waystage_plugins.repositories.tree import (
    MANIFEST,
    MAX_SIGNATURE,
    SIGNATURE,
    tree_digest,
)

MAX_NUMBER = 18  # digits of a version


class Mlflow(Repository):
    """Take models from MLflow's model registry, over its tracking server.

        - name: models
          use: mlflow
          with:
            url: https://mlflow.example.org
            user: waystage
            token: {secret: env/MLFLOW_PASSWORD}
            models: ["credit-*"]

    A registered version is a snapshot once its tag `services`, or that of the registered model,
    says which services it is for (`credit-risk, credit-limit`). `token` is sent with `user` as a
    password, without one as a bearer token. The first look at a version reads every file and
    pins its digest: files that change afterwards are refused. Artifacts must be handed out by
    the tracking server. New versions are registered with runs of `experiment`.
    """

    use: ClassVar[str] = "mlflow"
    url: str = Field(pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$", max_length=2000)
    user: str = Field(default="", max_length=200, pattern=r"^[^:]*$")
    token: Secret | None = None
    ca: str = Field(default="", max_length=4096)
    models: tuple[str, ...] = Field(default=("*",), min_length=1, max_length=1000)
    experiment: str = Field(default="waystage", min_length=1, max_length=500)

    @model_validator(mode="after")
    def _guarded(self) -> Mlflow:
        if self.user and self.token is None:
            raise ValueError("user needs a token: give its password as token: {secret: …}")
        parts = urlsplit(self.url)
        if self.token and parts.scheme == "http" and parts.hostname not in LOCAL:
            raise ValueError("a token is not sent to another machine without TLS; use https://")
        return self

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the server answers, and to us."""
        try:
            with self._server(ctx) as server:
                server.get("registered-models/search", max_results=1)
        except WaystageError as error:
            return [str(error)]
        return []

    def snapshots(self, ctx: Services) -> list[Snapshot]:
        """Give every readable snapshot, oldest first; unreadable ones are logged."""
        with self._server(ctx) as server:
            offered = self._offered(server)
            return readable(ctx, offered, lambda each: self._snapshot(ctx, server, *each))

    def get(self, ctx: Services, name: str, version: str) -> Snapshot:
        """Give one snapshot; raises `NotFound`, or `Hopeless` when it cannot be read."""
        with self._server(ctx) as server:
            return self._read(ctx, server, name, version)

    def fetch(self, ctx: Services, snapshot: Snapshot, into: Path) -> Path:
        """Copy the files to `into/<name>-<version>`; raises `Hopeless` on another digest."""
        with arriving(into, snapshot) as beside, self._server(ctx) as server:
            found = self._version(server, snapshot.name, snapshot.version)
            copied = artifacts.download(server, artifacts.place_of(server, found), beside)
            if other := changed(snapshot, copied):
                raise Hopeless(
                    f"MLflow {self.url}: {snapshot.id} is not {snapshot.digest} any more: {other}"
                )
        return place_of(into, snapshot)

    def signature(self, ctx: Services, snapshot: Snapshot) -> bytes | None:
        """Give the artifact `model.sig` beside MLmodel, as it is now."""
        with self._server(ctx) as server:
            found = self._version(server, snapshot.name, snapshot.version)
            place = artifacts.place_of(server, found)
            return artifacts.read_text(server, place, SIGNATURE, MAX_SIGNATURE)

    def register(self, ctx: Services, source: Path, manifest: JsonObject, *, key: str) -> Snapshot:
        """Upload the files with a run and register them; MLflow chooses the version.

        With an empty key the content stands for it. What `manifest` says goes before a
        `manifest.yaml` in `source`; both are kept as `manifest.yaml` beside the files.
        """
        own = read_manifest(source / MANIFEST) if (source / MANIFEST).exists() else {}
        it = wanted(source, merged(own, manifest), key)
        home = self._home(ctx)
        home.mkdir(parents=True, exist_ok=True)
        with locked(home / f".{it.name}.lock"), self._server(ctx) as server:
            version = register(server, it, self.experiment, ctx.now)
            return self._read(ctx, server, it.name, version)

    def alias(self, ctx: Services, name: str, alias: str) -> str | None:
        """Give the version that the alias points to; a model that is not there has none."""
        with self._server(ctx) as server:
            return _alias(server, name, alias)

    def set_alias(
        self, ctx: Services, name: str, alias: str, version: str, *, expect: str | None
    ) -> None:
        """Move an alias; raises `Conflict` when it points neither to `expect` nor `version`.

        MLflow moves aliases without a condition: one that somebody else moves at this very
        moment is seen afterwards at the earliest.
        """
        home = self._home(ctx)
        home.mkdir(parents=True, exist_ok=True)
        with locked(home / ".aliases.lock"), self._server(ctx) as server:
            now = _alias(server, name, alias)
            if now == version:
                return
            if now != expect:
                raise _moved(name, alias, now, expect)
            server.post(
                "registered-models/alias", {"name": name, "alias": alias, "version": version}
            )
            if (after := _alias(server, name, alias)) != version:
                raise _moved(name, alias, after, version)

    def annotate(self, ctx: Services, snapshot: Snapshot, notes: Mapping[str, str]) -> None:
        """Write notes as tags of the version; one that is there already is replaced.

        Raises `Hopeless` for a tag that says what the version is: those are not notes.
        """
        for key in notes:
            if key.startswith(words.OURS) or key in (words.SERVICES, words.AUTHOR):
                raise Hopeless(f"tag {key} says what {snapshot.id} is; give the note another name")
        with self._server(ctx) as server:
            for key, value in notes.items():
                server.post("model-versions/set-tag", {
                    "name": snapshot.name, "version": snapshot.version, "key": key, "value": value,
                })  # fmt: skip

    def watch(self, ctx: Services, cursor: JsonObject) -> tuple[JsonObject, list[Snapshot]]:
        """Give the offered versions that the cursor does not know yet, every file read.

        One that cannot be read is logged, once for each reason, and tried again later.
        """
        seen, new = Cursor(cursor), []
        with self._server(ctx) as server:
            offered = self._offered(server)
            for model in {model["name"]: model for model, _ in offered}.values():
                mine = [version for each, version in offered if each["name"] == model["name"]]
                numbers = {int(version["version"]): version for version in mine}
                taken = {number for number in numbers if seen.knows(model, number)}
                for number in sorted(numbers.keys() - taken):
                    found = self._taken(ctx, server, model, numbers[number], seen)
                    if found is not None:
                        new.append((numbers[number]["creation_timestamp"], found))
                        taken.add(number)
                seen.keep(model, taken)
        return seen.next(), [found for _, found in sorted(new, key=lambda each: each[0])]

    def _taken(
        self, ctx: Services, server: Server, model: dict[str, Any], version: dict[str, Any],
        seen: Cursor,
    ) -> Snapshot | None:  # fmt: skip
        place = f"{model['name']}/{version['version']}"
        if seen.waits(place, ctx.now):
            return None
        try:
            return self._snapshot(ctx, server, model, version)
        except WaystageError as error:
            soon = isinstance(error, Retryable)
            seen.refuse(ctx.log, place, str(error), ctx.now, soon=soon)
            return None

    @contextmanager
    def _server(self, ctx: Services) -> Iterator[Server]:
        secret = self.token.reveal(ctx) if self.token else ""
        said = basic(self.user, secret) if self.user else f"Bearer {secret}"
        with connected(ctx, self.url.rstrip("/"), self.ca, said if secret else "") as server:
            yield server

    def _offered(self, server: Server) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Give the versions that are for some service, oldest first, with their models."""
        models = {
            str(model["name"]): model
            for model in server.every("registered-models/search", "registered_models")
            if any(fnmatchcase(str(model["name"]), glob) for glob in self.models)
        }
        if not models:
            return []
        versions = [
            (models[str(version["name"])], version)
            for version in server.every("model-versions/search", "model_versions")
            if str(version["name"]) in models and version.get("status") == "READY"
        ]
        mine = [each for each in versions if words.services_of(_tags(*each))]
        return sorted(mine, key=lambda each: (
            each[1]["creation_timestamp"], each[1]["name"], int(each[1]["version"]),
        ))  # fmt: skip

    def _version(self, server: Server, name: str, version: str) -> dict[str, Any]:
        """Ask for one version; raises `NotFound`, also for what MLflow would not understand."""
        if not re.fullmatch(rf"[0-9]{{1,{MAX_NUMBER}}}", version) or not re.fullmatch(NAME, name):
            raise NotFound(f"MLflow {self.url} has no {name}/{version}")
        told = server.get("model-versions/get", name=name, version=version)
        return dict(told["model_version"])

    def _read(self, ctx: Services, server: Server, name: str, version: str) -> Snapshot:
        found = self._version(server, name, version)
        model = server.get("registered-models/get", name=name)["registered_model"]
        return self._snapshot(ctx, server, model, found)

    def _snapshot(
        self, ctx: Services, server: Server, model: dict[str, Any], version: dict[str, Any]
    ) -> Snapshot:
        """Make a snapshot of what MLflow tells of a version and of its pinned files."""
        name, number = str(version["name"]), str(version["version"])
        if not re.fullmatch(NAME, name):
            raise Hopeless(
                f"MLflow {self.url}: {name!r} is no name for a model here: small letters, digits, "
                f". _ and - only; rename the registered model"
            )
        home = self._home(ctx) / name / number
        files = artifacts.pin(server, artifacts.place_of(server, version), home)
        tags, digest = _tags(model, version), tree_digest(files)
        stated = tags.get(words.DIGEST, digest)
        if stated != digest:
            raise Hopeless(
                f"MLflow {self.url}: {name}/{number}: its files are {digest}, not {stated} as its "
                f"tag {words.DIGEST} says: they were changed"
            )
        fields = words.described(tags, _run(server, version), home, files)
        pinned: JsonObject = {"name": name, "version": number, "digest": digest, "files": {**files}}
        return to_snapshot(Path(f"{name}/{number}"), fields | pinned)

    def _home(self, ctx: Services) -> Path:
        """Give the directory where the first looks at this server's versions are kept."""
        return ctx.state / "mlflow" / hashlib.sha256(self.url.encode()).hexdigest()[:16]


def _tags(model: dict[str, Any], version: dict[str, Any]) -> dict[str, str]:
    return words.tags_of(model) | words.tags_of(version)


def _run(server: Server, version: dict[str, Any]) -> dict[str, Any]:
    """Give the run that logged a version; {}: there is none, or it was deleted."""
    run = version.get("run_id")
    try:
        return dict(server.get("runs/get", run_id=str(run))["run"]) if run else {}
    except NotFound:
        return {}


def _alias(server: Server, name: str, alias: str) -> str | None:
    try:
        model = server.get("registered-models/get", name=name)["registered_model"]
    except NotFound:
        return None
    pairs = {str(each["alias"]): str(each["version"]) for each in model.get("aliases", [])}
    return pairs.get(alias)


def _moved(name: str, alias: str, now: str | None, expect: str | None) -> Conflict:
    return Conflict(
        f"alias {alias} of {name} points to {now or 'nothing'}, "
        f"not to {expect or 'nothing'} as expected"
    )
