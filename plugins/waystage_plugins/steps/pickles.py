"""Telling by its first bytes whether a file would run code when it is loaded; nothing is run."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import pickletools
import zipfile
import zlib
from pathlib import Path

SUFFIXES = {
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".joblib": "joblib",
    ".dill": "dill",
    ".cloudpickle": "cloudpickle",
    ".pt": "torch",
    ".pth": "torch",
}
_PEEK = 4096
_PROTOCOLS = range(2, 6)


def pickle_kind(path: Path) -> str:
    """Name the pickle-based format of a file (`pickle`, `joblib`, `torch`, …), or give ``.

    The name of the file counts as much as its content.
    """
    return SUFFIXES.get(path.suffix.lower(), "") or _kind_by_content(path)


def _kind_by_content(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(_PEEK)
    if head.startswith(b"PK\x03\x04"):
        return "torch" if _holds_pickle(path) else ""
    if head.startswith(b"\x93NUMPY"):
        return "numpy objects" if b"|O" in head[:1024] else ""
    return "pickle" if any(_is_pickle(start) for start in (head, *_unpacked(head))) else ""


def _is_pickle(head: bytes) -> bool:
    """Look at the opcodes: all of protocol 2 and later say so, older ones are read on."""
    if len(head) > 1 and head[0] == 0x80:
        return head[1] in _PROTOCOLS
    if head[:1] not in b"(cilpdI]}":
        return False
    return _opcodes(head) >= 3  # text that starts like a pickle soon stops being one


def _opcodes(head: bytes) -> int:
    """Count the opcodes of the old protocols before something else or the end comes."""
    count = 0
    try:
        for opcode, argument, _ in pickletools.genops(head):
            if opcode.name in ("GLOBAL", "INST") and not _is_name(str(argument)):
                return 0
            count += 1
    except (ValueError, IndexError, UnicodeDecodeError):
        # an end in the middle of what was read is no sign against it
        return count if len(head) == _PEEK else 0
    return count


def _is_name(argument: str) -> bool:
    """Whether it is `module name`, which plain text hardly ever is."""
    parts = argument.split(" ")
    return len(parts) == 2 and all(word.isidentifier() for p in parts for word in p.split("."))


def _unpacked(head: bytes) -> list[bytes]:
    """Give the start of what a compressed file (as joblib writes them) holds."""
    found = []
    with contextlib.suppress(zlib.error):
        found.append(zlib.decompressobj(wbits=47).decompress(head, 512))
    for decompressor in (bz2.BZ2Decompressor(), lzma.LZMADecompressor()):
        with contextlib.suppress(OSError, EOFError, lzma.LZMAError):
            found.append(decompressor.decompress(head, 512))
    return found


def _holds_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(Path(name).suffix.lower() in SUFFIXES for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
