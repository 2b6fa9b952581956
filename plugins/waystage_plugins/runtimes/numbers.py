"""Version numbers as TensorFlow Serving has them: integers, the newer the greater."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping


def version_number(version: str) -> int:
    """Give `7` for `7`, `1002003` for `1.2.3`, and a stable number for anything else."""
    if re.fullmatch(r"[0-9]{1,15}", version):
        return int(version)
    parts = re.fullmatch(r"([0-9]{1,5})\.([0-9]{1,3})(?:\.([0-9]{1,3}))?", version)
    if parts:
        major, minor, patch = (int(part or 0) for part in parts.groups())
        return (major * 1000 + minor) * 1000 + patch
    return _drawn(version)


def number_among(snapshot: str, taken: Mapping[int, str]) -> int:
    """Give the number of the snapshot `name/version` where others have theirs already.

    `taken` maps numbers to snapshots. A snapshot keeps its number; where two would share one
    (the third versions of two models of one service) the later gets another that is stable.
    """
    for number, owner in taken.items():
        if owner == snapshot:
            return number
    number = version_number(snapshot.partition("/")[2])
    attempt = 0
    while number in taken:
        number, attempt = _drawn(f"{snapshot}#{attempt}"), attempt + 1
    return number


def _drawn(text: str) -> int:
    # 48 bits: exact also where a client reads JSON numbers as doubles
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
