"""The artifacts of an MLflow model version: listed, read, pinned by digest, put there.

MLflow keeps no digests. The first look at a version reads every byte; what it found is kept in
the daemon's directory, so that the version means these bytes from then on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from waystage.errors import Hopeless, NotFound
from waystage_plugins.repositories.layout import locked
from waystage_plugins.repositories.mlflow_wire import Server
from waystage_plugins.repositories.rest import small
from waystage_plugins.repositories.tree import BESIDE, MANIFEST, MAX_FILES

MODEL = "MLmodel"
PIN = "pin.json"
EXAMPLE = "input_example.json"  # where MLflow has put examples since it has them
LARGEST_TEXT = 16 << 20
CHUNK = 1 << 20


class Place(NamedTuple):
    """Where a version's artifacts are, by the server's proxy; `created` tells namesakes apart."""

    id: str
    path: str
    created: int


def place_of(server: Server, version: dict[str, Any]) -> Place:
    """Ask where a version's artifacts are; raises `Hopeless` when the server is not the way."""
    name, number = str(version["name"]), str(version["version"])
    told = server.get("model-versions/get-download-uri", name=name, version=number)
    path = proxied(server, str(told.get("artifact_uri", "")), f"{name}/{number}")
    return Place(f"{name}/{number}", path, int(version.get("creation_timestamp") or 0))


def proxied(server: Server, uri: str, of: str) -> str:
    """Give the path by which the server's proxy knows an address of artifacts."""
    found = urlsplit(uri)
    elsewhere = found.netloc and found.netloc != urlsplit(server.url).netloc
    if found.scheme != "mlflow-artifacts" or elsewhere:
        raise Hopeless(
            f"MLflow {server.url}: {of} is at {uri or 'no address'}: only artifacts that the "
            f"tracking server itself hands out are read (mlflow server --artifacts-destination)"
        )
    return checked(unquote(found.path).strip("/"), of)


def pin(server: Server, place: Place, home: Path) -> dict[str, str]:
    """Give path and digest of every file of a version as they were at the first look.

    `home` is where that is remembered, with the texts that describe the model. Raises
    `Hopeless` when there are no files.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    with locked(home.with_name(f".{home.name}.lock")):  # the watch and steps may look at once
        kept = _kept(place, home)
        return _keep(server, place, home) if kept is None else kept


def _kept(place: Place, home: Path) -> dict[str, str] | None:
    try:
        kept = json.loads((home / PIN).read_text())
        same = (kept["path"], kept["created"]) == (place.path, place.created)
        return dict(kept["files"]) if same else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # never looked at, or damaged: the daemon's own record still holds the digest


def _keep(server: Server, place: Place, home: Path) -> dict[str, str]:
    beside = home.with_name(f".{home.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        files = _first_look(server, place, beside)
        kept = {"path": place.path, "created": place.created, "files": files}
        (beside / PIN).write_text(json.dumps(kept))
        shutil.rmtree(home, ignore_errors=True)
        beside.rename(home)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return files


def _first_look(server: Server, place: Place, into: Path) -> dict[str, str]:
    """Read every file of a version; keep the texts that describe it."""
    into.mkdir(parents=True)
    for name in (MODEL, EXAMPLE, MANIFEST):
        text = read_text(server, place, name, LARGEST_TEXT)
        if text is not None:
            (into / name).write_bytes(text)
    files = {str(path): pour(server, f"{place.path}/{path}") for path in paths(server, place)}
    if not files:
        raise Hopeless(f"MLflow {server.url}: {place.id} has no artifacts at {place.path}")
    for name in (MODEL, EXAMPLE):
        kept = into / name
        if kept.exists() and files.get(name) != _digest(kept.read_bytes()):
            raise Hopeless(f"MLflow {server.url}: {place.id}: {name} changed while it was read")
    return files


def read_text(server: Server, place: Place, name: str, largest: int) -> bytes | None:
    """Give one small file that lies with a version; None if there is none."""
    try:
        with server.download(f"{place.path}/{name}") as chunks:
            return small(chunks, largest, f"MLflow {server.url}: {name} of {place.id}")
    except NotFound:
        return None


def download(server: Server, place: Place, into: Path) -> dict[str, str]:
    """Copy all files of a version into the new directory `into`; give their digests."""
    into.mkdir(parents=True)
    files: dict[str, str] = {}
    for path in paths(server, place):
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        files[str(path)] = pour(server, f"{place.path}/{path}", target)
    return files


def upload(server: Server, source: Path, files: dict[str, str], path: str) -> None:
    """Put files below a directory of artifacts, in the place of what was there."""
    for relative in files:
        server.upload(f"{path}/{relative}", _chunks(source / relative))


def pour(server: Server, path: str, target: Path | None = None) -> str:
    """Read an artifact once for its digest and, if there is a target, its copy."""
    digest = hashlib.sha256()
    with server.download(path) as chunks:
        if target is None:
            for chunk in chunks:
                digest.update(chunk)
        else:
            with target.open("xb") as copy:
                for chunk in chunks:
                    digest.update(chunk)
                    copy.write(chunk)
    return f"sha256:{digest.hexdigest()}"


def paths(server: Server, place: Place) -> list[PurePosixPath]:
    """Give the paths of a version's files but its manifest and its signature."""
    found = []
    for path in _walk(server, place, PurePosixPath()):
        found.append(path)
        if len(found) > MAX_FILES:
            raise Hopeless(f"MLflow {server.url}: {place.id} has more than {MAX_FILES} files")
    return found


def _walk(server: Server, place: Place, below: PurePosixPath) -> Iterator[PurePosixPath]:
    entries = server.listing(str(place.path / below) if below.parts else place.path)
    for entry in sorted(entries, key=lambda each: str(each.get("path"))):
        name = PurePosixPath(str(entry.get("path", ""))).name
        relative = below / checked(name, place.id)
        if entry.get("is_dir"):
            yield from _walk(server, place, relative)
        elif relative not in BESIDE:
            yield relative


def checked(path: str, of: str) -> str:
    """Refuse a path that leads elsewhere or has characters that a file may not have."""
    bad = not path or not path.isprintable() or "\\" in path
    if bad or any(part in ("", ".", "..") for part in path.split("/")):
        raise Hopeless(f"MLflow's {of} has an artifact with the unfit path {path!r}")
    return path


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
