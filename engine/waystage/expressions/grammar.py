"""The parser of the CEL grammar, borrowed from cel-python and loaded when first needed."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any


@cache
def parser() -> Any:
    """Give the LALR parser of CEL, a `lark.Lark`."""
    module = _celparser()
    module.CELParser()
    return module.CELParser.CEL_PARSER


def _celparser() -> ModuleType:
    # importing `celpy` itself also imports its evaluator and pendulum, which cost more than
    # everything else in `waystage validate` and are not used here
    package = importlib.util.find_spec("celpy")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).with_name("celparser.py")
    spec = importlib.util.spec_from_file_location("waystage._celparser", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
