"""The process of one isolated step: it is told what to call, calls it, answers, and ends."""

from __future__ import annotations

import logging
import os
import pickle
import resource
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from waystage.daemon.context import StepContext
from waystage.daemon.executors.far import Assignment, FarConnections, Setting, perform
from waystage.daemon.executors.wire import Wire
from waystage.errors import Hopeless, Retryable
from waystage.plugin import Placement
from waystage.store.codec import dump

LONGEST_LINE = 4000


def main(channel: int) -> None:
    """Do what the daemon says over the channel; never returns."""
    os.set_inheritable(channel, False)  # programs that the step starts do not get it
    daemon = _Daemon(Wire(socket.socket(fileno=channel)))
    setting, assignment = daemon.first()
    _log_to(daemon)
    connections = FarConnections(setting, daemon.secret)
    ctx, make = perform(assignment, connections, daemon.placed)
    daemon.listen(ctx)
    if assignment.memory:
        _limit(assignment.memory)
    daemon.answer(_made(make, assignment))
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(0)


class _Daemon:
    """The daemon, as the step's process sees it."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._replies = wire, SimpleQueue[Any]()
        self._asking = threading.Lock()

    def first(self) -> tuple[Setting, Assignment]:
        """Give what is to be done."""
        setting, assignment = self._wire.receive(), self._wire.receive()
        if setting is None or assignment is None:
            os._exit(0)
        return pickle.loads(setting), pickle.loads(assignment)  # noqa: S301  # the daemon's own

    def listen(self, ctx: StepContext) -> None:
        """Hear replies and the word to stop; without the daemon nothing goes on."""

        def hear() -> None:
            while (message := self._wire.receive()) is not None:
                kind, said = pickle.loads(message)  # noqa: S301  # the daemon's own
                if kind == "cancel":
                    ctx.cancel()
                else:
                    self._replies.put((kind, said))
            os.killpg(0, signal.SIGKILL)

        threading.Thread(target=hear, name="waystage-wire", daemon=True).start()

    def secret(self, reference: str) -> str:
        """Have a secret looked up."""
        return str(self._ask("secret", reference))

    def placed(self, service: str) -> list[Placement]:
        """Ask what runs now."""
        return list(self._ask("placements", service))

    def say(self, level: int, line: str) -> None:
        """Write to the daemon's log."""
        self._wire.send(dump({"log": [level, line[:LONGEST_LINE]]}))

    def answer(self, packed: bytes) -> None:
        """Give the step's answer."""
        self._wire.send(b'{"answer":' + packed + b"}")

    def _ask(self, what: str, name: str) -> Any:
        with self._asking:
            self._wire.send(dump({what: name}))
            kind, said = self._replies.get()
        if kind == "hopeless":
            raise Hopeless(said)
        if kind == "error":
            raise Retryable(said)
        return said


class _Log(logging.Handler):
    def __init__(self, daemon: _Daemon) -> None:
        super().__init__()
        self._daemon = daemon

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a line that cannot be said stops no step
            self._daemon.say(record.levelno, self.format(record))


def _log_to(daemon: _Daemon) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Log(daemon)]
    root.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _limit(mib: int) -> None:
    most = _addresses() + (mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _addresses() -> int:
    """Give how many bytes of addresses the process has already; 0 where it cannot be told."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return pages * resource.getpagesize()
    return 0


def _made(make: Any, assignment: Assignment) -> bytes:
    try:
        return bytes(make())
    except Exception as error:  # noqa: BLE001  # also what kept it from being called is told
        text = str(error) or type(error).__name__
        hopeless = isinstance(error, Hopeless)
        return dump({"kind": "step.failed", "data": {"error": text[:2000], "hopeless": hopeless}})
