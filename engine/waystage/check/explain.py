"""What each check's docstring says of its codes, for reports and for the documentation."""

from __future__ import annotations

import inspect
import re
import sys
from types import ModuleType

from waystage.check import CHECKS, PROJECT_CHECKS

CODE = re.compile(r"^- ([EW]-[A-Z-]+): (.*?)(?=\n- |\n\n|\Z)", re.MULTILINE | re.DOTALL)


def modules() -> dict[str, ModuleType]:
    """Give the module of every check by its name, `timers`."""
    found = [sys.modules[check.__module__] for check in (*CHECKS, *PROJECT_CHECKS)]
    return {module.__name__.rpartition(".")[2]: module for module in found}


def explained(module: ModuleType) -> dict[str, str]:
    """Give the codes that a check's docstring lists, with its words."""
    return {
        code: " ".join(text.split()) for code, text in CODE.findall(inspect.getdoc(module) or "")
    }


def cures(module: ModuleType) -> str:
    """Give why what the check finds hurts, and how to mend it."""
    text = (inspect.getdoc(module) or "").partition("Why it hurts:")[2]
    return f"Why it hurts: {' '.join(text.split())}"
