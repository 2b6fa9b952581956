"""The files of a version of a SAS model: listed, read, pinned by digest at the first look.

SAS keeps a flat list of files and no digests. A file in a directory has a name with `%2F` there.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from waystage.errors import Hopeless, NotFound
from waystage_plugins.repositories.layout import locked
from waystage_plugins.repositories.mlflow_files import checked
from waystage_plugins.repositories.rest import small
from waystage_plugins.repositories.sas_model import BESIDE, TEXTS
from waystage_plugins.repositories.sas_wire import Viya
from waystage_plugins.repositories.tree import MAX_FILES, write_durably

LARGEST_TEXT = 16 << 20


class Place(NamedTuple):
    """A version of a model: what people call it, and where its files are asked for."""

    id: str  # `credit/2.0`
    model: str
    version: str  # its name, `2.0`
    path: str  # of its contents


class Pinned(NamedTuple):
    """What the first look at a version found: digests, and the texts that describe it."""

    files: dict[str, str]
    texts: dict[str, bytes]


def content_name(path: str) -> str:
    """Give the name that a file has in SAS."""
    return path.replace("%", "%25").replace("/", "%2F")


def contents(viya: Viya, place: Place) -> dict[str, str]:
    """Give path and address of every file that lies with a version."""
    found: dict[str, str] = {}
    for each in viya.every(place.path):
        path = checked(unquote(str(each.get("name", ""))), place.id)
        if path in found or len(found) >= MAX_FILES:
            raise Hopeless(f"SAS Viya {viya.url}: {place.id}: too many files, or {path!r} twice")
        number = checked(str(each.get("id", "")), place.id)
        found[path] = f"{place.path}/{number}/content"
    return found


def pin(viya: Viya, place: Place, home: Path) -> Pinned:
    """Give the files of a version as they were at the first look, kept below `home`."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"{content_name(place.version)}.json"
    with locked(home / ".lock"):  # the watch and steps may look at once
        kept = _kept(file)
        if kept is None:
            kept = _first_look(viya, place)
            texts = {name: base64.b64encode(text).decode() for name, text in kept.texts.items()}
            write_durably(file, json.dumps({"files": kept.files, "texts": texts}).encode())
        return kept


def _kept(file: Path) -> Pinned | None:
    try:
        told: dict[str, Any] = json.loads(file.read_text())
        texts = {name: base64.b64decode(text) for name, text in told["texts"].items()}
        return Pinned(dict(told["files"]), texts)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None  # never looked at, or damaged: the daemon's own record still holds the digest


def _first_look(viya: Viya, place: Place) -> Pinned:
    listed = contents(viya, place)
    texts = {name: read(viya, place, listed[name]) for name in TEXTS if name in listed}
    files = {}
    for path, address in listed.items():
        if path in texts and path not in BESIDE:
            files[path] = f"sha256:{hashlib.sha256(texts[path]).hexdigest()}"
        elif path not in BESIDE:
            files[path] = pour(viya, address)
    if not files:
        raise Hopeless(f"SAS Viya {viya.url}: {place.id} has no files")
    return Pinned(files, texts)


def read(viya: Viya, place: Place, address: str, largest: int = LARGEST_TEXT) -> bytes:
    """Give a small file whole."""
    with viya.download(address) as chunks:
        return small(chunks, largest, f"SAS Viya {viya.url}: a file of {place.id}")


def read_named(viya: Viya, place: Place, name: str, largest: int) -> bytes | None:
    """Give one file by its path; None if there is none."""
    address = contents(viya, place).get(name)
    try:
        return None if address is None else read(viya, place, address, largest)
    except NotFound:
        return None


def download(viya: Viya, place: Place, into: Path) -> dict[str, str]:
    """Copy all files of a version into the new directory `into`; give their digests."""
    into.mkdir(parents=True)
    files = {}
    for path, address in contents(viya, place).items():
        if path in BESIDE:
            continue
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        files[path] = pour(viya, address, target)
    return files


def pour(viya: Viya, address: str, target: Path | None = None) -> str:
    """Read a file once for its digest and, if there is a target, its copy."""
    digest = hashlib.sha256()
    with viya.download(address) as chunks:
        copy = target.open("xb") if target else None
        try:
            for chunk in chunks:
                digest.update(chunk)
                if copy:
                    copy.write(chunk)
        finally:
            if copy:
                copy.close()
    return f"sha256:{digest.hexdigest()}"
