"""The checkout's own files, for rules about how the sources read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("engine", "plugins", "tests", "examples", "benchmarks", "docs")


def python_files(*directories: str) -> list[Path]:
    """Give the Python files below these directories of the checkout."""
    found = [path for name in directories for path in (ROOT / name).rglob("*.py")]
    return sorted(path for path in found if not any(part[0] == "." for part in path.parts[1:]))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def sources() -> dict[str, str]:
    """Give the text of every Python file by its path from the root."""
    return {str(p.relative_to(ROOT)): p.read_text() for p in python_files(*CODE)}


@pytest.fixture(scope="session")
def trees(sources: dict[str, str]) -> dict[str, ast.Module]:
    """Give the syntax tree of every Python file that is shipped."""
    return {
        name: ast.parse(text)
        for name, text in sources.items()
        if name.startswith(("engine", "plugins"))
    }
