"""House rules about the sources: size, suppressions, leftovers, docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not (Path(__file__).parents[2] / "engine").is_dir(),
    reason="the checkout's sources are not beside the tests",
)

LONGEST_FILE = 400
LONGEST_FUNCTION = 50
SUPPRESSION = re.compile(r"#\s*(type:\s*ignore|noqa)(?P<rest>.*)")
REASONED = re.compile(r"(\[[\w, -]+\]|:\s*[A-Z0-9, ]+?)\s+#\s*\w.*")
# in two parts, so that this file does not break its own rule
LEFTOVERS = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "pdb" + r"\.set_trace"]))
MACHINE = re.compile(
    "|".join([r"(?<![\w.])/wo" + "rk/", r"/ro" + "ot/", "/op" + "t/py", "/ho" + "me/"])
)
TEXTS = {".md", ".yaml", ".toml", ".txt", ".py", ".sh", ".svg", ""}


def test_no_file_is_too_long(sources: dict[str, str]) -> None:
    long = {name: n for name, text in sources.items() if (n := text.count("\n")) > LONGEST_FILE}
    assert long == {}


def test_no_function_is_too_long(trees: dict[str, ast.Module]) -> None:
    long = [
        f"{name}:{each.lineno} {each.name}"
        for name, tree in trees.items()
        for each in functions(tree)
        if (each.end_lineno or 0) - each.lineno > LONGEST_FUNCTION
    ]
    assert long == []


def test_every_suppression_has_its_reason_beside_it(sources: dict[str, str]) -> None:
    bare = [
        f"{name}:{number}"
        for name, text in sources.items()
        for number, line in enumerate(text.splitlines(), 1)
        if (found := SUPPRESSION.search(line)) and not REASONED.match(found["rest"])
        and not name.startswith("tests/house")
    ]  # fmt: skip
    assert bare == []


def test_a_suppression_without_a_reason_would_be_found() -> None:
    for line in ("x = 1  # type: " + "ignore[misc]", "x = 1  # no" + "qa: S101", "x  # no" + "qa"):
        found = SUPPRESSION.search(line)
        assert found
        assert not REASONED.match(found["rest"])


def test_nothing_is_left_to_be_done_in_the_sources(sources: dict[str, str]) -> None:
    assert [name for name, text in sources.items() if LEFTOVERS.search(text)] == []


def test_no_file_names_a_path_of_the_machine_it_was_written_on(root: Path) -> None:
    named = [
        str(path.relative_to(root))
        for path in texts(root)
        if MACHINE.search(path.read_text(errors="replace"))
    ]
    assert named == []


def test_every_module_and_public_class_says_what_it_is(trees: dict[str, ast.Module]) -> None:
    silent = [
        f"{name}:{getattr(each, 'lineno', 1)}"
        for name, tree in trees.items()
        for each in (tree, *(n for n in tree.body if isinstance(n, ast.ClassDef)))
        if not (isinstance(each, ast.ClassDef) and each.name.startswith("_"))
        and not ast.get_docstring(each)
    ]
    assert silent == []


def test_public_functions_of_modules_say_what_they_give(trees: dict[str, ast.Module]) -> None:
    silent = [
        f"{name}:{each.lineno} {each.name}"
        for name, tree in trees.items()
        if "/migrations/" not in name  # their two functions are Alembic's
        for each in tree.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and not each.name.startswith("_")
        and not ast.get_docstring(each)
    ]
    assert silent == []


def test_test_files_have_names_of_their_own(root: Path) -> None:
    names = [path.name for path in (root / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Give every function of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def texts(root: Path) -> Iterator[Path]:
    """Give the text files of the repository that are kept."""
    for top in sorted(root.iterdir()):
        if top.name == "demo-project" or (top.name.startswith(".") and top.name != ".ci"):
            continue  # the demo's project is there where somebody keeps it
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            inside = path.relative_to(root).parts
            kept = not any(p in ("__pycache__", "dist", "build") or p[:2] == ".m" for p in inside)
            if kept and path.is_file() and path.suffix in TEXTS:
                yield path
