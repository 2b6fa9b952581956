"""The journal: in order, over crashes, within its room, and never torn where it can be read."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.errors import Conflict
from waystage.sidecar.journal import HEAD, Journal, Place

ROOM = 1_000_000


def drained(journal: Journal, *, deliver: bool = True) -> list[bytes]:
    """Give all that waits."""
    found: list[bytes] = []
    while records := journal.next(10, 1 << 20, 0):
        found += [record.content for record in records]
        if not deliver:
            break
        journal.delivered(records[-1].after)
    return found


def test_what_was_appended_is_read_in_order_and_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ROOM)
    written = [f"record {n}".encode() for n in range(25)]
    assert all(journal.append(each) for each in written)
    assert drained(journal) == written
    assert drained(journal) == []
    assert journal.waiting == 0
    journal.close()


def test_what_was_not_delivered_comes_again_after_a_crash(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ROOM)
    for n in range(5):
        journal.append(b"%d" % n)
    records = journal.next(2, 1 << 20, 0)
    journal.delivered(records[-1].after)
    journal.next(2, 1 << 20, 0)  # sent, but the process dies before it knows
    os.close(journal._lock)  # as the end of a process does
    after = Journal(tmp_path, ROOM)
    after.append(b"5")
    assert drained(after) == [b"2", b"3", b"4", b"5"]
    after.close()


@given(
    st.lists(st.binary(max_size=200), max_size=30),
    st.lists(st.integers(0, 6), max_size=8),
    st.integers(0, 40),
)
def test_over_any_restarts_every_record_is_delivered_in_order_and_none_is_lost(
    contents: list[bytes], turns: list[int], cut: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, delivered, left = Path(place), list[bytes](), list(contents)
        for turn in [*turns, 1000]:
            journal = Journal(folder, 6_000)  # many small files
            for content in left[:turn]:
                assert journal.append(content)
            left = left[turn:]
            records = journal.next(max(turn, 1), 1 << 20, 0)
            if records and turn % 3:
                journal.delivered(records[-1].after)
                delivered += [record.content for record in records]
            os.close(journal._lock)
        journal = Journal(folder, 6_000)
        delivered += drained(journal)
        assert delivered == contents
        assert journal.damaged == 0
        journal.close()


def test_a_record_that_was_cut_off_is_left_out_and_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ROOM)
    for n in range(3):
        journal.append(b"%d" % n)
    journal.close()
    (file,) = [path for path in tmp_path.glob("*.journal") if path.stat().st_size]
    with file.open("r+b") as torn:
        torn.truncate(file.stat().st_size - 1)
    after = Journal(tmp_path, ROOM)
    assert drained(after) == [b"0", b"1"]
    after.append(b"next")
    assert drained(after) == [b"next"]
    assert after.damaged == HEAD.size
    assert after.waiting == 0
    after.close()


def test_flipped_bits_are_told_and_the_next_file_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ROOM)
    journal.append(b"good")
    journal.append(b"flipped")
    journal.close()
    (file,) = [path for path in tmp_path.glob("*.journal") if path.stat().st_size]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    after = Journal(tmp_path, ROOM)
    after.append(b"next")
    assert drained(after) == [b"good", b"next"]
    assert after.damaged == HEAD.size + len(b"flipped")
    after.close()


def test_a_full_journal_takes_nothing_until_some_is_delivered(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 10_000)
    taken = 0
    while journal.append(bytes(90)):
        taken += 1
    assert taken == 10_000 // (90 + HEAD.size)
    assert not journal.append(b"")
    assert sum(path.stat().st_size for path in tmp_path.glob("*.journal")) <= 10_000
    assert len(drained(journal)) == taken
    assert journal.append(bytes(90))
    journal.close()


def test_a_disk_that_is_full_leaves_the_journal_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, ROOM)
    journal.append(b"before")
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:5]))
    assert not journal.append(b"cut off")
    monkeypatch.undo()
    assert journal.append(b"after")
    assert drained(journal) == [b"before", b"after"]
    assert journal.damaged == 0
    journal.close()


def test_a_file_that_cannot_be_begun_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object) -> int:
        raise OSError(28, "No space left on device")

    journal = Journal(tmp_path, 16_000)  # files of 1,000 bytes
    assert journal.append(bytes(900))
    monkeypatch.setattr(os, "open", no_more)
    assert not journal.append(bytes(200))
    monkeypatch.undo()
    assert journal.append(b"after")
    assert [len(each) for each in drained(journal)] == [900, 5]
    journal.close()


class SmallDisk:
    """A disk with so many bytes of room, as far as a journal's files and texts go."""

    def __init__(self, folder: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._size, self._write = folder, size, os.write
        self._tell = Path.write_text
        monkeypatch.setattr(os, "write", self.write)

        def write_text(path: Path, text: str) -> int:
            return self.write_text(path, text)

        monkeypatch.setattr(Path, "write_text", write_text)

    @property
    def room(self) -> int:
        return self._size - sum(path.stat().st_size for path in self._folder.iterdir())

    def write(self, handle: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(handle, data[: self.room])

    def write_text(self, path: Path, text: str) -> int:
        if len(text) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._tell(path, text)


@pytest.mark.parametrize("size", [2_000, 1_980, 50_000])  # some room is left, none, many files
def test_a_full_disk_has_room_again_once_the_daemon_has_what_is_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    journal = Journal(tmp_path, 160_000)  # files of 10,000 bytes
    disk = SmallDisk(tmp_path, size, monkeypatch)
    taken = 0
    while journal.append(bytes(90)):
        taken += 1
    assert disk.room < 98
    assert len(drained(journal)) == taken
    for _ in range(3):
        again = 0
        while journal.append(bytes(90)):
            again += 1
        assert again >= taken * 0.75  # one delivered file may lie there until the next is
        assert len(drained(journal)) == again
    assert journal.append(b"kept")
    journal.close()
    after = Journal(tmp_path, 160_000)
    assert drained(after)[-1] == b"kept"
    after.close()


def test_two_processes_do_not_share_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ROOM)
    with pytest.raises(Conflict, match="another sidecar writes the journal"):
        Journal(tmp_path, ROOM)
    journal.close()


def test_without_a_cursor_that_can_be_read_everything_is_sent_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ROOM)
    journal.append(b"0")
    journal.append(b"1")
    journal.delivered(journal.next(1, 1 << 20, 0)[0].after)
    journal.close()
    (tmp_path / "cursor.json").write_text("")
    after = Journal(tmp_path, ROOM)
    assert drained(after) == [b"0", b"1"]
    after.close()


def test_files_that_were_delivered_are_removed(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 16_000)  # files of 1,000 bytes
    for _ in range(100):
        journal.append(bytes(100))
    assert len(list(tmp_path.glob("*.journal"))) > 5
    drained(journal)
    assert len(list(tmp_path.glob("*.journal"))) == 1
    assert journal.next(1, 1, 0) == []
    assert journal._cursor > Place(1, 0)
    journal.close()
