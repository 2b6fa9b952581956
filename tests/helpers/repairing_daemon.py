"""A daemon that ends or hangs in the middle of mending many; a process of its own.

    python -c "import repairing_daemon; repairing_daemon.main()" DIRECTORY kill|hold|none NUMBER

`kill` is SIGKILL in the transaction that mends the incident of that number, `hold` leaves the call
that mended it without an answer, and makes a file `held` in the project.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from tests.web.conftest import Api

from waystage.daemon import bulk

AT_ONCE = 5  # incidents per call, so that several calls are made


def main() -> None:
    """Serve until the standard input ends."""
    root, how, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    bulk.AT_ONCE = AT_ONCE
    if how == "kill":
        repairing, nth = bulk.repairing, _nth(number, _killed)
        bulk.repairing = lambda *given, **named: nth(repairing(*given, **named))
    if how == "hold":
        bulk._outcome = _nth(number, lambda: _held(root))(bulk._outcome)
    api = Api(root)
    print("up", flush=True)
    sys.stdin.read()
    api.stop()


def _nth(number: int, then: Callable[[], None]) -> Callable[[Callable[[Any], Any]], Any]:
    """Give what wraps functions so that `then` is called behind the call of that number."""
    calls = count(1)

    def wrap(act: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def counted(given: Any) -> Any:
            found = act(given)
            if next(calls) == number:
                then()
            return found

        return counted

    return wrap


def _killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _held(root: Path) -> None:
    (root / "held").touch()
    threading.Event().wait()
