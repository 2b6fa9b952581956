"""A directory as a model repository: `<path>/<name>/<version>/manifest.yaml` and the files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from pydantic import Field

from waystage.errors import Conflict, Hopeless, NotFound, WaystageError
from waystage.plugin import JsonObject, Repository, Services, Snapshot
from waystage.plugin.snapshot import NAME
from waystage_plugins.repositories import layout
from waystage_plugins.repositories.fetching import arriving, changed, place_of
from waystage_plugins.repositories.manifest import (
    merged,
    read_manifest,
    to_snapshot,
    write_manifest,
)
from waystage_plugins.repositories.tree import (
    MANIFEST,
    SIGNATURE,
    copy_tree,
    read_signature,
    sync_directory,
    tree_digest,
    tree_files,
    write_durably,
)


class Folder(Repository):
    """Keep models in a directory, one folder per model and version.

        - name: models
          use: folder
          with: {path: models}

    `path` starts at the project. A version whose manifest states no digest is taken to be
    complete when nothing in it changed for `settle` seconds. The signature of a version is its
    file `model.sig`; like the manifest, it is no part of the digest.
    """

    use: ClassVar[str] = "folder"
    path: str = Field(min_length=1, max_length=4096)
    settle: float = Field(default=1.0, ge=0, le=3600)

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the directory is there and may be written."""
        root = self._root(ctx)
        if not root.is_dir():
            return [f"{root} is no directory; make it"]
        return [] if os.access(root, os.R_OK | os.W_OK | os.X_OK) else [f"{root} is not ours"]

    def snapshots(self, ctx: Services) -> list[Snapshot]:
        """Give every readable snapshot, oldest first; unreadable ones are logged."""
        found = []
        for directory in layout.version_directories(self._root(ctx)):
            try:
                found.append(layout.read_version(directory))
            except WaystageError as error:
                ctx.log.warning("model version left out: %s", error)
        return _oldest_first(found)

    def get(self, ctx: Services, name: str, version: str) -> Snapshot:
        """Give one snapshot; raises `NotFound`, or `Hopeless` when it cannot be read."""
        return layout.read_version(self._directory(ctx, name, version)).snapshot

    def fetch(self, ctx: Services, snapshot: Snapshot, into: Path) -> Path:
        """Copy the files to `into/<name>-<version>`; raises `Hopeless` on another digest."""
        source = self._directory(ctx, snapshot.name, snapshot.version)
        target = place_of(into, snapshot)
        if target.is_dir() and tree_digest(tree_files(target)) == snapshot.digest:
            return target
        with arriving(into, snapshot) as beside:
            if other := changed(snapshot, copy_tree(source, beside)):
                raise Hopeless(
                    f"{source} is not {snapshot.id} ({snapshot.digest}) any more: {other}"
                )
        return target

    def signature(self, ctx: Services, snapshot: Snapshot) -> bytes | None:
        """Give `model.sig` of the version; it may be put there, or replaced, at any time."""
        return read_signature(self._directory(ctx, snapshot.name, snapshot.version))

    def register(self, ctx: Services, source: Path, manifest: JsonObject, *, key: str) -> Snapshot:
        """Keep a new version; the next number if the manifest names none.

        What `manifest` says goes before a `manifest.yaml` in `source`, which may also say all.
        With an empty key the content stands for it: the same files with the same manifest are
        one version. Raises `Conflict` when another key made the version already.
        """
        own = read_manifest(source / MANIFEST) if (source / MANIFEST).exists() else {}
        wanted = merged(own, manifest)
        home = self._root(ctx) / _model_name(source, wanted)
        home.mkdir(parents=True, exist_ok=True)
        sync_directory(home.parent)
        with layout.locked(home / layout.LOCK):
            layout.sweep(home)
            beside = home / f"{layout.INCOMING}{uuid4().hex}"
            try:
                files = copy_tree(source, beside)
                layout.check_content(source / MANIFEST, wanted, files)
                key = key or _content_key(wanted, files)
                earlier = layout.version_of_key(home, key)
                if earlier is not None:
                    return earlier.snapshot
                wanted |= {"files": {**files}, "key": key}
                return self._keep(ctx, home, beside, wanted, read_signature(source))
            finally:
                shutil.rmtree(beside, ignore_errors=True)

    def alias(self, ctx: Services, name: str, alias: str) -> str | None:
        """Give the version that the alias points to; a model that is not there has none."""
        if not re.fullmatch(NAME, name):
            return None
        return layout.read_aliases(self._root(ctx) / name).get(alias)

    def set_alias(
        self, ctx: Services, name: str, alias: str, version: str, *, expect: str | None
    ) -> None:
        """Move an alias; raises `Conflict` when it points neither to `expect` nor `version`."""
        if not re.fullmatch(NAME, alias):
            raise Hopeless(f"{alias!r} is not a name for an alias")
        home = self._directory(ctx, name, version).parent
        with layout.locked(home / layout.LOCK):
            aliases = layout.read_aliases(home)
            now = aliases.get(alias)
            if now == version:
                return
            if now != expect:
                raise Conflict(
                    f"alias {alias} of {name} points to {now or 'nothing'}, "
                    f"not to {expect or 'nothing'} as expected"
                )
            content = json.dumps({**aliases, alias: version}, indent=2, sort_keys=True)
            write_durably(home / layout.ALIASES, content.encode())

    def watch(self, ctx: Services, cursor: JsonObject) -> tuple[JsonObject, list[Snapshot]]:
        """Give the complete versions that the cursor does not know yet, every file checked.

        One that cannot be read is logged, once for each reason, and tried again next time.
        """
        old = cursor.get("known")
        known = {str(place) for place in old} if isinstance(old, list) else set()
        told, troubles, new = cursor.get("troubles"), {}, []
        for directory in layout.version_directories(self._root(ctx)):
            place = f"{directory.parent.name}/{directory.name}"
            if place in known:
                continue
            try:
                if layout.settled(directory, self.settle):
                    new.append(layout.read_version(directory, whole=True))
                    known.add(place)
            except (WaystageError, OSError) as error:
                troubles[place] = str(error)
                if not isinstance(told, dict) or told.get(place) != str(error):
                    ctx.log.warning("model version not taken: %s", error)
        return {"known": [*sorted(known)], "troubles": {**troubles}}, _oldest_first(new)

    def _root(self, ctx: Services) -> Path:
        return ctx.project / self.path

    def _directory(self, ctx: Services, name: str, version: str) -> Path:
        directory = self._root(ctx) / name / version
        valid = re.fullmatch(NAME, name) and re.fullmatch(NAME, version)
        if not valid or directory.is_symlink() or not (directory / MANIFEST).is_file():
            raise NotFound(f"repository folder {self.path} has no {name}/{version}")
        return directory

    def _keep(
        self, ctx: Services, home: Path, beside: Path, wanted: JsonObject, signature: bytes | None
    ) -> Snapshot:
        """Give what was copied its manifest, its signature and its place, in one rename."""
        version = wanted.get("version") or layout.next_version(home)
        files = wanted["files"]
        manifest: JsonObject = {
            "name": home.name,
            "version": version,
            **{field: value for field, value in wanted.items() if field not in ("name", "version")},
            # its keys and values were written as texts
            "digest": tree_digest(files if isinstance(files, dict) else {}),  # type: ignore[arg-type]  # see above
            "registered": ctx.now.isoformat(),
        }
        snapshot = to_snapshot(beside / MANIFEST, manifest)
        target = home / snapshot.version
        if target.exists():
            raise Conflict(f"{snapshot.id} is in repository folder {self.path} already")
        write_durably(beside / MANIFEST, write_manifest(manifest))
        if signature is not None:
            write_durably(beside / SIGNATURE, signature)
        beside.rename(target)
        sync_directory(home)
        return snapshot


def _model_name(source: Path, manifest: JsonObject) -> str:
    name = manifest.get("name")
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise Hopeless(
            f"{source / MANIFEST}: field name: {name!r} is not a name such as credit-risk"
            if name
            else f"{source / MANIFEST}: field name: is missing"
        )
    return name


def _content_key(manifest: JsonObject, files: dict[str, str]) -> str:
    text = json.dumps([manifest, files], sort_keys=True)
    return f"content:{hashlib.sha256(text.encode()).hexdigest()}"


def _oldest_first(found: list[layout.Version]) -> list[Snapshot]:
    return [version.snapshot for version in sorted(found, key=lambda version: version.age)]
