"""Names of images: what registries take, and nothing that something else would misread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.errors import Hopeless
from waystage_plugins.images.reference import Reference, checked_path, parse_reference

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("serving:2.19.1", ("docker.io", "library/serving", "2.19.1", "")),
        ("tensorflow/serving:2.19.1", ("docker.io", "tensorflow/serving", "2.19.1", "")),
        ("localhost/serving:1", ("localhost", "serving", "1", "")),
        ("127.0.0.1:5000/a/b/c:1", ("127.0.0.1:5000", "a/b/c", "1", "")),
        (f"r.example.org/a@{D}", ("r.example.org", "a", "", D)),
        (f"r.example.org:8443/a-b/c__d:V1@{D}", ("r.example.org:8443", "a-b/c__d", "V1", D)),
    ],
)
def test_references_are_read_as_docker_reads_them(text: str, read: tuple[str, ...]) -> None:
    assert parse_reference(text) == read


@pytest.mark.parametrize(
    "text",
    ["", "serving", "a:", ":1", "a b:1", "A/b:1", "a//b:1", "a/../b:1", "../a:1", "-a:1", "a:-1",
     "https://a.b/c:1", "a.b/c:1\n", "a.b/c:1;rm", "a.b/c@sha256:1", "a.b/c:$(x)", "ä/b:1",
     "a.b:x/c:1", "a.b/c:1:2", f"a.b/c@{D}@{D}", "a.b/c:" + "x" * 129],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(Hopeless, match=r"is no reference|names no tag"):
        parse_reference(text)


@given(st.text(max_size=60))
def test_whatever_is_read_is_written_the_same_way_and_is_harmless(text: str) -> None:
    try:
        found = parse_reference(text)
    except Hopeless:
        return
    assert isinstance(found, Reference)
    assert parse_reference(str(found)) == found
    assert not set(str(found)) & set(" \n;$`'\"\\(){}<>|&?#%")
    assert ".." not in found.path


@pytest.mark.parametrize("part", ["", "A", "a b", "../x", "/a", "a/", "-a", "ä", "a" * 256])
def test_a_part_of_a_name_that_is_none_is_refused(part: str) -> None:
    with pytest.raises(Hopeless):
        checked_path("models", part)
