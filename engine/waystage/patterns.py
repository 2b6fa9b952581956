"""Regular expressions that people write, matched in a time that is linear in the text.

RE2 has no look-ahead, no look-behind and no back references: with them a pattern of ten
characters can keep a processor busy for years.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

MEMORY = 1 << 20  # bytes that one pattern may take
LONGEST = 500  # characters of a pattern


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """Compile it; its `search` finds it anywhere in a text. Raises ValueError with the reason."""
    import re2  # type: ignore[import-untyped]  # it ships no types

    if len(pattern) > LONGEST:
        raise ValueError(f"a pattern is at most {LONGEST} characters long")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        reason = error.args[0] if error.args else "cannot be read"
        shown = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(shown) from None
