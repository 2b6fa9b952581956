"""How a folder repository lies on disk, and how several processes share it."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from waystage.clock import wall_seconds
from waystage.errors import Hopeless
from waystage.plugin import JsonObject, Snapshot
from waystage.plugin.snapshot import DIGEST, NAME
from waystage_plugins.repositories.manifest import read_manifest, to_snapshot
from waystage_plugins.repositories.tree import MANIFEST, difference, tree_digest, tree_files

ALIASES = "aliases.json"
INCOMING = ".incoming-"
LOCK = ".lock"


class Version(NamedTuple):
    """A version that lies in the repository; versions sort by when they came there."""

    registered: str
    natural: tuple[tuple[int, str], ...]
    snapshot: Snapshot
    key: str

    @property
    def age(self) -> tuple[object, ...]:
        """What to sort by for the oldest first."""
        return (self.registered, self.snapshot.name, self.natural)


def version_directories(root: Path) -> Iterator[Path]:
    """Give every directory that could be a version and has a manifest."""
    for home in _named(root):
        for directory in _named(home):
            if (directory / MANIFEST).is_file():
                yield directory


def read_version(directory: Path, *, whole: bool = False) -> Version:
    """Read a version; `whole` checks every byte also when the manifest lists the digests.

    Raises `Hopeless` with one line that names the file and what is wrong.
    """
    place = directory / MANIFEST
    manifest = read_manifest(place)
    for field, expected in (("name", directory.parent.name), ("version", directory.name)):
        if manifest.setdefault(field, expected) != expected:
            raise Hopeless(
                f"{place}: field {field}: is {manifest[field]!r} but the folder is {expected!r}"
            )
    listed = manifest.get("files") and manifest.get("digest")
    if whole or not listed:
        actual = tree_files(directory)
        check_content(place, manifest, actual)
        manifest |= {"files": {**actual}, "digest": tree_digest(actual)}
    snapshot = to_snapshot(place, manifest)
    _check_listed(place, snapshot)
    registered, key = manifest.get("registered"), manifest.get("key")
    if not isinstance(registered, str):
        registered = datetime.fromtimestamp(place.stat().st_mtime, UTC).isoformat()
    return Version(registered, _natural(directory.name), snapshot, str(key or ""))


def check_content(place: Path, manifest: JsonObject, actual: Mapping[str, str]) -> None:
    """Hold files against what a manifest says of them; raises `Hopeless`."""
    if not actual:
        raise Hopeless(f"{place.parent} has no files beside its manifest")
    files, digest = manifest.get("files"), manifest.get("digest")
    if files:
        expected = {str(k): str(v) for k, v in files.items()} if isinstance(files, dict) else {}
        if other := difference(expected, actual):
            raise Hopeless(f"{place}: field files: {other}")
    if digest and digest != tree_digest(actual):
        raise Hopeless(
            f"{place}: field digest: is {digest} but the files are {tree_digest(actual)}"
        )


def settled(directory: Path, seconds: float) -> bool:
    """Whether a version is complete: it states its digest, or nothing changed for a while."""
    if read_manifest(directory / MANIFEST).get("digest"):
        return True
    paths = [directory, *directory.rglob("*")]
    changed = max(path.lstat().st_mtime for path in paths)
    return abs(wall_seconds() - changed) >= seconds


def next_version(home: Path) -> str:
    """Give the number after the highest whole number that any version has."""
    numbers = [int(path.name) for path in _named(home) if re.fullmatch(r"[0-9]+", path.name)]
    return str(max(numbers, default=0) + 1)


def version_of_key(home: Path, key: str) -> Version | None:
    """Find the version that an earlier `register` with this key made."""
    for directory in _named(home):
        try:
            if read_manifest(directory / MANIFEST).get("key") == key:
                return read_version(directory)
        except Hopeless:
            continue  # it answers to no key; `watch` and `snapshots` tell of it
    return None


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Keep every other thread and process out that locks the same file."""
    with place.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sweep(home: Path) -> None:
    """Remove what a process left that died while it registered; call it under the lock."""
    for leftover in home.glob(INCOMING + "*"):
        shutil.rmtree(leftover, ignore_errors=True)


def read_aliases(home: Path) -> dict[str, str]:
    """Give the aliases of a model; raises `Hopeless` when their file is damaged."""
    place = home / ALIASES
    try:
        aliases = json.loads(place.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Hopeless(f"{place}: is not JSON: {error}") from error
    if not isinstance(aliases, dict) or not all(isinstance(v, str) for v in aliases.values()):
        raise Hopeless(f"{place}: is not a map of alias to version")
    return aliases


def _named(directory: Path) -> list[Path]:
    """Give the real directories with a valid name; a missing parent has none."""
    try:
        entries = sorted(directory.iterdir())
    except FileNotFoundError:
        return []
    return [e for e in entries if re.fullmatch(NAME, e.name) and not e.is_symlink() and e.is_dir()]


def _check_listed(place: Path, snapshot: Snapshot) -> None:
    for path, digest in snapshot.files.items():
        if not re.fullmatch(DIGEST, digest):
            raise Hopeless(f"{place}: field files.{path}: is not sha256: and 64 hex digits")
    if tree_digest(snapshot.files) != snapshot.digest:
        raise Hopeless(f"{place}: field digest: is not the digest of the listed files")


def _natural(text: str) -> tuple[tuple[int, str], ...]:
    """Sort key in which version 10 comes after version 9."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
