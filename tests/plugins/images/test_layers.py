"""The model's layer: the same files give the same bytes, whatever else differs about them."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from waystage_plugins.images.layer import write_layer

NAMES = st.from_regex(r"[a-z0-9é_.-]{1,120}", fullmatch=True).filter(
    lambda n: n != "." and not n.startswith("..")
)
TREES = st.dictionaries(NAMES, st.binary(max_size=3000), min_size=1, max_size=6)


def packed(place: Path, files: dict[str, bytes], *, age: int, mode: int) -> tuple[bytes, str]:
    for name, content in files.items():
        (place / name).write_bytes(content)
        (place / name).chmod(mode)
        os.utime(place / name, (age, age))
    layer = write_layer(place, files, "models/credit/1", place / "..layer")
    raw = layer.path.read_bytes()
    assert layer.size == len(raw)
    assert layer.digest == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    assert layer.diff == f"sha256:{hashlib.sha256(gzip.decompress(raw)).hexdigest()}"
    return raw, layer.diff


@settings(max_examples=40)
@given(TREES)
def test_age_order_and_rights_of_files_change_nothing(files: dict[str, bytes]) -> None:
    backwards = dict(reversed(files.items()))
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        first = packed(Path(one), files, age=1, mode=0o600)
        assert first == packed(Path(other), backwards, age=2_000_000_000, mode=0o755)
        with tarfile.open(Path(one) / "..layer") as archive:
            held = {entry.name: archive.extractfile(entry) for entry in archive if entry.isfile()}
            told = {name: file.read() for name, file in held.items() if file}
    assert told == {f"models/credit/1/{name}": content for name, content in files.items()}


def test_other_bytes_or_names_give_another_layer(tmp_path: Path) -> None:
    made = set()
    for number, files in enumerate(({"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""})):
        (tmp_path / str(number)).mkdir()
        made.add(packed(tmp_path / str(number), files, age=1, mode=0o644)[1])
    assert len(made) == 4
