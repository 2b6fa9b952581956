"""SAS Model Manager's model repository as a repository, over the REST API of SAS Viya."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import Field, model_validator

from waystage.errors import Conflict, Hopeless, Retryable, WaystageError
from waystage.plugin import JsonObject, Repository, Secret, Services, Snapshot
from waystage.plugin.snapshot import NAME
from waystage_plugins.repositories import sas_files as files
from waystage_plugins.repositories import sas_model as words
from waystage_plugins.repositories import sas_register as registering
from waystage_plugins.repositories.fetching import arriving, changed, place_of, readable
from waystage_plugins.repositories.layout import locked
from waystage_plugins.repositories.manifest import merged, read_manifest, to_snapshot
from waystage_plugins.repositories.mlflow_register import wanted
from waystage_plugins.repositories.rest import LOCAL
from waystage_plugins.repositories.sas_watch import Cursor
from waystage_plugins.repositories.sas_wire import Login, Viya, connected
from waystage_plugins.repositories.tree import (
    MANIFEST,
    MAX_SIGNATURE,
    SIGNATURE,
    tree_digest,
)


class Sas(Repository):
    """Take models from SAS Model Manager, over SAS Viya's model repository.

        - name: models
          use: sas
          with:
            url: https://viya.example.org
            client: waystage
            client_secret: {secret: env/SAS_CLIENT_SECRET}
            projects: ["Credit*"]
            project: Credit Risk

    A version of a model is a snapshot once the model's property `services` says which services
    it is for (`credit-risk, credit-limit`); its name is the model's in small letters. SAS Logon
    gives tokens to a `client` with its secret, or to a `user` with a `password`; or say a `token`.
    The first look at a version reads every file and pins its digest. New versions are registered
    in `project`.
    """

    use: ClassVar[str] = "sas"
    url: str = Field(pattern=r"^https?://[^\s/@?#]+/?$", max_length=2000)
    token: Secret | None = None
    client: str = Field(default="", max_length=200, pattern=r"^[^:]*$")
    client_secret: Secret | None = None
    user: str = Field(default="", max_length=200)
    password: Secret | None = None
    ca: str = Field(default="", max_length=4096)
    projects: tuple[str, ...] = Field(default=("*",), min_length=1, max_length=1000)
    project: str = Field(default="", max_length=200, description="where models are registered")

    @model_validator(mode="after")
    def _guarded(self) -> Sas:
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password belong together")
        by_client = self.client_secret is not None and not self.user
        if (self.token is not None) + by_client + bool(self.user) != 1:
            raise ValueError("say either token, client and client_secret, or user and password")
        if self.client_secret is not None and not self.client:
            raise ValueError("client_secret needs its client")
        parts = urlsplit(self.url)
        if parts.scheme == "http" and parts.hostname not in LOCAL:
            raise ValueError("secrets are not sent to another machine without TLS; use https://")
        return self

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether SAS Viya answers, and to us."""
        try:
            with self._viya(ctx) as viya:
                next(viya.every("/projects"), None)
        except WaystageError as error:
            return [str(error)]
        return []

    def snapshots(self, ctx: Services) -> list[Snapshot]:
        """Give every readable snapshot, oldest first; unreadable ones are logged."""
        with self._viya(ctx) as viya:
            offered = self._offered(viya)
            return readable(ctx, offered, lambda version: self._snapshot(ctx, viya, version))

    def get(self, ctx: Services, name: str, version: str) -> Snapshot:
        """Give one snapshot; raises `NotFound`, or `Hopeless` when it cannot be read."""
        with self._viya(ctx) as viya:
            found = registering.find(viya, self._models(viya), name, version)
            return self._snapshot(ctx, viya, found)

    def fetch(self, ctx: Services, snapshot: Snapshot, into: Path) -> Path:
        """Copy the files to `into/<name>-<version>`; raises `Hopeless` on another digest."""
        with arriving(into, snapshot) as beside, self._viya(ctx) as viya:
            copied = files.download(viya, self._place(viya, snapshot), beside)
            if other := changed(snapshot, copied):
                raise Hopeless(
                    f"SAS Viya {self.url}: {snapshot.id} is not {snapshot.digest} any more: {other}"
                )
        return place_of(into, snapshot)

    def signature(self, ctx: Services, snapshot: Snapshot) -> bytes | None:
        """Give the file `model.sig` of the version, as it is now."""
        with self._viya(ctx) as viya:
            place = self._place(viya, snapshot)
            return files.read_named(viya, place, SIGNATURE, MAX_SIGNATURE)

    def register(self, ctx: Services, source: Path, manifest: JsonObject, *, key: str) -> Snapshot:
        """Upload the files as a new version of the model of that name; SAS numbers it.

        With an empty key the content stands for it. What `manifest` says goes before a
        `manifest.yaml` in `source`; both are kept as `manifest.yaml` among the files.
        """
        if not self.project:
            raise Hopeless("sas: say the project that models are registered in, as project:")
        own = read_manifest(source / MANIFEST) if (source / MANIFEST).exists() else {}
        it = wanted(source, merged(own, manifest), key)
        with self._alone(ctx, it.name), self._viya(ctx) as viya:
            model, version = registering.register(viya, it, self.project)
            found = [each for each in registering.versions(viya, model)
                     if words.version_of(each) == version]  # fmt: skip
            return self._snapshot(ctx, viya, found[0] | {"modelId": model})

    def alias(self, ctx: Services, name: str, alias: str) -> str | None:
        """Give the version that the alias points to; a model that is not there has none."""
        with self._viya(ctx) as viya:
            for model in self._models(viya):
                if words.slug(str(model.get("name"))) == name:
                    present, _ = viya.get(f"/models/{model['id']}")
                    return words.properties(present).get(words.ALIAS + alias)
        return None

    def set_alias(
        self, ctx: Services, name: str, alias: str, version: str, *, expect: str | None
    ) -> None:
        """Move an alias, a property of the model; raises `Conflict` when it points elsewhere.

        SAS's own champion of the project is not touched: that is its owners' to say.
        """
        with self._alone(ctx, name), self._viya(ctx) as viya:
            found = registering.find(viya, self._models(viya), name, version)
            present, etag = viya.get(f"/models/{found['modelId']}")
            now = words.properties(present).get(words.ALIAS + alias)
            if now == version:
                return
            if now != expect:
                raise Conflict(
                    f"alias {alias} of {name} points to {now or 'nothing'}, "
                    f"not to {expect or 'nothing'} as expected"
                )
            changed = words.with_properties(present, {words.ALIAS + alias: version})
            viya.put(f"/models/{found['modelId']}", changed, etag)

    def annotate(self, ctx: Services, snapshot: Snapshot, notes: Mapping[str, str]) -> None:
        """Write notes as properties of the model; one that is there already is replaced.

        Raises `Hopeless` for an earlier version, which SAS keeps as it was, and for a property
        that says what the version is.
        """
        for key in notes:
            if key.startswith(words.OURS) or key in (words.SERVICES, words.FORMAT):
                raise Hopeless(f"property {key} says what {snapshot.id} is; name the note else")
        with self._alone(ctx, snapshot.name), self._viya(ctx) as viya:
            name, version = snapshot.name, snapshot.version
            found = registering.find(viya, self._models(viya), name, version)
            if found["id"] != found["modelId"]:
                raise Hopeless(f"{snapshot.id} is an earlier version: SAS keeps it as it was")
            present, etag = viya.get(f"/models/{found['modelId']}")
            viya.put(f"/models/{found['modelId']}", words.with_properties(present, notes), etag)

    def watch(self, ctx: Services, cursor: JsonObject) -> tuple[JsonObject, list[Snapshot]]:
        """Give the offered versions that the cursor does not know yet, every file read.

        One that cannot be read is logged, once for each reason, and tried again later.
        """
        seen, new = Cursor(cursor), []
        with self._viya(ctx) as viya:
            for version in self._offered(viya, seen.keeps):
                model, name = str(version["modelId"]), words.version_of(version)
                if seen.keeps(model, name):
                    continue  # the list had no name of it
                place = f"{words.slug(str(version.get('name')))}/{name}"
                if seen.waits(place, ctx.now):
                    continue
                try:
                    new.append(self._snapshot(ctx, viya, version))
                    seen.keep(model, name)
                except WaystageError as error:
                    soon = isinstance(error, Retryable)
                    seen.refuse(ctx.log, place, str(error), ctx.now, soon=soon)
        return seen.next(), new

    @contextmanager
    def _viya(self, ctx: Services) -> Iterator[Viya]:
        def told(secret: Secret | None) -> str:
            return secret.reveal(ctx) if secret else ""

        login = Login(told(self.token), self.client, told(self.client_secret), self.user,
                      told(self.password))  # fmt: skip
        with connected(ctx, self.url.rstrip("/"), self.ca, login) as viya:
            yield viya

    @contextmanager
    def _alone(self, ctx: Services, name: str) -> Iterator[None]:
        home = self._home(ctx)
        home.mkdir(parents=True, exist_ok=True)
        with locked(home / f".{name}.lock"):
            yield

    def _models(self, viya: Viya) -> list[dict[str, Any]]:
        """Give the models of the projects that are looked at, oldest first."""
        found = [
            each for each in viya.every("/models")
            if any(fnmatchcase(str(each.get("projectName", "")), glob) for glob in self.projects)
        ]  # fmt: skip
        return sorted(found, key=lambda each: (str(each.get("creationTimeStamp")), str(each["id"])))

    def _offered(
        self, viya: Viya, known: Callable[[str, str], bool] = lambda model, name: False
    ) -> list[dict[str, Any]]:
        """Give the whole versions that are for some service and not known, oldest first."""
        models = self._models(viya)
        named = Counter(words.slug(str(each.get("name"))) for each in models)
        found = []
        for model in models:
            number = str(model["id"])
            for each in registering.versions(viya, number, partial(known, number)):
                if words.services_of(each) and words.is_whole(each):
                    twice = named[words.slug(str(model.get("name")))] > 1
                    found.append(each | {"modelId": number, "twice": twice})
        return sorted(found, key=lambda each: (
            str(each.get("creationTimeStamp")), str(each.get("name")), _natural(each),
        ))  # fmt: skip

    def _place(self, viya: Viya, snapshot: Snapshot) -> files.Place:
        found = registering.find(viya, self._models(viya), snapshot.name, snapshot.version)
        return _place_of(found)

    def _snapshot(self, ctx: Services, viya: Viya, version: dict[str, Any]) -> Snapshot:
        """Make a snapshot of what SAS tells of a version and of its pinned files."""
        place = _place_of(version)
        name = words.slug(str(version.get("name")))
        if version.get("twice"):
            raise Hopeless(
                f"SAS Viya {self.url}: several models are {name} here; rename one, or choose "
                f"projects: so that one is left"
            )
        if not re.fullmatch(NAME, name) or not re.fullmatch(NAME, place.version):
            raise Hopeless(f"SAS Viya {self.url}: {place.id!r} cannot be a name and a version here")
        pinned = files.pin(viya, place, self._home(ctx) / files.content_name(place.model))
        digest = tree_digest(pinned.files)
        stated = words.properties(version).get(words.DIGEST, digest)
        if stated != digest:
            raise Hopeless(
                f"SAS Viya {self.url}: {place.id}: its files are {digest}, not {stated} as its "
                f"property {words.DIGEST} says: they were changed"
            )
        fields = words.described(version, pinned.texts, pinned.files, place.id)
        if MANIFEST in pinned.texts:
            home = self._home(ctx) / f".{uuid4().hex}.yaml"
            home.write_bytes(pinned.texts[MANIFEST])
            try:
                fields = merged(fields, read_manifest(home))
            finally:
                home.unlink()
        own: JsonObject = {"name": name, "version": place.version, "digest": digest,
                           "files": {**pinned.files}}  # fmt: skip
        return to_snapshot(Path(place.id), fields | own)

    def _home(self, ctx: Services) -> Path:
        """Give the directory where the first looks at this server's versions are kept."""
        return ctx.state / "sas" / hashlib.sha256(self.url.encode()).hexdigest()[:16]


def _place_of(version: dict[str, Any]) -> files.Place:
    model, name = str(version["modelId"]), words.version_of(version)
    called = f"{words.slug(str(version.get('name')))}/{name}"
    return files.Place(called, model, name, registering.contents_of(model, version))


def _natural(version: dict[str, Any]) -> list[int]:
    return [int(part) for part in re.findall(r"[0-9]+", words.version_of(version))]
