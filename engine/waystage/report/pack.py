"""An evidence pack: files in a zip that is the same for the same files, and proves itself.

`SHA256SUMS` has the digest of every other file, as `sha256sum -c` reads it; `manifest.json` says
what each file is. Times within the zip are those of 1980, as old as zips can tell.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waystage.errors import WaystageError

FORMAT = "waystage-evidence/1"
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
EPOCH = (1980, 1, 1, 0, 0, 0)
LARGEST = 1 << 30  # bytes of all files together, unpacked
MOST = 10_000  # files
# what reading a zip raises of which any byte may be another
DAMAGED = (OSError, EOFError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)


class PackUnfit(WaystageError):
    """A file that is no evidence pack, or not as it was written."""

    code = "E-EVIDENCE"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a pack, and what it is."""

    path: str
    body: bytes
    about: str


def packed(files: list[File], told: Mapping[str, Any]) -> bytes:
    """Give the zip; equal files give equal bytes."""
    listed = [{"path": each.path, "sha256": hashlib.sha256(each.body).hexdigest(),
               "bytes": len(each.body), "about": each.about}
              for each in sorted(files, key=lambda one: one.path)]  # fmt: skip
    manifest = _json({"format": FORMAT, **told, "files": listed})
    bodies = {each.path: each.body for each in files} | {MANIFEST: manifest}
    bodies[SUMS] = sums(bodies)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for path in sorted(bodies):
            info = zipfile.ZipInfo(path, EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            info.create_system = 3  # the same on every system
            archive.writestr(info, bodies[path], compresslevel=9)
    return held.getvalue()


def sums(bodies: Mapping[str, bytes]) -> bytes:
    """Give the lines that `sha256sum -c` reads."""
    lines = [f"{hashlib.sha256(bodies[path]).hexdigest()}  {path}\n" for path in sorted(bodies)]
    return "".join(lines).encode()


@dataclass
class Pack:
    """A pack that is read back; raises `PackUnfit` for what is none."""

    path: Path

    def __post_init__(self) -> None:
        try:
            with zipfile.ZipFile(self.path) as archive:
                # who unpacked a pack and packed it again has its directories in it, too
                infos = [each for each in archive.infolist() if not _is_directory(each)]
                names = [info.filename for info in infos]
                if len(infos) > MOST or sum(info.file_size for info in infos) > LARGEST:
                    raise PackUnfit(f"{self.path}: it is larger than a pack may be")
                if len(set(names)) < len(names):
                    raise PackUnfit(f"{self.path}: it has a file twice")
                self.bodies = {name: archive.read(name) for name in names}
            self.manifest: dict[str, Any] = json.loads(self.bodies[MANIFEST])
            self.listed = {each["path"]: each["sha256"] for each in self.manifest["files"]}
            self._sums = dict(_lines(self.bodies[SUMS].decode()))
        except PackUnfit:
            raise
        except KeyError as error:
            raise PackUnfit(f"{self.path}: no evidence pack: {error} is missing") from error
        except DAMAGED as error:
            raise PackUnfit(f"{self.path}: no evidence pack, or damaged: {error}") from error

    def findings(self) -> Iterator[str]:
        """Say what is not as it was written: changed, missing and added files."""
        for name, body in sorted(self.bodies.items()):
            digest = hashlib.sha256(body).hexdigest()
            if name != SUMS and self._sums.get(name) != digest:
                what = "was changed" if name in self._sums else "is not listed in SHA256SUMS"
                yield f"{name} {what}"
            if name not in (SUMS, MANIFEST) and self.listed.get(name) != digest:
                yield f"{name} is not the file that manifest.json lists"
        for name in sorted({*self._sums, *self.listed} - {*self.bodies}):
            yield f"{name} is missing"


def _is_directory(info: zipfile.ZipInfo) -> bool:
    return info.is_dir() and not info.file_size


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        yield name, digest


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
