"""Named crash points: places where a test ends the process as a power cut would.

`WAYSTAGE_CRASH=name:n` kills the process at the n-th passing of the point; with
`WAYSTAGE_CRASH_COUNT=FILE` a calm run writes down how often each was passed.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

POINTS = (
    "before-commit",
    "after-commit",
    "before-call",
    "after-call",
    "before-postpone",
    "after-postpone",
    "before-send",
    "after-send",
    "before-open",
    "before-restore",
    "after-restore",
)

_passed: Counter[str] = Counter()
_target, _, _number = os.environ.get("WAYSTAGE_CRASH", "").partition(":")
_count_file = os.environ.get("WAYSTAGE_CRASH_COUNT", "")
_active = bool(_target or _count_file)


def crash_point(name: str) -> None:
    """Die here if a test asked for it."""
    if not _active:
        return
    _passed[name] += 1
    if _count_file:
        lines = (f"{point} {count}\n" for point, count in sorted(_passed.items()))
        Path(_count_file).write_text("".join(lines))
    if name == _target and _passed[name] == int(_number or 1):
        os.kill(os.getpid(), signal.SIGKILL)
