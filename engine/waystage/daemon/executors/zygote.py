"""A small process that has the plugins imported and forks itself for each isolated step.

It has one thread, so that forking is safe, and it answers to the daemon alone: when the daemon
dies it ends, and so do its children. What a child leaves running in its process group is killed
before the child is reaped, so that the group's number cannot be another's by then.

    python -m waystage.daemon.executors.zygote FD
"""

from __future__ import annotations

import faulthandler
import gc
import os
import pickle
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module

from waystage.daemon.executors.wire import Wire

FORK = b"F"
FDS = 3  # of the channel, the output, the status


def main(number: int) -> None:
    """Learn what to import, then fork on demand until the daemon is gone."""
    control = socket.socket(fileno=number)
    hello = Wire(control).receive()
    if hello is None:
        return
    sys.path[:], modules = pickle.loads(hello)  # noqa: S301  # the daemon's own, over its own pipe
    _prepare(modules)
    waking, woken = socket.socketpair()
    for end in (waking, woken):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    _serve(control, (waking, woken))


def _prepare(modules: list[str]) -> None:
    for name in ("waystage.daemon.executors.child", *modules):
        with suppress(Exception):  # who calls a plugin that cannot be imported is told then
            import_module(name)
    faulthandler.enable()
    gc.collect()
    gc.freeze()  # children share what is there


def _serve(control: socket.socket, wake: tuple[socket.socket, socket.socket]) -> None:
    children: dict[int, int] = {}
    control.sendall(b"R")  # ready
    while True:
        ready, _, _ = select.select([control, wake[1]], [], [])
        if wake[1] in ready:
            with suppress(BlockingIOError):
                wake[1].recv(4096)
            _reap(children)
        if control in ready:
            said, fds, _, _ = socket.recv_fds(control, 1, FDS)
            if not said:
                return
            _fork(control, wake, children, fds)


def _fork(
    control: socket.socket,
    wake: tuple[socket.socket, socket.socket],
    children: dict[int, int],
    fds: list[int],
) -> None:
    channel, output, status = fds
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()  # a session and a process group of its own
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (control, *wake):
                end.close()
            for number in (status, *children.values()):
                os.close(number)
            _redirect(output)
            from waystage.daemon.executors.child import main as child

            child(channel)
        finally:
            os._exit(70)
    for number in (channel, output):
        os.close(number)
    children[pid] = status
    _tell(status, f"P{pid}\n")


def _redirect(output: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)


def _reap(children: dict[int, int]) -> None:
    for pid in list(children):
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # what it left behind
        _, code = os.waitpid(pid, 0)
        number = children.pop(pid)
        _tell(number, f"X{os.waitstatus_to_exitcode(code)}\n")
        os.close(number)


def _tell(number: int, text: str) -> None:
    with suppress(OSError):  # the daemon does not listen any more
        os.write(number, text.encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
