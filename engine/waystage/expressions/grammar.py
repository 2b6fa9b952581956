"""The parser of the CEL grammar: cel-python's grammar, with texts that are read in linear time."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

# As in the grammar, a backslash in a text is read in two ways, so that thirty of them take hours.
# Here each letter can be read in one way only. In a raw text a backslash is a letter like others.
_TEXTS = {
    "STRING_LIT": (
        r'/"(?:\\[^\n\r]|[^"\\\n\r])*"/',
        r"/'(?:\\[^\n\r]|[^'\\\n\r])*'/",
        r'/[rR]"[^"\n\r]*"/',
        r"/[rR]'[^'\n\r]*'/",
    ),
    "MLSTRING_LIT": (
        r'/"""(?:\\[\s\S]|"(?!"")|[^"\\])*"""/',
        r"/'''(?:\\[\s\S]|'(?!'')|[^'\\])*'''/",
        r'/[rR]"""(?:"(?!"")|[^"])*"""/',
        r"/[rR]'''(?:'(?!'')|[^'])*'''/",
    ),
}


@cache
def parser() -> Any:
    """Give the LALR parser of CEL, a `lark.Lark`."""
    from lark import Lark

    return Lark(
        _grammar(), parser="lalr", start="expr", g_regex_flags=re.MULTILINE,
        lexer_callbacks={"IDENT": _named}, propagate_positions=True, maybe_placeholders=False,
        priority="invert",
    )  # fmt: skip


def _grammar() -> str:
    # importing `celpy` also imports its evaluator and pendulum, which cost more than everything
    # else in `waystage validate` and are not used here
    package = importlib.util.find_spec("celpy")
    assert package is not None
    assert package.origin is not None
    text = Path(package.origin).with_name("cel.lark").read_text(encoding="utf-8")
    for name, ways in _TEXTS.items():
        # a definition goes on to the next empty line
        definition = re.compile(rf"^{name}\s*:.*?(?=\n\n)", re.MULTILINE | re.DOTALL)
        text, count = definition.subn(lambda _: f"{name} : " + " | ".join(ways), text)  # noqa: B023  # called at once
        assert count == 1, f"cel-python's grammar defines {name} {count} times"
    return text


def _named(token: Any) -> Any:
    """Read `true` and `false` as what they are; to the lexer they are names."""
    return token.update(type="BOOL_LIT") if token.value in ("true", "false") else token
