"""The pages of `docs/reference/checks/`: each check's own docstring, and its mistakes mended.

The mistakes are those of the tests (`tests/check/cases/`); what `validate` says of each is what
it says when this runs.
"""

from __future__ import annotations

import inspect
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from waystage.check.explain import CODE, explained, modules

sys.path.append(str(Path(__file__).parents[1] / "tests" / "helpers"))
from check_cases import PROJECT, Case, cases

HEAD = """# Checks

What `waystage validate` proves before anything runs. Each check has a page that says what it
finds, why it hurts and how to mend it, and shows mistakes, what is said about them, and the cure.
Codes with `E-` are errors, with `W-` warnings (errors with `--strict`). The mistakes are files of
[one small project](#the-project-of-the-examples).

| check | finds | codes |
|---|---|---|
"""


def pages() -> dict[str, str]:
    """Give the index and the page of every check, by file name below the reference."""
    found = modules()
    rows = [
        f"| [{name}]({name}.md) | {_title(found[name])} | "
        f"{', '.join(f'`{code}`' for code in explained(found[name]))} |"
        for name in sorted(found)
    ]
    each = {f"checks/{name}.md": _page(name, module) for name, module in found.items()}
    return {"checks/index.md": HEAD + "\n".join([*rows, "", *_project()]), **each}


def codes() -> dict[str, str]:
    """Give every code of a check with what it means and a link to its page."""
    told: dict[str, list[str]] = {}
    for name, module in modules().items():
        for code, text in explained(module).items():
            begun = f"{text[:1].upper()}{text[1:]}"
            told.setdefault(code, []).append(f"{begun} [More](checks/{name}.md)")
    return {code: " ".join(texts) for code, texts in told.items()}


def _title(module: ModuleType) -> str:
    return " ".join((inspect.getdoc(module) or "").partition("\n\n")[0].split())


def _page(name: str, module: ModuleType) -> str:
    text = inspect.getdoc(module) or ""
    rest = CODE.sub(r"- `\1`: \2", text.partition("\n\n")[2])
    rest = rest.replace("Why it hurts:", "**Why it hurts**:")
    rest = re.sub(r"\s+To\s+mend\s+it,", "\n\n**To mend it**,", rest)
    head = f"# {name}\n\n{_title(module)}\n\n{rest}\n"
    shown = [line for case in cases() if case.check == name for line in _shown(case)]
    return "\n".join([head, *shown, "[All checks](index.md)"])


def _shown(case: Case) -> Iterator[str]:
    yield f"## {case.code}: {_begun(case.title)}\n"
    if case.note:
        yield f"{case.note}\n"
    for file, text in case.beside.items():
        yield _yaml(file, text)
    yield _yaml(case.file, case.wrong)
    yield "`waystage validate` says:\n\n```text"
    yield from _said(case)
    yield f"```\n\nMended:\n\n```diff\n{case.diff}\n```\n"


def _said(case: Case) -> Iterator[str]:
    """Give what is said of the files as they are shown: with their names as first lines."""
    headed = replace(
        case,
        wrong=f"# {case.file}\n{case.wrong}",
        beside={file: f"# {file}\n{text}" for file, text in case.beside.items()},
    )
    with tempfile.TemporaryDirectory() as directory:
        for problem in headed.problems(Path(directory)):
            yield f"{problem} [{problem.code}]"


def _yaml(file: str, text: str) -> str:
    return f"```yaml\n# {file}\n{text.rstrip()}\n```\n"


def _begun(title: str) -> str:
    return f"{title[:1].lower()}{title[1:]}"


def _project() -> Iterator[str]:
    yield "## The project of the examples\n"
    for path in sorted(PROJECT.rglob("*.yaml")):
        yield _yaml(path.relative_to(PROJECT).as_posix(), path.read_text())
