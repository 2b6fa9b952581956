"""What the loader and the checks say to any bytes: a sound file, or problems with their places."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from waystage.check import check_lifecycle
from waystage.errors import Invalid
from waystage.registry import load_catalog
from waystage.spec.load import (
    parse_block,
    parse_lifecycle,
    parse_project,
    parse_scenario,
    parse_stage,
)
from waystage.spec.source import read_source

ROOT = Path(__file__).resolve().parents[2]
PARSERS: tuple[Callable[[str, str], Any], ...] = (
    parse_lifecycle, parse_stage, parse_project, parse_scenario, parse_block,
)  # fmt: skip

UNCLOSED = """\
lifecycle: a
services: [b]
initial: c
states:
  c:
    steps: [{use: notify, with: {to: x, text: "{{ service }} {{ 'open }} ends"}}]
    next: {done: d}
  d: {final: true}
"""


def one_input(data: bytes) -> None:
    """Read the bytes as each kind of file, and prove what is a lifecycle."""
    path = _place() / "given.yaml"
    path.write_bytes(data)
    try:
        text = read_source(path).text
    except Invalid as error:
        _hold_located(error, path)
        return
    for parse in PARSERS:
        try:
            loaded = parse(text, str(path))
        except Invalid as error:
            _hold_located(error, path)
        else:
            if parse is parse_lifecycle:
                for problem in check_lifecycle(loaded, None, _catalog()):
                    assert problem.line >= 1, problem


def seeds() -> Iterator[bytes]:
    """Give every file that is shipped, and what is known to have been hard."""
    for folder in ("lifecycles", "stages", "examples"):
        for path in sorted((ROOT / folder).rglob("*.yaml")):
            yield path.read_bytes()
    yield UNCLOSED.encode()
    yield b"lifecycle: a\nstates: &a {b: *a}\n"
    yield b"[" * 40
    yield b"\xef\xbb\xbflifecycle: a\n"
    yield "lifecycle: a\u202e\u0000\n".encode()


def _hold_located(error: Invalid, path: Path) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.file.endswith(path.name), problem
        located = problem.line >= 1 and problem.column >= 1
        assert located or problem.code == "E-YAML-SIZE", problem  # too large to be looked into
        assert problem.message, problem


@cache
def _place() -> Path:
    return Path(tempfile.mkdtemp(prefix="waystage-fuzz-"))


@cache
def _catalog() -> Any:
    return load_catalog()
