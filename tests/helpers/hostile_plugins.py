"""Plugins that do everything wrong, and one that does nothing wrong; and a project that has them.

They lie in a module of their own, so that a process that a step gets can import them.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from counted_plugins import Busy

from waystage.daemon import daemon as daemon_module
from waystage.daemon.daemon import Daemon
from waystage.errors import Hopeless
from waystage.plugin import Done, Measurement, Monitor, Refused, Secret, Step, Waiting
from waystage_plugins.secrets.env import EnvironmentSecrets

SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64, "author": "dana"}
CANARY = "tweet/canary+4711 & more"
SECRET = {"secret": "env/HOSTILE_CANARY"}


class Evil(Step):
    """Do one thing that no plugin should do, in a process of its own.

    - use: hostile.evil
      with: {do: hang}
    """

    use: ClassVar[str] = "hostile.evil"
    isolated: ClassVar[bool] = True
    do: str
    secret: Secret | None = None

    def run(self, ctx: Any) -> Any:
        note(ctx, "calls.txt")
        return getattr(self, f"_{self.do}")(ctx)

    def _nothing(self, ctx: Any) -> Any:
        return Done({"pid": os.getpid(), "group": os.getpgid(0)})

    def _raise(self, ctx: Any) -> Any:
        raise ZeroDivisionError("no \0 \udcff such thing")

    def _unspeakable(self, ctx: Any) -> Any:
        class Silent(Exception):
            def __str__(self) -> str:
                raise ValueError("even this")

        raise Silent

    def _leave(self, ctx: Any) -> Any:
        sys.exit(3)

    def _exit(self, ctx: Any) -> Any:
        print("about to leave", flush=True)
        os._exit(9)

    def _segfault(self, ctx: Any) -> Any:
        ctypes.string_at(0)

    def _kill(self, ctx: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def _hang(self, ctx: Any) -> Any:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)

    def _orphan(self, ctx: Any) -> Any:
        child = subprocess.Popen(["sleep", "600"])
        note(ctx, "orphan.txt", str(child.pid))
        time.sleep(600)

    def _left_behind(self, ctx: Any) -> Any:
        child = subprocess.Popen(["sleep", "600"])
        note(ctx, "orphan.txt", str(child.pid))
        return Done()

    def _allocate(self, ctx: Any) -> Any:
        return Done({"length": len(bytearray(4 << 30))})

    def _flood(self, ctx: Any) -> Any:
        end = time.monotonic() + 1.0
        line = "x" * 5000
        while time.monotonic() < end:
            print(line)
        print("no end" * 100_000, end="", flush=True)
        return Done()

    def _flood_log(self, ctx: Any) -> Any:
        for number in range(20_000):
            ctx.log.warning("again %d", number)
        return Done()

    def _nan(self, ctx: Any) -> Any:
        return Done({"score": float("nan")})

    def _huge(self, ctx: Any) -> Any:
        return Done({"score": "y" * 400_000})

    def _text(self, ctx: Any) -> Any:
        return "yes"

    def _list(self, ctx: Any) -> Any:
        return Done([1, 2])  # type: ignore[arg-type]  # what the test is about

    def _fact(self, ctx: Any) -> Any:
        return Done({}, facts=("deployed",))  # type: ignore[arg-type]  # what the test is about

    def _never(self, ctx: Any) -> Any:
        return Waiting(timedelta(days=10**8))

    def _no_time(self, ctx: Any) -> Any:
        return Waiting("soon")  # type: ignore[arg-type]  # what the test is about

    def _garbage(self, ctx: Any) -> Any:
        _channel().sendall(b"\0\0\0\7garbage")
        time.sleep(600)

    def _lie(self, ctx: Any) -> Any:
        said = b'{"answer":{"kind":"step.done","data":{"a":1},"facts":[{"fact":"X","said":{}}]}}'
        _channel().sendall(len(said).to_bytes(4, "big") + said)
        time.sleep(600)

    def _too_much(self, ctx: Any) -> Any:
        _channel().sendall(b"\x7f\0\0\0" + b"z" * 1000)
        time.sleep(600)

    def _mute(self, ctx: Any) -> Any:
        _channel().shutdown(socket.SHUT_RDWR)
        time.sleep(600)

    def _tell_error(self, ctx: Any) -> Any:
        raise Hopeless(f"cannot log in with {self._revealed(ctx)}")

    def _tell_print(self, ctx: Any) -> Any:
        print("the password is", self._revealed(ctx))
        print("the password is", self._revealed(ctx), file=sys.stderr, flush=True)
        os.write(1, f"raw {self._revealed(ctx)}\n".encode())
        return Done()

    def _tell_log(self, ctx: Any) -> Any:
        ctx.log.error("the password is %s", self._revealed(ctx))
        logging.getLogger("acme.client").warning("logged in with %r", self._revealed(ctx))
        return Done()

    def _tell_output(self, ctx: Any) -> Any:
        return Done({"url": [f"https://u:{self._revealed(ctx)}@example.org"]})

    def _tell_refusal(self, ctx: Any) -> Any:
        return Refused(f"the password {self._revealed(ctx)} is too short")

    def _tell_memo(self, ctx: Any) -> Any:
        return Waiting(timedelta(seconds=1), {"login": self._revealed(ctx)})

    def _look_around(self, ctx: Any) -> Any:
        self._revealed(ctx)
        told = Path("/proc/self/cmdline").read_bytes().decode()
        return Done({"arguments": CANARY in told, "placements": len(ctx.placements())})

    def _wait(self, ctx: Any) -> Any:
        count = int(ctx.memo.get("count", 0))
        if count == 3:
            return Done({"count": count})
        return Waiting(timedelta(milliseconds=5), {"count": count + 1})

    def _heed(self, ctx: Any) -> Any:
        end = time.monotonic() + 180
        while not ctx.cancelled and time.monotonic() < end:
            time.sleep(0.01)
        note(ctx, "heeded.txt")
        return Done()

    def _slow(self, ctx: Any) -> Any:
        time.sleep(3)
        return Done({"pid": os.getpid()})

    def _ignore(self, ctx: Any) -> Any:
        time.sleep(60)

    def _revealed(self, ctx: Any) -> str:
        assert self.secret is not None
        return self.secret.reveal(ctx)


class Threaded(Evil):
    """The same in a thread of the daemon.

    - use: hostile.threaded
      with: {do: hang}
    """

    use: ClassVar[str] = "hostile.threaded"
    isolated: ClassVar[bool] = False


class Inline(Evil):
    """The same in the daemon's own loop.

    - use: hostile.inline
      with: {do: raise}
    """

    use: ClassVar[str] = "hostile.inline"
    isolated: ClassVar[bool] = False
    inline: ClassVar[bool] = True


class Looking(Evil):
    """Crash after the effect; it can find out that it holds.

    - use: hostile.looking
      with: {do: exit}
    """

    use: ClassVar[str] = "hostile.looking"
    repeat: ClassVar[Any] = "look"

    def look(self, ctx: Any) -> Done | None:
        note(ctx, "looks.txt")
        return Done({"found": True})


class Asking(Evil):
    """Crash after the effect; nobody can find out.

    - use: hostile.asking
      with: {do: exit}
    """

    use: ClassVar[str] = "hostile.asking"
    repeat: ClassVar[Any] = "ask"


class Kind(Step):
    """Do what a plugin should do.

    - use: hostile.kind
    """

    use: ClassVar[str] = "hostile.kind"

    def run(self, ctx: Any) -> Any:
        return Done({"pid": os.getpid()})


class Gauge(Monitor):
    """Measure the number of this process.

    - use: hostile.gauge
    """

    use: ClassVar[str] = "hostile.gauge"

    def measure(self, ctx: Any, window: Any, minimum: Any) -> Measurement:
        return Measurement(value=0.5, notes={"pid": os.getpid()})


ALL = (Evil, Threaded, Inline, Looking, Asking, Kind, Busy, Gauge, EnvironmentSecrets)
CATALOG = {each.use: each for each in ALL}


def note(ctx: Any, name: str, line: str = "") -> None:
    """Write a line that the test reads."""
    with (ctx.project / name).open("a") as file:
        file.write(f"{line or ctx.key}\n")


def _channel() -> socket.socket:
    """Find the socket to the daemon, as a plugin would that means ill."""
    for number in range(3, 100):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                return socket.socket(fileno=number)
        except OSError:
            continue
    raise AssertionError("there is no channel")


class Hostile:
    """A daemon on a small project of these plugins."""

    def __init__(self, root: Path, url: str, execution: str = "", **more: Any) -> None:
        self.root = root
        self.more = more
        (root / "lifecycles").mkdir(exist_ok=True)
        (root / "stages").mkdir(exist_ok=True)
        for name in ("dev", "prod"):
            (root / "stages" / f"{name}.yaml").write_text(f"stage: {name.upper()}\n")
        (root / "waystage.yaml").write_text(
            f"project: hostile\ndatabase: {url}\nservices: {{s: {{}}, t: {{}}}}\n{execution}"
        )
        self._number = 0
        self.daemon: Daemon | None = None

    def lifecycle(self, name: str, steps: str, more: str = "", stage: str = "") -> None:
        """Write a lifecycle with one state of work."""
        of = f"    stage: {stage}\n" if stage else ""
        (self.root / "lifecycles" / f"{name}.yaml").write_text(
            f"lifecycle: {name}\nservices: [s, t]\ninitial: work\nstates:\n  work:\n{of}"
            f"    steps: {steps}\n    next: {{done: good, refused: bad}}\n{more}"
            "  good: {final: true}\n  bad: {final: true, outcome: rejected}\n"
        )

    def start(self) -> Daemon:
        """Start a daemon, or another one."""
        self.daemon = Daemon(self.root, catalog=CATALOG, **self.more)
        self.daemon.start()
        return self.daemon

    def stop(self) -> None:
        """End the daemon, without a grace."""
        if self.daemon is not None:
            with patch.object(daemon_module, "GRACE_SECONDS", 0.0):
                self.daemon.stop()
            self.daemon = None

    def open(self, name: str, service: str = "s") -> str:
        """Open a run."""
        return self.asked(name, service).result(timeout=120)

    def asked(self, name: str, service: str = "s") -> Future[str]:
        """Ask for a run, and wait for nothing."""
        assert self.daemon is not None
        self._number += 1
        definition = self.daemon.definitions.by_name(name)
        opening = self.daemon.opening(definition, service, SNAPSHOT, "dana", f"k{self._number}")
        return self.daemon.engine.open(opening)

    def until(self, holds: Callable[[], Any], seconds: float = 120) -> None:
        """Wait until it holds."""
        end = time.monotonic() + seconds
        while not holds():
            assert self.daemon is not None
            assert self.daemon.engine.failure is None, self.daemon.engine.failure
            assert time.monotonic() < end, "nothing happens any more"
            time.sleep(0.01)

    def outcome(self, run: str) -> str:
        """Give how a run ended, or where it is."""
        assert self.daemon is not None
        row = self.daemon.store.run(run)
        assert row is not None
        return row.outcome if row.status == "ended" else ",".join(row.places)

    def said(self, run: str) -> list[str]:
        """Give what the history says of a run."""
        assert self.daemon is not None
        return [" ".join(r) for row in self.daemon.store.history(run) for r in row.records]

    def incident(self, run: str) -> Any:
        """Wait for the run's incident."""
        assert self.daemon is not None
        store = self.daemon.store
        self.until(lambda: store.incidents(run=run))
        return store.incidents(run=run)[0]

    def lines(self, name: str) -> list[str]:
        """Give what plugins wrote down."""
        file = self.root / name
        return file.read_text().splitlines() if file.exists() else []


def alive(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def threads_named(name: str) -> int:
    """Count this process's threads of a name."""
    return sum(thread.name.startswith(name) for thread in threading.enumerate())
