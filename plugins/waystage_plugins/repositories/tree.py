"""A directory of model files: what may be in it, its digests, and copying it safely.

The digest of a tree is sha256 over a line for each of its files, as `sha256sum` prints it: names
count, so that a file under another name is another model.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from waystage.errors import Hopeless

MANIFEST = "manifest.yaml"
SIGNATURE = "model.sig"
BESIDE = (PurePosixPath(MANIFEST), PurePosixPath(SIGNATURE))  # in the directory, not in the tree
MAX_SIGNATURE = 8 << 20
MAX_FILES = 10_000
_CHUNK = 1 << 20


def tree_digest(files: Mapping[str, str]) -> str:
    """Give the digest of a tree from its paths and their `sha256:<hex>`.

    It is that of what `sha256sum` prints for them, so that anybody can hold a directory to it.
    """
    total = hashlib.sha256()
    for path in sorted(files, key=_bytes):
        total.update(files[path].removeprefix("sha256:").encode() + b"  " + _bytes(path) + b"\n")
    return f"sha256:{total.hexdigest()}"


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogatepass")  # a manifest may list what no file is called


def tree_files(root: Path) -> dict[str, str]:
    """Give path and digest of every file below `root` but its manifest and its signature.

    Raises `Hopeless` naming the path when something in the tree is not a plain file or
    directory, has the setuid or setgid bit, or could not be kept apart elsewhere by its name.
    """
    return {str(relative): _pour(root / relative, None) for relative in _paths(root)}


def copy_tree(root: Path, into: Path) -> dict[str, str]:
    """Copy the files below `root` durably into the new directory `into`; give their digests.

    The digests are those of the bytes that were written. Raises as `tree_files` does.
    """
    into.mkdir(parents=True)
    files: dict[str, str] = {}
    for relative in _paths(root):
        target = into / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        files[str(relative)] = _pour(root / relative, target)
    for directory in [into, *(path for path in into.rglob("*") if path.is_dir())]:
        sync_directory(directory)
    return files


def read_signature(root: Path) -> bytes | None:
    """Give the signature that lies in a directory of model files; None if there is none.

    Raises `Hopeless` for one that is no plain file or far too large.
    """
    place = root / SIGNATURE
    try:
        with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            _check_mode(place, os.fstat(file.fileno()).st_mode)
            found = file.read(MAX_SIGNATURE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Hopeless(f"{place} cannot be read: {error.strerror or error}") from error
    if len(found) > MAX_SIGNATURE:
        raise Hopeless(f"{place} is larger than {MAX_SIGNATURE >> 20} MiB: no signature")
    return found


def difference(expected: Mapping[str, str], actual: Mapping[str, str]) -> str:
    """Say in a few words which file is not as expected; empty when all are."""
    for path in sorted({*expected, *actual}):
        if path not in actual:
            return f"file {path} is missing"
        if path not in expected:
            return f"file {path} is there but not listed"
        if expected[path] != actual[path]:
            return f"file {path} has {actual[path]} instead of {expected[path]}"
    return ""


def sync_directory(path: Path) -> None:
    """Make what was created, renamed or removed in a directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that readers see the old or the new content whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_directory(path.parent)


def _paths(root: Path) -> list[PurePosixPath]:
    if root.is_symlink() or not root.is_dir():
        raise Hopeless(f"{root} is not a directory")
    seen: dict[str, str] = {}
    found = list(_walk(root, PurePosixPath(), seen))
    if len(found) > MAX_FILES:
        raise Hopeless(f"{root} has more than {MAX_FILES} files")
    return found


def _walk(root: Path, below: PurePosixPath, seen: dict[str, str]) -> Iterator[PurePosixPath]:
    with os.scandir(root / below) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        relative = below / entry.name
        _check_name(root, relative, seen)
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield from _walk(root, relative, seen)
        elif relative not in BESIDE:
            _check_mode(root / relative, mode)
            yield relative


def _check_name(root: Path, relative: PurePosixPath, seen: dict[str, str]) -> None:
    """Refuse names that other machines would confuse with one another."""
    text = str(relative)
    if not text.isprintable() or "\\" in text:
        raise Hopeless(f"{root}: the name {text!r} has characters that a file may not have")
    alike = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    if alike in seen:
        raise Hopeless(f"{root}: {seen[alike]!r} and {text!r} are one name on other machines")
    seen[alike] = text


def _check_mode(path: Path, mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise Hopeless(f"{path} is a symbolic link; put the file itself there")
    if not stat.S_ISREG(mode):
        raise Hopeless(f"{path} is a device, pipe or socket; only files belong to a model")
    if mode & (stat.S_ISUID | stat.S_ISGID):
        raise Hopeless(f"{path} has the setuid or setgid bit; remove it with chmod ug-s")


def _pour(source: Path, target: Path | None) -> str:
    """Read a file once for its digest and, if there is a target, its copy."""
    digest = hashlib.sha256()
    # O_NOFOLLOW and the second look at the mode: the file may have been swapped meanwhile
    with os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        _check_mode(source, os.fstat(file.fileno()).st_mode)
        if target is None:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            return f"sha256:{digest.hexdigest()}"
        with target.open("xb") as copy:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
    return f"sha256:{digest.hexdigest()}"
