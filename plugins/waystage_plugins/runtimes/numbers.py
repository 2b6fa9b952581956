"""Version numbers as TensorFlow Serving has them: integers, the newer the greater."""

from __future__ import annotations

import hashlib
import re


def version_number(version: str) -> int:
    """Give `7` for `7`, `1002003` for `1.2.3`, and a stable number for anything else."""
    if re.fullmatch(r"\d{1,15}", version):
        return int(version)
    parts = re.fullmatch(r"(\d{1,5})\.(\d{1,3})(?:\.(\d{1,3}))?", version)
    if parts:
        major, minor, patch = (int(part or 0) for part in parts.groups())
        return (major * 1000 + minor) * 1000 + patch
    return int.from_bytes(hashlib.sha256(version.encode()).digest()[:6], "big")
