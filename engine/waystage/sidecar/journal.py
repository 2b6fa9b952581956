"""The journal on disk: what was answered, in order, until the daemon has it.

Files of records, appended to and never changed: length, checksum, content. What `append` has
taken outlives the process, and a power cut once it is synced. A new process begins a new file,
so that a record that was cut off is always the last of its file. `cursor.json` tells how far
the daemon has it all; a crash between the daemon's answer and the cursor sends records again,
which the log recognises by their request ids.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from waystage.errors import Conflict

HEAD = struct.Struct("<II")  # length and CRC-32 of the content
CURSOR, LOCK = "cursor.json", "lock"
FILES = 16  # at least so many make up the room: they are removed one by one
LARGEST = 16 << 20  # of one file, if one record is not larger
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class Place(NamedTuple):
    """A place between two records: the file's number, and how far in it."""

    file: int
    offset: int


class Record(NamedTuple):
    """What was taken, and the place after it."""

    content: bytes
    after: Place


class Journal:
    """One folder, which one process writes."""

    def __init__(self, folder: Path, most: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._most = folder, most
        self._guard = threading.Condition()
        self._lock = _locked(folder / LOCK)
        self._cursor = self._read_cursor()
        sizes = {number: self._file(number).stat().st_size for number in self._numbers()}
        self._sizes = {n: size for n, size in sizes.items() if n >= self._cursor.file}
        for number in sizes.keys() - self._sizes.keys():
            self._file(number).unlink()  # delivered; the process ended before it was removed
        self._damage: dict[Place, int] = {}
        self._number, self._handle, self._dirty = 0, -1, False
        self._full: list[int] = []  # handles of files that are not synced for the last time yet
        self._begin(max([self._cursor.file, *sizes], default=0) + 1)

    def append(self, content: bytes) -> bool:
        """Take a record; False, and nothing is changed, when there is no room on disk for it."""
        record = HEAD.pack(len(content), zlib.crc32(content)) + content
        with self._guard:
            if sum(self._sizes.values()) + len(record) > self._most:
                return False
            try:
                # what the daemon has takes room that this record may need
                if not self._write(record) and not (self._renewed() and self._write(record)):
                    return False
            except OSError:  # the disk is gone: who asks is answered all the same
                return False
            self._guard.notify_all()
        return True

    def sync(self) -> None:
        """Have the disk hold what was taken so far."""
        with self._guard:
            handles, self._full = self._full, []
            if self._dirty and self._handle >= 0:
                handles.append(os.dup(self._handle))  # so that appending goes on meanwhile
            self._dirty = False
        for handle in handles:
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    @property
    def damaged(self) -> int:
        """How many bytes there were that no record can be read from."""
        return sum(self._damage.values())

    @property
    def waiting(self) -> int:
        """How many bytes the daemon does not have yet."""
        with self._guard:
            known = self._sizes.get(self._cursor.file, 0)
            return sum(self._sizes.values()) - min(known, self._cursor.offset)

    def next(self, records: int, size: int, seconds: float) -> list[Record]:
        """Give what comes after the cursor: at most so many records and about so many bytes.

        Waits for a first one so long, and gives nothing when none came.
        """
        with self._guard:
            self._guard.wait_for(lambda: self._end() > self._cursor, timeout=seconds)
            end, at = self._end(), self._cursor
        found: list[Record] = []
        while at < end and len(found) < records and size > 0:
            record = self._read(at, end)
            if record is None:
                at = self._following(at)
                if not found:
                    self._cursor = at  # nothing of this file is left to be delivered
                continue
            found.append(record)
            size -= len(record.content)
            at = record.after
        return found

    def delivered(self, place: Place) -> None:
        """Note that the daemon has all before the place; files that it has whole are removed."""
        # not synced, and not there when the disk is full: an older cursor sends more than it must,
        # which does no harm; who waited for room here would never get any
        with suppress(OSError):
            self._keep(place)
        with self._guard:
            self._cursor = place
            done = [n for n in self._sizes if n < place.file or n == self._whole(place)]
            for number in done:
                del self._sizes[number]
        for number in done:
            self._file(number).unlink(missing_ok=True)

    def wake(self) -> None:
        """Have `next` look up at once."""
        with self._guard:
            self._guard.notify_all()

    def close(self) -> None:
        """Sync and let go; what waits is delivered by the next process."""
        self.sync()
        with self._guard:
            os.close(self._handle)
            self._handle = -1
        os.close(self._lock)

    def _write(self, record: bytes) -> bool:
        size = self._sizes[self._number]
        if size and size + len(record) > min(LARGEST, self._most // FILES):
            self._begin(self._number + 1)
            size = 0
        try:
            written = os.write(self._handle, record)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            return False
        if written < len(record):
            os.ftruncate(self._handle, size)
            return False
        self._sizes[self._number], self._dirty = size + written, True
        return True

    def _renewed(self) -> bool:
        """Begin a new file in place of one that the daemon has whole, whose room is free then."""
        old = self._number
        if not self._sizes[old] or self._cursor < self._end():
            return False
        self._begin(old + 1)
        os.close(self._full.pop())  # there is nothing in it that the disk must hold
        del self._sizes[old]
        self._file(old).unlink(missing_ok=True)
        return True

    def _keep(self, place: Place) -> None:
        beside = self._folder / f"{CURSOR}.new"
        beside.write_text(json.dumps({"file": place.file, "offset": place.offset}))
        beside.replace(self._folder / CURSOR)

    def _whole(self, place: Place) -> int:
        """Give the number of the place's file if all of it was delivered and no more comes."""
        whole = place.file != self._number and place.offset >= self._sizes.get(place.file, 0)
        return place.file if whole else -1

    def _end(self) -> Place:
        return Place(self._number, self._sizes[self._number])

    def _read(self, at: Place, end: Place) -> Record | None:
        """Give the record at a place; None if there is none any more in its file."""
        limit = end.offset if at.file == end.file else self._sizes.get(at.file, 0)
        if at.offset >= limit:
            return None
        with self._file(at.file).open("rb") as file:
            file.seek(at.offset)
            head = file.read(HEAD.size)
            if len(head) == HEAD.size:
                length, check = HEAD.unpack(head)
                if at.offset + HEAD.size + length <= limit:
                    content = file.read(length)
                    if zlib.crc32(content) == check:
                        return Record(content, Place(at.file, at.offset + HEAD.size + length))
        self._damage[at] = limit - at.offset
        return None

    def _following(self, at: Place) -> Place:
        with self._guard:
            return Place(min(n for n in self._sizes if n > at.file), 0)

    def _begin(self, number: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        handle = os.open(self._file(number), flags, 0o600)
        if self._handle >= 0:
            self._full.append(self._handle)  # who appends does not wait for the disk
        self._handle, self._number, self._sizes[number] = handle, number, 0
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the file's name, too, must outlive a power cut
        finally:
            os.close(folder)

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.journal"))

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:012d}.journal"

    def _read_cursor(self) -> Place:
        try:
            found = json.loads((self._folder / CURSOR).read_text())
            return Place(int(found["file"]), int(found["offset"]))
        except (FileNotFoundError, ValueError, KeyError):  # a power cut may leave it empty
            return Place(min(self._numbers(), default=0), 0)


def _locked(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise Conflict(f"another sidecar writes the journal {path.parent}") from error
    return handle
