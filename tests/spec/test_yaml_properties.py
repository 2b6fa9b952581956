"""What holds for any text given to the YAML reader and to the loader."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from waystage.errors import Invalid
from waystage.spec.load import Loaded, parse_lifecycle, parse_project, parse_stage
from waystage.spec.source import Source, parse_source

PIECES = [
    "lifecycle", "a", ": ", ":", "- ", "\n", "  ", "[", "]", "{", "}", ",", "'", '"', "&a ", "*a",
    "!t ", "? ", "|\n", ">-\n", "---\n", "...\n", "%YAML 1.2\n", "<<", "#", "\t", "1", "~", "true",
    "\\", "\0", "\u202e", "\r\n", "\r", "é", "😀", "@", "`", "0x", "1e9", ".nan", '"\\u0000"',
]  # fmt: skip
texts = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
WORDS = [
    "lifecycle", "services", "initial", "states", "steps", "use", "with", "next", "to", "if", "set",
    "done", "task", "title", "for", "timers", "after", "cron", "params", "type", "monitors",
    "window", "length", "breach", "below", "branches", "final", "call", "stages", "start", "on",
]  # fmt: skip
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["a", "x", "P1D", "number", "a.b", "PROD", ""]),
)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)
    ),
    max_leaves=25,
)
JARGON = ("pydantic", "Input should", "Value error", "https://", "dict", "tuple", "NoneType")


def read(text: str) -> Source | Invalid:
    try:
        return parse_source(text)
    except Invalid as error:
        return error


@settings(deadline=60_000)  # milliseconds: none takes for ever, on the busiest machine
@given(texts)
def test_any_text_is_a_located_source_or_has_problems(text: str) -> None:
    found = read(text)
    if isinstance(found, Invalid):
        assert found.problems
        assert all(problem.code.startswith("E-YAML-") for problem in found.problems)
        return
    lines = found.text.split("\n")
    for line, column in [*found.positions.values(), *found.values.values()]:
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1
    for path in found.positions:
        value: Any = found.data
        for part in path:
            value = value[part]


@given(st.dictionaries(st.text(st.characters(categories=["L", "N", "P", "Zs"])), trees, max_size=4))
def test_json_reads_as_the_same_data(data: dict[str, Any]) -> None:
    assert parse_source(json.dumps(data, ensure_ascii=False)).data == data


def load(kind: str, body: dict[str, Any]) -> Loaded[Any] | Invalid:
    parse = {"lifecycle": parse_lifecycle, "stage": parse_stage, "project": parse_project}[kind]
    try:
        return parse(json.dumps({kind: "a", **{k: v for k, v in body.items() if k != kind}}))
    except Invalid as error:
        return error


@settings(deadline=60_000)  # milliseconds: none takes for ever, on the busiest machine
@given(
    st.sampled_from(["lifecycle", "stage", "project"]),
    st.dictionaries(st.sampled_from(WORDS), trees, max_size=6),
    trees,
)
def test_any_data_is_a_model_or_has_problems_in_plain_words(
    kind: str, body: dict[str, Any], state: Any
) -> None:
    if kind == "lifecycle":
        body = {"services": "a", "initial": "x", "states": {"x": state}, **body}
    found = load(kind, body)
    if not isinstance(found, Invalid):
        assert len(found.digest) == 64
        return
    for problem in found.problems:
        assert problem.line >= 1
        assert not any(word in problem.message for word in JARGON), problem
