"""Unpacking an archive with a model: all of it or nothing, and only what is plainly a file.

An archive is looked through to its end before a byte of it is written. It is refused whole for
an absolute name, `..`, a link, a device, setuid bits, a name that is there twice, a checksum
that is wrong, too many files, or for growing to more than a hundred times its size.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from waystage.errors import Hopeless

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
MAX_FILES = 10_000
MAX_RATIO = 100
FREE = 1 << 20  # bytes that any archive may grow to: small texts pack well
_CHUNK = 1 << 20


class _Member(NamedTuple):
    """One entry: `why` says what it is if it is no plain file or directory."""

    name: str
    directory: bool
    size: int
    why: str
    open: Callable[[], IO[bytes] | None]


def is_archive(path: str) -> bool:
    """Whether the name is that of an archive that can be unpacked."""
    return path.lower().endswith(SUFFIXES)


def unpack(archive: Path, into: Path) -> None:
    """Write the archive's files below the new directory `into`; raises `Hopeless`.

    Files are readable by all and executable by nobody. After an error `into` is not there.
    """
    try:
        with _members(archive) as members:
            _check(archive, members)
            into.mkdir(parents=True)
            for member in members:
                _write(member, into)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError,
            NotImplementedError, RuntimeError, ValueError) as error:  # fmt: skip
        shutil.rmtree(into, ignore_errors=True)
        told = " ".join(str(error).split())[:120]
        raise Hopeless(f"{archive.name} cannot be unpacked: {told}") from None
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    most = max(FREE, archive.stat().st_size * MAX_RATIO)
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            yield _bounded(archive, (_of_zip(zipped, each) for each in zipped.infolist()), most)
    else:
        with tarfile.open(archive) as packed:
            yield _bounded(archive, (_of_tar(packed, each) for each in packed), most)


def _bounded(archive: Path, members: Iterator[_Member], most: int) -> list[_Member]:
    """Take members while they are few and small; a bomb is not read to its end."""
    taken, size = [], 0
    for member in members:
        taken.append(member)
        size += member.size
        if len(taken) > MAX_FILES:
            raise Hopeless(f"{archive.name} has more than {MAX_FILES} entries")
        if size > most:
            raise Hopeless(f"{archive.name} grows to more than {MAX_RATIO} times its size")
    return taken


def _check(archive: Path, members: list[_Member]) -> None:
    seen: set[PurePosixPath] = set()
    for member in members:
        path = PurePosixPath(member.name)
        why = member.why or _bad_name(member.name, path)
        if not why and not member.directory and path in seen:
            why = "is there twice"
        if why:
            raise Hopeless(f"{archive.name}: {member.name!r:.200} {why}; nothing was unpacked")
        seen.add(path)
    files = {PurePosixPath(member.name) for member in members if not member.directory}
    for path in seen:
        if inside := files & set(path.parents):
            raise Hopeless(f"{archive.name}: {inside.pop()} is a file and a directory")


def _bad_name(name: str, path: PurePosixPath) -> str:
    if path.is_absolute() or name[1:2] == ":":
        return "is an absolute name"
    if ".." in path.parts:
        return "leads out of the archive"
    if "\\" in name or not name.isprintable():
        return "has characters that a file's name may not have"
    return ""


def _of_tar(packed: tarfile.TarFile, entry: tarfile.TarInfo) -> _Member:
    why = ""
    if entry.issym() or entry.islnk():
        why = "is a link"
    elif not (entry.isdir() or entry.isreg()) or entry.issparse():
        why = "is no plain file"
    elif entry.mode & (stat.S_ISUID | stat.S_ISGID):
        why = "has the setuid or setgid bit"
    return _Member(entry.name, entry.isdir(), entry.size, why, lambda: packed.extractfile(entry))


def _of_zip(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo) -> _Member:
    mode, why = entry.external_attr >> 16, ""
    if stat.S_ISLNK(mode):
        why = "is a link"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        why = "is no plain file"
    elif mode & (stat.S_ISUID | stat.S_ISGID):
        why = "has the setuid or setgid bit"
    elif entry.flag_bits & 1:
        why = "is encrypted"
    # the name as it is written: the library cuts what follows a NUL byte
    name = entry.orig_filename
    return _Member(name, entry.is_dir(), entry.file_size, why, lambda: zipped.open(entry))


def _write(member: _Member, into: Path) -> None:
    target = into / member.name
    if member.directory:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    if source is None:
        raise ValueError(f"{member.name} has no content")
    with source, target.open("xb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
