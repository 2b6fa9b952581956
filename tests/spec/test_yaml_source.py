"""What the YAML reader takes, where it says things are, and what it refuses."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from waystage.errors import Invalid
from waystage.spec.source import parse_source, read_source, written

TEXT = """lifecycle: demo   # a comment
on: off
services: [a, "b-*"]
states:
  one:
    next:
      - to: two
        if: snapshot.x == "y"
    text: |
      several
      lines
  two: {final: true, note: 'quoted'}
"""


def codes(text: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse_source(text)
    return [problem.code for problem in caught.value.problems]


def test_data_is_plain_and_in_the_order_of_the_file() -> None:
    data = parse_source(TEXT).data
    assert list(data) == ["lifecycle", "on", "services", "states"]
    assert data["on"] == "off"
    assert data["services"] == ["a", "b-*"]
    assert data["states"]["one"]["next"] == [{"to": "two", "if": 'snapshot.x == "y"'}]
    assert data["states"]["one"]["text"] == "several\nlines\n"
    assert data["states"]["two"] == {"final": True, "note": "quoted"}


@pytest.mark.parametrize(
    ("written_as", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("True", "True"),
        ("true", True), ("false", False), ("null", None), ("~", None), ("", None),
        ("12", 12), ("-3", -3), ("+7", 7), ("010", 10), ("0x1f", 31), ("0o17", 15),
        ("1_000", "1_000"), ("12:30:45", "12:30:45"), ("0.30", 0.3), (".5", 0.5), ("1e3", 1000.0),
        ("1.", 1.0), ("-", "-") , (".", "."), ("+", "+"), ("1.2.3", "1.2.3"), ("1e", "1e"),
        ("2026-12-20", "2026-12-20"), ("2026-12-20T00:00:00Z", "2026-12-20T00:00:00Z"),
        ("'12'", "12"), ('"true"', "true"), ("=", "="), ("P7D", "P7D"), ("0b11", "0b11"),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(written_as: str, value: Any) -> None:
    if written_as == "-":
        written_as = "'-'"
    found = parse_source(f"key: {written_as}").data["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), (1, 1), (1, 1)),
        (("lifecycle",), (1, 1), (1, 12)),
        (("services", 1), (3, 15), (3, 15)),
        (("states", "one", "next"), (6, 5), (7, 7)),
        (("states", "one", "next", 0, "if"), (8, 9), (8, 13)),
        (("states", "two", "note"), (12, 22), (12, 28)),
        (("states", "one", "nowhere", 3), (5, 3), (6, 5)),
        (("nowhere",), (1, 1), (1, 1)),
    ],
)
def test_every_part_knows_its_place(
    path: tuple[str | int, ...], key: tuple[int, int], value: tuple[int, int]
) -> None:
    source = parse_source(TEXT)
    assert source.locate(path) == key
    assert source.locate_value(path) == value


def test_a_problem_says_file_line_column_path_and_cure() -> None:
    source = parse_source(TEXT, "lifecycles/demo.yaml")
    problem = source.problem(
        "E-X", ("states", "one", "next", 0, "if"), "is odd", "did you mean even?", "warning"
    )
    assert str(problem) == (
        "lifecycles/demo.yaml:8:9: states.one.next[0].if: is odd; did you mean even?"
    )
    assert problem.severity == "warning"


def test_paths_are_written_as_people_read_them() -> None:
    assert written(("a", 0, "b", 1)) == "a[0].b[1]"
    assert written(()) == ""


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("a: 1\nb: 2\na: 3\n", "E-YAML-DUPLICATE", (3, 1)),
        ("a: {b: 1, b: 1}\n", "E-YAML-DUPLICATE", (1, 11)),
        ("a: &x 1\n", "E-YAML-ALIAS", (1, 4)),
        ("a: *x\n", "E-YAML-ALIAS", (1, 4)),
        ("<<: {a: 1}\n", "E-YAML-ALIAS", (1, 1)),
        ("a: !!python/object/apply:os.system [ls]\n", "E-YAML-TAG", (1, 4)),
        ("a: !!str 1\n", "E-YAML-TAG", (1, 4)),
        ("a: ! b\n", "E-YAML-TAG", (1, 4)),
        ("a: .nan\n", "E-YAML-NUMBER", (1, 4)),
        ("a: [1, -.INF]\n", "E-YAML-NUMBER", (1, 8)),
        ("a: 1e999\n", "E-YAML-NUMBER", (1, 4)),
        ("a: 9223372036854775808\n", "E-YAML-NUMBER", (1, 4)),
        ("1: a\n", "E-YAML-KEY", (1, 1)),
        ("true: a\n", "E-YAML-KEY", (1, 1)),
        ("~: a\n", "E-YAML-KEY", (1, 1)),
        ("? [a]\n: b\n", "E-YAML-KEY", (1, 3)),
        ("a: 1\n---\nb: 2\n", "E-YAML-DOCUMENTS", (2, 1)),
        ("a: [1, 2\n", "E-YAML-SYNTAX", (2, 1)),
        ("a: b: c\n", "E-YAML-SYNTAX", (1, 5)),
        ("a:\n\tb: 1\n", "E-YAML-SYNTAX", (2, 1)),
        ("- a\n", "E-YAML-ROOT", (1, 1)),
        ("", "E-YAML-ROOT", (1, 1)),
        ("a: x\u202ey\n", "E-YAML-CHARACTER", (1, 5)),
        ("a: x\x07\n", "E-YAML-CHARACTER", (1, 5)),
        ("a: 1\rb: 2\n", "E-YAML-CHARACTER", (1, 5)),
        ("ab\u200bc: 1\n", "E-YAML-CHARACTER", (1, 3)),
        ('a: "\\u202e"\n', "E-YAML-CHARACTER", (1, 4)),
        ('a: "\\x00"\n', "E-YAML-CHARACTER", (1, 4)),
    ],
)
def test_what_is_not_plain_yaml_is_refused_at_its_place(
    text: str, code: str, place: tuple[int, int]
) -> None:
    with pytest.raises(Invalid) as caught:
        parse_source(text, "f.yaml")
    problem = caught.value.problems[0]
    assert (problem.code, problem.line, problem.column) == (code, *place)
    assert problem.file == "f.yaml"


def test_all_problems_are_reported_at_once() -> None:
    text = "a: 1\na: 2\nb: &x 1\nc: .inf\n2: x\nd: !t y\n"
    assert codes(text) == [
        "E-YAML-DUPLICATE",
        "E-YAML-ALIAS",
        "E-YAML-NUMBER",
        "E-YAML-KEY",
        "E-YAML-TAG",
    ]


def test_very_many_problems_are_cut_off() -> None:
    assert len(codes("".join(f"k{n}: .nan\n" for n in range(5000)))) == 100


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: " + "[" * 60_000, "E-YAML-DEPTH"),
        ("{a: " * 15_000, "E-YAML-DEPTH"),
        ("- " * 30_000, "E-YAML-DEPTH"),
        ("? " * 30_000, "E-YAML-KEY"),
        ("a: [" + "1," * 30_000 + "]", "E-YAML-SIZE"),
        ("a: " + "x" * 300_000, "E-YAML-SIZE"),
        ("a: " + "ä" * 140_000, "E-YAML-SIZE"),
        ("a: &x [1]\n" + "b: *x\n" * 10, "E-YAML-ALIAS"),
        ("a: '" + "\n" * 200_000, "E-YAML-SYNTAX"),
        ("a: " + "9" * 200_000, "E-YAML-NUMBER"),
    ],
)
def test_attacks_end_quickly_with_a_located_error(text: str, code: str) -> None:
    started = time.process_time()
    assert codes(text)[0] == code
    assert time.process_time() - started < 5


def test_thirty_two_levels_are_allowed_and_one_more_is_not() -> None:
    assert parse_source("a: " + "[" * 31 + "]" * 31).data
    assert codes("a: " + "[" * 32 + "]" * 32) == ["E-YAML-DEPTH"]


def test_files_are_read_with_either_line_end_and_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufefflifecycle: ä\r\nb: 1\r\n".encode())
    source = read_source(path, "shown.yaml")
    assert source.data == {"lifecycle": "ä", "b": 1}
    assert source.file == "shown.yaml"
    assert source.locate(("b",)) == (2, 1)


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"a: 1\nb: \xff\n", "E-YAML-ENCODING", 2),
        ("a: 1\n".encode("utf-16"), "E-YAML-ENCODING", 1),
        (b"a: " + b"x" * 300_000, "E-YAML-SIZE", 0),
    ],
)
def test_files_that_are_no_small_utf_8_text_are_refused(
    tmp_path: Path, content: bytes, code: str, line: int
) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(Invalid) as caught:
        read_source(path)
    (problem,) = caught.value.problems
    assert (problem.code, problem.line) == (code, line)


@pytest.mark.parametrize("name", ["missing.yaml", "folder"])
def test_what_cannot_be_read_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Invalid) as caught:
        read_source(tmp_path / name, name)
    assert str(caught.value).startswith(f"{name}: cannot be read: ")
