"""The npm packages that tests of editors need, installed once below `.cache/`."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parents[1] / "editors"
PLACE = Path(__file__).parents[2] / ".cache" / "editors"


class NoEditors(Exception):
    """The packages cannot be had here; the text says why."""


def node_modules() -> Path:
    """Give the directory of the installed packages; raises `NoEditors`."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NoEditors(f"NOT TESTED: {program} is not installed (apt-get install nodejs npm)")
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not _is_there():
            _install()
    return PLACE / "node_modules"


def _is_there() -> bool:
    wanted, found = HERE / "package-lock.json", PLACE / "done.json"
    return found.is_file() and found.read_bytes() == wanted.read_bytes()


def _install() -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, PLACE)
    told = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=PLACE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if told.returncode:
        raise NoEditors(f"NOT TESTED: npm cannot install the packages: {told.stderr[-300:]}")
    shutil.copy(HERE / "package-lock.json", PLACE / "done.json")
