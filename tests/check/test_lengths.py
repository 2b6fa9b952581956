"""How long the texts are that a pattern matches: whatever is found lies within what is said."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.check.lengths import ENDLESS, lengths

PARTS = st.sampled_from(
    ["a", "b", "[ab]", "[^a]", "\\d", "^", "$", "\\Z", "\\A", ".", "a*", "b?", "a{2,3}", "\\n"]
)
PATTERNS = st.recursive(
    PARTS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.tuples(inner, inner).map("|".join),
        inner.map(lambda each: f"({each})"),
        inner.map(lambda each: f"(?:{each}){{0,2}}"),
    ),
    max_leaves=8,
)


@given(PATTERNS, st.text("ab1\n", max_size=6))
def test_what_is_found_has_a_length_that_was_said(pattern: str, text: str) -> None:
    span = lengths(pattern)
    # as forms do it: `$` at the very end lets no line break follow
    strict = pattern.removesuffix("$") + "\\Z" if pattern.endswith("$") else pattern
    if re.search(strict, text):
        assert span is not None
        assert span[0] <= len(text) <= span[1]


@pytest.mark.parametrize(
    ("pattern", "span"),
    [
        ("^[a-z]{3}$", (3, 3)),
        ("^[a-z]{3}", (3, ENDLESS)),
        ("^(ab|c)?$", (0, 2)),
        ("^a$|^bcd$", (1, ENDLESS)),
        ("a$b", None),
        ("a^b", None),
        ("[^\\s\\S]", None),
        ("^(?:[^\\d\\D]|a$b)$", None),
        ("(?m)a$\\n^b", (0, ENDLESS)),
        ("^(?P<a>x)(?P=a)$", (1, ENDLESS)),
    ],
)
def test_lengths_are_those_of_the_pattern(pattern: str, span: tuple[int, int] | None) -> None:
    assert lengths(pattern) == span
