"""The daemon's side of the process that forks itself: it is started once, and again if it dies."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Collection
from dataclasses import dataclass

from waystage.daemon.executors.wire import Wire
from waystage.daemon.executors.zygote import FORK
from waystage.errors import Unavailable

READY_SECONDS = 60.0
SEND_SECONDS = 10.0  # that a step's process may take to read what it asked for


@dataclass(frozen=True, slots=True)
class Child:
    """A process of a step as its daemon holds it: messages, what it prints, how it fares."""

    wire: Wire
    output: int
    status: int

    def close(self) -> None:
        """Let go of all three; the process ends when it hears that."""
        self.wire.close()
        os.close(self.output)
        os.close(self.status)


class Nursery:
    """Gives processes in which the plugins are imported already."""

    def __init__(self, modules: Collection[str]) -> None:
        self._modules = sorted(set(modules))
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def warm(self) -> None:
        """Have everything imported before it is needed."""
        with self._lock:
            self._ready()

    def child(self) -> Child:
        """Fork a process; raises `Unavailable` when none can be had."""
        with self._lock:
            try:
                return self._fork(self._ready())
            except OSError:  # it died since; once more with a new one
                self._end()
            try:
                return self._fork(self._ready())
            except OSError as error:
                self._end()
                raise Unavailable(f"no process can be started for the step: {error}") from error

    def stop(self) -> None:
        """End the process that forks, and with it what it forked."""
        with self._lock:
            self._end()

    def _ready(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._control is None:
            self._start()
        assert self._control is not None
        return self._control

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "waystage.daemon.executors.zygote"]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [*command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C at the terminal is for the daemon
            )  # fmt: skip
        self._control = ours
        Wire(ours, READY_SECONDS).send(pickle.dumps((sys.path, self._modules)))
        if ours.recv(1) != b"R":
            raise OSError("the process that forks for steps ended while it started")

    def _fork(self, control: socket.socket) -> Child:
        ours, theirs = socket.socketpair()
        output, printed = os.pipe()
        status, told = os.pipe()
        try:
            socket.send_fds(control, [FORK], [theirs.fileno(), printed, told])
        except OSError:
            for end in (output, status):
                os.close(end)
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(printed)
            os.close(told)
        return Child(Wire(ours, SEND_SECONDS), output, status)

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._control = self._process = None
