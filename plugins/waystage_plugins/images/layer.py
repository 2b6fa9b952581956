"""The layer with the model: the same files give the same bytes, anywhere and at any time."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple

from waystage.plugin import Context

if TYPE_CHECKING:
    from typing_extensions import Buffer

LEVEL = 6


class Layer(NamedTuple):
    """A packed layer: `digest` is that of the packed bytes, `diff` that of the archive in it."""

    path: Path
    digest: str
    diff: str
    size: int


def workshop(ctx: Context) -> Path:
    """Give the directory that files lie in while an image is built or copied."""
    return ctx.scratch / "image"


@contextmanager
def at_work(ctx: Context) -> Iterator[None]:
    """Have the workshop empty before and gone behind, whatever an earlier attempt left there."""
    place = workshop(ctx)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write_layer(source: Path, files: Iterable[str], prefix: str, into: Path) -> Layer:
    """Pack the files below `source` as root's, readable by all, without times, in path order.

    `prefix` is the directory that they get in the image; its own directories are in the layer
    too, because unpackers differ in what they make up for missing ones.
    """
    with into.open("wb") as file:
        packed = _Hashed(file)
        with gzip.GzipFile("", "wb", LEVEL, fileobj=packed, mtime=0) as zipped:
            plain = _Hashed(zipped)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                _fill(archive, source, sorted(map(PurePosixPath, files)), PurePosixPath(prefix))
    return Layer(into, packed.digest, plain.digest, into.stat().st_size)


def _fill(
    archive: tarfile.TarFile, source: Path, files: list[PurePosixPath], prefix: PurePosixPath
) -> None:
    there: set[PurePosixPath] = {PurePosixPath()}
    for path in files:
        target = prefix / path
        for directory in reversed(target.parents):
            if directory not in there:
                there.add(directory)
                archive.addfile(_entry(f"{directory}", tarfile.DIRTYPE, 0o755))
        entry = _entry(str(target), tarfile.REGTYPE, 0o644)
        entry.size = (source / path).stat().st_size
        with (source / path).open("rb") as file:
            archive.addfile(entry, file)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


class _Hashed(io.RawIOBase):
    """A file that is written to, and the digest of what was written; it closes nothing."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        super().__init__()
        self._file, self._hash = file, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        self._hash.update(data)
        return self._file.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"
