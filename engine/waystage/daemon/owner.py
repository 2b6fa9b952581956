"""The name under which a daemon holds claims: it tells which process of which machine it is.

A daemon that starts can so take up at once what a dead one of its own machine held; what
daemons of other machines held is free when their leases end.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
_serial = itertools.count(1)


def own_name() -> str:
    """Give a name that no other daemon has or had: machine, host, process, start, number."""
    pid = os.getpid()
    parts = (_machine(), socket.gethostname()[:16], str(pid), _started(pid), str(next(_serial)))
    return "~".join(parts)


def dead_ones(names: Iterable[str]) -> list[str]:
    """Give those that were processes of this machine and are none any more."""
    here = _machine()
    return [name for name in names if here and _is_dead(name.split("~"), here)]


def _is_dead(parts: list[str], here: str) -> bool:
    return len(parts) == 5 and parts[0] == here and _started(int(parts[2])) != parts[3]


def _machine() -> str:
    """Give what processes that see each other have in common; empty where it cannot be told."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text()
        space = os.readlink(PROC / "self/ns/pid")  # containers do not see each other's processes
    except OSError:
        return ""
    return hashlib.sha256(f"{boot}{space}".encode()).hexdigest()[:10]


def _started(pid: int) -> str:
    """Give when the process began, in the kernel's ticks; empty when there is none."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
