"""An archive with a model is unpacked whole, or refused whole with nothing on disk."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_models import saved_model

from waystage.errors import Hopeless
from waystage.plugin import Done, Refused
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.steps.archives import unpack
from waystage_plugins.steps.model_check import CheckModel

Release = Callable[..., FakeContext]
GOOD = {"model/saved_model.pb": saved_model(), "model/variables/variables.index": b"weights"}


def tar(entries: dict[str, bytes], *more: tarfile.TarInfo, mode: Any = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in more:
            archive.addfile(entry, io.BytesIO(b"\0" * entry.size))
    return buffer.getvalue()


def zipped(entries: dict[str, bytes], mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def special(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> Any:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, link, mode
    return entry


def words(value: object) -> str:
    """Name a case by its texts: an archive's bytes tell the time and are others in each process."""
    return value if isinstance(value, str) else "archive"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.tar", tar(GOOD, mode="w")),
        ("m.tar.gz", tar(GOOD)),
        ("M.TGZ", tar(GOOD)),
        ("m.zip", zipped(GOOD)),
    ],
    ids=words,
)
def test_a_model_in_an_archive_is_unpacked(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    unpack(tmp_path / name, tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes()
             for p in (tmp_path / "out").rglob("*") if p.is_file()}  # fmt: skip
    assert found == GOOD


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.tar", tar({**GOOD, "../up": b"x"}), "'../up' leads out of the archive"),
        ("a.tar", tar({"a/../../up": b"x"}), "leads out of the archive"),
        ("a.tar", tar({"/etc/passwd": b"x"}), "is an absolute name"),
        ("a.tar", tar({"C:/x": b"x"}), "is an absolute name"),
        ("a.tar", tar({"a\\..\\x": b"x"}), "characters that a file's name may not have"),
        ("a.tar", tar({"a\nb": b"x"}), "characters that a file's name may not have"),
        ("a.tar", tar(GOOD, special("l", tarfile.SYMTYPE, "/etc")), "'l' is a link"),
        ("a.tar", tar(GOOD, special("l", tarfile.LNKTYPE, "x")), "'l' is a link"),
        ("a.tar", tar(GOOD, special("d", tarfile.CHRTYPE)), "'d' is no plain file"),
        ("a.tar", tar(GOOD, special("p", tarfile.FIFOTYPE)), "'p' is no plain file"),
        ("a.tar", tar(GOOD, special("s", mode=0o4755)), "has the setuid or setgid bit"),
        ("a.tar", tar(GOOD, special("model/saved_model.pb")), "is there twice"),
        ("a.tar", tar({"a": b"x", "a/b": b"y"}), "a is a file and a directory"),
        ("a.tar", tar({"zeros": b"\0" * (40 << 20)}), "grows to more than 100 times its size"),
        ("a.tar", b"no archive at all", "cannot be unpacked"),
        ("a.tar.gz", tar(GOOD)[:-60], "cannot be unpacked"),
        ("a.zip", zipped({"../up": b"x"}), "leads out of the archive"),
        ("a.zip", zipped({"l": b"/etc"}, stat.S_IFLNK | 0o777), "is a link"),
        ("a.zip", zipped({"s": b"x"}, stat.S_IFREG | 0o4755), "has the setuid or setgid bit"),
        ("a.zip", zipped({"zeros": b"\0" * (40 << 20)}), "grows to more than 100 times its size"),
        ("a.zip", zipped(GOOD)[:-30], "cannot be unpacked"),
    ],
    ids=words,
)
def test_an_archive_that_is_not_plain_files_is_refused_whole(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Hopeless) as caught:
        unpack(tmp_path / name, tmp_path / "out")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == [name]


@settings(max_examples=60)
@given(st.integers(0, 500), st.binary(min_size=1, max_size=8), st.sampled_from(["tar", "zip"]))
def test_damaged_archives_are_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes, kind: str
) -> None:
    place = tmp_path_factory.mktemp("damaged")
    whole = tar(GOOD, mode="w") if kind == "tar" else zipped(GOOD)
    at %= len(whole)
    (place / f"m.{kind}").write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    try:
        unpack(place / f"m.{kind}", place / "inner" / "out")
    except Hopeless:
        assert not (place / "inner" / "out").exists()
    assert {each.name for each in place.iterdir()} <= {f"m.{kind}", "inner"}


def test_the_gate_looks_into_archives(release: Release) -> None:
    answer = check_step(CheckModel(), release({"m.tar.gz": tar(GOOD)}), world=lambda: None)
    assert isinstance(answer, Done)
    bad = run_to_end(CheckModel(), release({"m.tar.gz": tar({**GOOD, "../up": b"x"})}))
    assert isinstance(bad, Refused)
    assert bad.why == "m.tar.gz: '../up' leads out of the archive; nothing was unpacked"
    hidden = release({"m.zip": zipped({**GOOD, "model/extra.pkl": b"x"})})
    refused = run_to_end(CheckModel(), hidden)
    assert isinstance(refused, Refused)
    assert "model/extra.pkl is pickle" in refused.why
    assert list(hidden.scratch.iterdir()) == []
