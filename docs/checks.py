"""The pages of `docs/reference/checks/`, one for each check, from the checks' own docstrings."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from waystage.check import CHECKS, PROJECT_CHECKS

CODE = re.compile(r"^- ([EW]-[A-Z-]+): (.*?)(?=\n- |\n\n|\Z)", re.MULTILINE | re.DOTALL)
HEAD = (
    "# Checks\n\nWhat `waystage validate` proves before anything runs: each check has a page that "
    "says what it finds, why it hurts and how to mend it. Codes with `E-` are errors, with `W-` "
    "warnings (errors with `--strict`).\n\n| check | finds | codes |\n|---|---|---|\n"
)


def pages() -> dict[str, str]:
    """Give the index and the page of every check, by file name below the reference."""
    found = {_name(module): module for module in _modules()}
    rows = [
        f"| [{name}]({name}.md) | {_title(found[name])} | "
        f"{', '.join(f'`{code}`' for code in explained(found[name]))} |"
        for name in sorted(found)
    ]
    each = {f"checks/{name}.md": _page(name, module) for name, module in found.items()}
    return {"checks/index.md": HEAD + "\n".join(rows), **each}


def codes() -> dict[str, str]:
    """Give every code of a check with what it means and a link to its page."""
    told: dict[str, list[str]] = {}
    for module in _modules():
        for code, text in explained(module).items():
            begun = f"{text[:1].upper()}{text[1:]}"
            told.setdefault(code, []).append(f"{begun} [More](checks/{_name(module)}.md)")
    return {code: " ".join(texts) for code, texts in told.items()}


def explained(module: ModuleType) -> dict[str, str]:
    """Give the codes that a check's docstring lists, with its words."""
    return {
        code: " ".join(text.split()) for code, text in CODE.findall(inspect.getdoc(module) or "")
    }


def _modules() -> list[ModuleType]:
    checks: tuple[Callable[..., Any], ...] = (*CHECKS, *PROJECT_CHECKS)
    return list(dict.fromkeys(sys.modules[check.__module__] for check in checks))


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _title(module: ModuleType) -> str:
    return " ".join((inspect.getdoc(module) or "").partition("\n\n")[0].split())


def _page(name: str, module: ModuleType) -> str:
    text = inspect.getdoc(module) or ""
    rest = CODE.sub(r"- `\1`: \2", text.partition("\n\n")[2])
    rest = rest.replace("Why it hurts:", "**Why it hurts**:")
    rest = re.sub(r"\s+To\s+mend\s+it,", "\n\n**To mend it**,", rest)
    return f"# {name}\n\n{_title(module)}\n\n{rest}\n\n[All checks](index.md)"
