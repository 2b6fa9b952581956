"""Processes that outlive the daemon: each holds a lock file, so that who is alive is known.

The system frees the lock when the process dies, whatever killed it; a second process for the
same directory finds it taken and ends at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOCK = "alive.lock"


def hold(directory: Path) -> int | None:
    """Take the directory's lock for the life of this process; None if another has it."""
    handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def alive(directory: Path) -> bool:
    """Whether a process holds the directory."""
    if not (directory / LOCK).exists():
        return False
    handle = hold(directory)
    if handle is None:
        return True
    os.close(handle)
    return False


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one thread or process in at a time."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def spawn(command: list[str], directory: Path, environment: Mapping[str, str], log: Path) -> int:
    """Start a process of its own session whose output goes to `log`; give its pid."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  # an argument list, no shell
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _reap_later(process)
    return process.pid


def end(directory: Path, pid: int, *, patience: float = 5.0) -> None:
    """End the process that holds the directory, and its group; never another one."""
    for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 2.0)):
        if not alive(directory):
            return
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            return
        until = time.monotonic() + wait
        while alive(directory) and time.monotonic() < until:
            time.sleep(0.02)


def exists(pid: int) -> bool:
    """Whether a process of that number is there; one of ours that ended is collected."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; one that is missing or half written reads as empty."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file in one move."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    beside.write_text(json.dumps(value, indent=1))
    beside.replace(path)


def last_lines(path: Path, count: int) -> str:
    """Give the last lines of a log, control characters left out."""
    if not path.exists():
        return ""
    text = path.read_bytes()[-64_000:].decode(errors="replace")
    clean = "".join(c for c in text if c == "\n" or c.isprintable())
    return "\n".join(clean.splitlines()[-count:])


_children: list[subprocess.Popen[bytes]] = []


def _reap_later(process: subprocess.Popen[bytes]) -> None:
    # children that ended are collected at the next start, so that none stays a zombie for long
    _children[:] = [child for child in _children if child.poll() is None]
    _children.append(process)
