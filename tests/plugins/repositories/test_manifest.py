"""A manifest is read as it was written, whatever its texts look like."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from waystage.errors import Hopeless
from waystage_plugins.repositories.manifest import merged, read_manifest, write_manifest

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.from_regex(r"[-+]?[0-9]{0,3}[.:_eExo]?[0-9]{0,3}", fullmatch=True)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def read(content: bytes) -> dict[str, Any]:
    with TemporaryDirectory() as directory:
        place = Path(directory, "manifest.yaml")
        place.write_bytes(content)
        return read_manifest(place)


@given(
    st.dictionaries(TEXTS.filter(lambda key: key not in ("name", "version")), VALUES, max_size=4)
)
@example({"a": "yes", "b": "1e5", "c": "010", "d": "2026-01-05", "e": "~", "f": "", "g": "1:30"})
@example({"=": "<<", "<<": "="})
def test_what_is_written_is_read(manifest: dict[str, Any]) -> None:
    assert read(write_manifest(manifest)) == manifest


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"a: [" + b"[" * 100)
@example(b"? {a: b}\n: c\n")
@example(b"[a]: 1\n")
@example(b"1: 2\n")
@example(b"a: 99999999999999999999999999999999999999\n")
@example(b"--- a\n--- b\n")
@example(b"")
def test_whatever_the_bytes_are_they_are_read_or_refused_in_one_line(content: bytes) -> None:
    told = ""
    try:
        read(content)
    except Hopeless as error:
        told = str(error)
    assert "\n" not in told


@pytest.mark.parametrize("word", ["on", "no", "yes", "off", "True", "NULL", "0x1f", "1_000"])
def test_only_the_words_of_yaml_1_2_are_not_text(word: str) -> None:
    assert read(f"a: {word}\n".encode()) == {"a": word}


def test_merging_lays_maps_into_one_another_and_replaces_the_rest() -> None:
    under: dict[str, Any] = {"tags": {"a": "1", "b": "1"}, "inputs": [1], "format": "onnx"}
    over: dict[str, Any] = {"tags": {"b": "2"}, "inputs": [2]}
    assert merged(under, over) == {"tags": {"a": "1", "b": "2"}, "inputs": [2], "format": "onnx"}
