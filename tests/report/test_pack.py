"""A pack of evidence is the same for the same files, and tells whatever was changed in it."""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
from pathlib import Path

import pytest

from waystage.report.pack import MANIFEST, SUMS, File, Pack, PackUnfit, packed

FILES = [File("b/two.json", b"{}", "the second"), File("a.txt", b"one", "the first")]
TOLD = {"subject": "credit-risk-1", "at": "2026-01-01"}


def changed(pack: bytes, name: str, body: bytes | None) -> bytes:
    """Give the pack with one file changed, added or left out."""
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(pack)) as old, zipfile.ZipFile(held, "w") as new:
        for each in old.namelist():
            if each != name:
                new.writestr(each, old.read(each))
        if body is not None:
            new.writestr(name, body)
    return held.getvalue()


def findings(tmp_path: Path, pack: bytes) -> list[str]:
    place = tmp_path / "x.zip"
    place.write_bytes(pack)
    return list(Pack(place).findings())


def test_the_same_files_are_the_same_bytes_in_whatever_order() -> None:
    assert packed(FILES, TOLD) == packed(FILES[::-1], TOLD)
    assert packed(FILES, TOLD) != packed(FILES[:1], TOLD)


def test_sha256sum_reads_the_sums(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(packed(FILES, TOLD))) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=tmp_path, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["a.txt: OK", "b/two.json: OK", f"{MANIFEST}: OK"]


def test_a_good_pack_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, packed(FILES, TOLD)) == []


def test_a_pack_that_was_unpacked_and_packed_again_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, changed(packed(FILES, TOLD), "b/", b"")) == []
    assert findings(tmp_path, changed(packed(FILES, TOLD), "b/", b"more")) != []


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("a.txt", b"two", ["a.txt was changed", "a.txt is not the file that manifest.json lists"]),
        ("a.txt", None, ["a.txt is missing"]),
        ("c.txt", b"new", ["c.txt is not listed in SHA256SUMS",
                           "c.txt is not the file that manifest.json lists"]),
        (MANIFEST, b'{"files": []}', ["a.txt is not the file that manifest.json lists",
                                      "b/two.json is not the file that manifest.json lists",
                                      "manifest.json was changed"]),
    ],
)  # fmt: skip
def test_what_was_changed_is_named(
    tmp_path: Path, name: str, body: bytes | None, says: list[str]
) -> None:
    assert findings(tmp_path, changed(packed(FILES, TOLD), name, body)) == says


def test_sums_that_were_made_anew_do_not_hide_a_change(tmp_path: Path) -> None:
    pack = changed(packed(FILES, TOLD), "a.txt", b"two")
    with zipfile.ZipFile(io.BytesIO(pack)) as archive:
        digests = {n: hashlib.sha256(archive.read(n)).hexdigest() for n in archive.namelist()}
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items() if name != SUMS)
    assert findings(tmp_path, changed(pack, SUMS, sums.encode())) == [
        "a.txt is not the file that manifest.json lists"
    ]


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04", b"no zip at all", packed([], {})[:-30]])
def test_what_is_no_pack_is_refused_in_one_line(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(PackUnfit, match="no evidence pack") as caught:
        findings(tmp_path, body)
    assert "\n" not in str(caught.value)


def test_every_cut_and_every_flipped_byte_is_found_or_harmless(tmp_path: Path) -> None:
    pack = packed(FILES, TOLD)
    for place in range(0, len(pack), 7):
        flipped = pack[:place] + bytes([pack[place] ^ 1]) + pack[place + 1 :]
        (tmp_path / "x.zip").write_bytes(flipped)
        try:
            told = Pack(tmp_path / "x.zip")
        except PackUnfit:
            continue
        if not list(told.findings()):  # times and such: every file is as it was
            good = {"a.txt": b"one", "b/two.json": b"{}"}
            assert {name: told.bodies[name] for name in good} == good
