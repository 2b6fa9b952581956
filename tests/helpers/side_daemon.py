"""`waystage up` with plugins whose effects tests can count; a process of its own, any version.

    SIDE_EFFECTS=FILE [SIDE_LEASE=SECONDS] python side_daemon.py --project DIRECTORY up --port 0

Each call writes one line when it begins (`+`) and one when it has acted (`=`), with its key and
the process that called. A plugin acts once per key, as a real one does that asks the world first.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import waystage.daemon.daemon as daemon
from waystage.cli.main import main
from waystage.errors import Hopeless
from waystage.plugin import Done, Notifier, Step, Waiting

EFFECTS = Path(os.environ.get("SIDE_EFFECTS", "effects"))


def note(sign: str, key: str) -> None:
    """Write one line at once."""
    handle = os.open(EFFECTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"{sign} {key} {os.getpid()}\n".encode())
    os.close(handle)


def gate(name: str) -> None:
    """Wait as long as a test keeps a file there."""
    while EFFECTS.with_name(name).exists():
        time.sleep(0.005)


class Act(Step):
    """Act, after a moment, and not before the test lets it.

    - use: side.act
      with: {ms: 20, gate: slow}
    """

    use: ClassVar[str] = "side.act"
    refuses: ClassVar[bool] = False
    ms: int = 0
    gate: str = ""
    fail: bool = False

    def run(self, ctx: Any) -> Done:
        note("+", ctx.key)
        if self.fail:
            raise Hopeless("it was asked to fail")
        gate(self.gate or "none")
        time.sleep(self.ms / 1000)
        note("=", ctx.key)
        return Done({})


class Deploy(Act):
    """The same, as what changes its stage.

    - use: side.deploy
    """

    use: ClassVar[str] = "side.deploy"
    changes: ClassVar[Any] = "forward"


class Later(Step):
    """Ask to be called again until the test lets it be done.

    - use: side.later
    """

    use: ClassVar[str] = "side.later"
    refuses: ClassVar[bool] = False

    def run(self, ctx: Any) -> Done | Waiting:
        if EFFECTS.with_name("later").exists():
            return Waiting(timedelta(milliseconds=200), {})
        note("=", ctx.key)
        return Done({})


class Tell(Notifier):
    """Send a message, not before the test lets it.

    - use: side.tell
    """

    use: ClassVar[str] = "side.tell"

    def send(self, ctx: Any, message: Any, *, key: str) -> str:
        note("+", f"message/{message.run}")
        gate("tell")
        note("=", f"message/{message.run}")
        return key


def begin() -> None:
    """Run the verb with the plugins above."""
    real = daemon.load_catalog
    mine: dict[str, Any] = {plugin.use: plugin for plugin in (Act, Deploy, Later, Tell)}
    for use in os.environ.get("SIDE_WITHOUT", "").split():
        del mine[use]
    daemon.load_catalog = lambda allowed=None: {**real(allowed), **mine}  # type: ignore[attr-defined]  # a name that daemon imports
    daemon.Daemon.__init__.__kwdefaults__["lease"] = float(os.environ.get("SIDE_LEASE", "60"))  # type: ignore[index]  # there are defaults
    daemon.GRACE_SECONDS = float(os.environ.get("SIDE_GRACE", "10"))
    daemon.PRESENT_SECONDS = float(os.environ.get("SIDE_LOOKS", daemon.PRESENT_SECONDS))
    main()


if __name__ == "__main__":
    begin()
