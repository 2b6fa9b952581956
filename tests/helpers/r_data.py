"""Data sets of R packages as Debian has them, fetched when they are asked for and never shipped."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "r-data"
MISSING = -(2**31)  # R's NA among integers

# types of R's serialization, see "R Internals", 1.8; the others do not occur in plain data
NOTHING, SYMBOL, PAIRS, CHARACTERS, INTEGERS, NUMBERS, TEXTS, LIST = 254, 1, 2, 9, 13, 14, 16, 19
LOGICALS, REFERENCE, COMPACT = 10, 255, 238
UNPACK = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}


def package_data(package: str, name: str, columns: tuple[str, ...]) -> dict[str, list[Any]]:
    """Give columns of a data set; skips the test where Debian's archive cannot be asked."""
    for found in _all_values(_unpacked(package)):
        if isinstance(found, dict) and set(columns) <= set(found):
            return {column: found[column] for column in columns}
    raise AssertionError(f"{package} has no data set {name} with columns {', '.join(columns)}")


def _all_values(place: Path) -> Iterator[Any]:
    for database in sorted(place.glob("**/data/Rdata.rdb")):
        yield from _values(database.read_bytes())
    for file in sorted(place.glob("**/data/*.rda")):
        packed = file.read_bytes()
        unpack = next(u for magic, u in UNPACK.items() if packed.startswith(magic))
        plain = unpack(packed)
        yield from _Reader(plain[plain.index(b"X\n", 4) :]).value().values()


def _unpacked(package: str) -> Path:
    place = CACHE / package
    if place.exists():
        return place
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip(f"no apt-get here to fetch {package} with")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        done = subprocess.run(
            ["apt-get", "download", package], cwd=directory, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        found = list(Path(directory).glob("*.deb"))
        if not found:
            pytest.skip(f"apt-get gave no {package}: {done.stderr.strip()[-200:]}")
        unpacked = Path(directory) / "unpacked"
        subprocess.run(["dpkg-deb", "-x", str(found[0]), str(unpacked)], check=True)
        with suppress(OSError):  # another worker was first
            unpacked.rename(place)
    return place


def _values(database: bytes) -> list[Any]:
    """Give all values of a lazy-load database: each is its length, then compressed."""
    found, at = [], 0
    while at < len(database):
        stream = zlib.decompressobj()
        plain = stream.decompress(database[at + 4 :])
        found.append(_Reader(plain).value())
        at = len(database) - len(stream.unused_data)
    return found


class _Reader:
    """Reads R's binary (XDR) serialization as far as data frames and lists need it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        assert self._data[:2] == b"X\n"
        version = struct.unpack(">i", self._data[2:6])[0]
        self._at = 14
        if version == 3:  # the name of the encoding
            self._at += 4 + self._integers(1)[0] - 4 + 4
        self._symbols: list[str] = []

    def value(self) -> Any:
        """Read the next value, a list with names as a dict."""
        flags = self._integers(1)[0]
        kind, tagged, attributed = flags & 255, flags & 1024, flags & 512
        if kind == NOTHING:
            return None
        if kind == SYMBOL:
            self._symbols.append(self.value())
            return self._symbols[-1]
        if kind == REFERENCE:
            return self._symbols[(flags >> 8) - 1]
        if kind == PAIRS:
            return self._pairs(attributed, tagged)
        if kind == COMPACT:
            return self._compact()
        found = self._vector(kind)
        return self._named(found, self.value()) if attributed and kind != CHARACTERS else found

    def _vector(self, kind: int) -> Any:
        size = self._integers(1)[0]
        if kind == CHARACTERS:
            return None if size == -1 else self._bytes(size).decode()
        if kind in (INTEGERS, LOGICALS):
            return [None if n == MISSING else n for n in self._integers(size)]
        if kind == NUMBERS:
            return list(struct.unpack(f">{size}d", self._bytes(8 * size)))
        if kind in (TEXTS, LIST):
            return [self.value() for _ in range(size)]
        raise AssertionError(f"a value of R's type {kind} is not known")

    def _pairs(self, attributed: int, tagged: int) -> dict[str, Any]:
        if attributed:
            self.value()
        name = self.value() if tagged else ""
        first, rest = self.value(), self.value()
        return {name: first} | (rest or {})

    def _compact(self) -> Any:
        """Read a compact sequence or the like: class, state, attributes."""
        self.value()
        state = self.value()
        self.value()
        return state

    def _named(self, found: Any, attributes: dict[str, Any]) -> Any:
        if "levels" in attributes:
            return [None if n is None else attributes["levels"][n - 1] for n in found]
        names = attributes.get("names")
        return dict(zip(names, found, strict=True)) if names else found

    def _integers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f">{count}i", self._bytes(4 * count))

    def _bytes(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]
