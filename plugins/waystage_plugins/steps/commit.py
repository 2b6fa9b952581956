"""The commit that a project's directory is a checkout of."""

from __future__ import annotations

import shutil
from pathlib import Path

from waystage_plugins.delivery.program import Git

COMMIT = r"^([0-9a-f]{7,64}(-dirty)?)?$"


def commit_of(project: Path) -> str:
    """Give the commit, with `-dirty` behind it if files differ from it; empty if there is none."""
    if shutil.which("git") is None:
        return ""
    git = Git(project)
    head = git.attempt("rev-parse", "--verify", "--quiet", "HEAD")
    if head.returncode:
        return ""
    status = git.attempt("status", "--porcelain", "--untracked-files=no")
    clean = status.returncode == 0 and not status.stdout.strip()
    return head.stdout.strip() + ("" if clean else "-dirty")
