"""Patterns of forms and parameters: RE2, whose time is linear in what a person types."""

from __future__ import annotations

import time

import pytest

from waystage.patterns import LONGEST, compiled
from waystage.spec.fields import misfit
from waystage.spec.lifecycle import FieldSpec


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^([a-z]+)*[0-9]$", "(.*)*!"])
def test_no_text_keeps_a_pattern_busy(pattern: str) -> None:
    began = time.process_time()
    assert misfit(FieldSpec(type="string", pattern=pattern), "a" * 5000 + "?")
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        ("^[a-z]+$", "abc", "abc\n"),
        ("^CHG[0-9]{7}$", "CHG0000001", "xCHG0000001"),
        ("prod", "my-prod-1", "dev"),
        (r"\.onnx$", "model.onnx", "model.onnx.bak"),
        ("^é+$", "éé", "e"),
    ],
)
def test_a_pattern_is_found_anywhere_unless_it_says_where(
    pattern: str, fits: str, not_: str
) -> None:
    field = FieldSpec(type="string", pattern=pattern)
    assert misfit(field, fits) == ""
    assert "does not match" in misfit(field, not_)


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"(a)\1", r"(?<!a)b", "[", "a{2000}", "a" * 501])
def test_what_could_run_away_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        compiled(pattern)
    if len(pattern) <= LONGEST:
        field = FieldSpec(type="string", pattern=pattern)
        assert "is no regular expression" in misfit(field, "b")
