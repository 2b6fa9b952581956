"""What goes into a job's container and what comes out of it, as archives."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from waystage.errors import Hopeless
from waystage_plugins.repositories.tree import sync_directory

HOME = "/waystage"  # where jobs see all that is theirs
INPUTS, OUTPUT, TOLD = "inputs", "output", "told"
SHARE = f"{HOME}/{TOLD}/progress.txt"
READABLE, OPEN = 0o755, 0o777


def seen_as(label: str, source: Path) -> str:
    """Give the path by which a job finds an input."""
    return f"{HOME}/{INPUTS}/{label}/{source.name}"


def pack(inputs: Mapping[str, Path], archive: Path) -> None:
    """Write what a job finds below its home: inputs to read, directories to write to."""
    with tarfile.open(archive, "w") as made:
        for name, mode in ((INPUTS, READABLE), (OUTPUT, OPEN), (TOLD, OPEN)):
            made.addfile(_folder(name, mode))
        for label, source in inputs.items():
            if not source.exists():
                raise Hopeless(f"the job's input {label} is not there: {source}")
            made.addfile(_folder(f"{INPUTS}/{label}", READABLE))
            made.add(source, f"{INPUTS}/{label}/{source.name}", filter=_as_anybodys)


def unpack(chunks: Iterable[bytes], into: Path) -> None:
    """Put what a job wrote into a new directory, whole or not at all.

    Raises `Hopeless` for links that lead out of it, devices and the like.
    """
    raw, beside = into.with_name(f"{into.name}.tar"), into.with_name(f"{into.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with raw.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        with tarfile.open(raw) as archive:
            archive.extractall(beside, filter="data")
    except tarfile.TarError as error:
        raise Hopeless(f"the job's output cannot be taken: {error}") from error
    finally:
        raw.unlink(missing_ok=True)
    _make_durable(beside / OUTPUT)
    shutil.rmtree(into, ignore_errors=True)
    (beside / OUTPUT).rename(into)
    shutil.rmtree(beside, ignore_errors=True)
    sync_directory(into.parent)


def only_file(chunks: Iterable[bytes], most: int = 10_240) -> bytes:
    """Give the content of the one small file of an archive; empty if it is larger."""
    raw = b"".join(_up_to(chunks, most))
    try:
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            first = archive.next()
            file = archive.extractfile(first) if first else None
            return file.read() if file else b""
    except tarfile.TarError:
        return b""


def _make_durable(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            sync_directory(path)
        elif path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _up_to(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    left = most
    for chunk in chunks:  # to its end, or the connection is left open
        if left > 0:
            yield chunk
        left -= len(chunk)


def _folder(name: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry


def _as_anybodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Let whoever the image runs as read it, and nobody know who had it here."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = READABLE if entry.isdir() else 0o644
    return entry
