"""Processes that outlive the daemon: each holds a lock file, so that who is alive is known.

The lock is taken before the process is started and handed to it, so there is no moment in
which it runs unseen or twice. The system frees the lock when the process dies, whatever
killed it. Signals go to a process only while the lock shows that it is still there, so a
number that the system has given to another process is never hit.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from waystage.errors import Hopeless, Retryable
from waystage_plugins.runtimes.files import read_json, write_json

LOCK = "alive.lock"
PROCESS = "process.json"  # its pid, written before anybody else may look
LOOK_SECONDS = 0.01
PIPE_BYTES = 60_000  # what a pipe takes before anybody reads


def alive(directory: Path, lock: str = LOCK) -> bool:
    """Whether a process holds the directory."""
    if not (directory / lock).exists():
        return False
    try:
        with _guard(directory):
            handle = _take(directory / lock)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if handle is not None:
        os.close(handle)
    return handle is None


def claim(directory: Path, lock: str = LOCK) -> int | None:
    """Take the directory for this process and those it hands the descriptor to.

    None when another process has it.
    """
    with _guard(directory):
        return _take(directory / lock)


def wait_for(directory: Path, holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, the process is gone, or the time is over."""
    until = time.monotonic() + seconds
    while alive(directory) and time.monotonic() < until and not holds():
        time.sleep(LOOK_SECONDS)


def start(
    directory: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    *,
    told: bytes = b"",
) -> bool:
    """Start a process of its own session that holds the directory, unless one does.

    The descriptor of the lock is appended to the command. `told` is what it reads from its
    standard input: what must be seen neither in its command nor in its environment nor in a
    file. Answers whether one was started.
    """
    with _guard(directory):
        handle = _take(directory / LOCK)
        if handle is None:
            return False
        try:
            # never let an old process's number stand beside a new one's lock
            (directory / PROCESS).unlink(missing_ok=True)
            with _input(told) as source:
                command = [*command, str(handle)]
                pid = _spawn(command, directory, environment, log, handle, source)
            write_json(directory / PROCESS, {"pid": pid})
        finally:
            os.close(handle)
    return True


def announce(directory: Path) -> None:
    """Write this process's own number, should whoever started it have died before writing it."""
    write_json(directory / PROCESS, {"pid": os.getpid()})


def end(directory: Path, *, patience: float = 5.0) -> None:
    """End the process that holds the directory, with its group: asked first, killed later.

    Raises `Retryable` when even a killed process is still there after a while.
    """
    asked, sent = time.monotonic(), None
    while alive(directory):
        waited = time.monotonic() - asked
        if waited > 2 * patience + 5:
            raise Retryable(f"the process that holds {directory} does not end")
        wanted = signal.SIGKILL if waited > patience else signal.SIGTERM
        if sent != wanted and _signal(directory, wanted):
            sent = wanted
        time.sleep(LOOK_SECONDS)


def exit_code(directory: Path) -> int | None:
    """Give how the directory's process ended; None when another daemon had started it."""
    child = _children.get(read_json(directory / PROCESS).get("pid", 0))
    try:
        # the lock is free a moment before the system can say how the process ended
        return child.wait(timeout=1) if child else None
    except subprocess.TimeoutExpired:
        return None


def say_exit(code: int) -> str:
    """Say in words how a process ended; negative codes are signals."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def _signal(directory: Path, number: signal.Signals) -> bool:
    """Send a signal to the process group; the guard keeps the lock's holder the same one."""
    with _guard(directory):
        handle = _take(directory / LOCK)
        if handle is not None:
            os.close(handle)
            return True
        pid = read_json(directory / PROCESS).get("pid")
        if not isinstance(pid, int):
            return False
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            return False
    return True


@contextmanager
def _input(told: bytes) -> Iterator[int]:
    """Give a pipe that holds the text already, so that no death of ours can cut it short."""
    if not told:
        yield subprocess.DEVNULL
        return
    if len(told) > PIPE_BYTES:
        raise Hopeless(f"what a process is told at its start has more than {PIPE_BYTES} bytes")
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(told)
        yield reading
    finally:
        os.close(reading)


def _spawn(
    command: list[str],
    directory: Path,
    environment: Mapping[str, str],
    log: Path,
    handle: int,
    source: int,
) -> int:
    ended = [pid for pid, child in _children.items() if child.poll() is not None]
    for pid in ended[:-KEPT_CHILDREN]:
        _children.pop(pid, None)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  # an argument list, no shell
            command,
            cwd=directory,
            env=dict(environment),
            stdin=source,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(handle,),
        )
    _children[process.pid] = process
    return process.pid


def _take(lock: Path) -> int | None:
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


@contextmanager
def _guard(directory: Path) -> Iterator[None]:
    """Let one look or start at a time, so that no look is taken for a process."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


# what this process has started: kept, so that it is known how they ended
_children: dict[int, subprocess.Popen[bytes]] = {}
KEPT_CHILDREN = 100


@atexit.register
def _ask_how_they_ended() -> None:
    """Have none taken for a running one that ended unasked."""
    for child in list(_children.values()):
        child.poll()
