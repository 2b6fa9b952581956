"""`waystage up`."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import click

from waystage.cli import logs
from waystage.cli.place import find_project
from waystage.errors import EXIT_BUG, EXIT_FINE


@click.command("up")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="0: any free port.")
@click.option("--turned-clock", is_flag=True, help="Live by a clock that is turned by hand.")
@click.option("--quiet", is_flag=True, help="Say only what is wrong.")
@click.option("--log", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="Lines for people, or a JSON object per line.")  # fmt: skip
@click.pass_context
def up_verb(ctx: click.Context, port: int | None, turned_clock: bool, quiet: bool, log: str) -> int:
    """Run the project's daemon in the foreground, until it is told to end."""
    logs.begin(log, quiet=quiet)
    root = find_project(ctx.obj["project"])
    return _serve(root, port, turned=turned_clock)


def _serve(root: Path, port: int | None, *, turned: bool) -> int:
    from waystage.clock import CLOCK_FILE_VARIABLE, Clock, SystemClock, TurnedClock
    from waystage.daemon import tracing
    from waystage.daemon.daemon import Daemon
    from waystage.web.server import WebServer

    ending = threading.Event()
    _end_when_told(ending)
    clock: Clock = SystemClock()
    if turned:
        (root / ".waystage").mkdir(mode=0o700, exist_ok=True)
        os.environ[CLOCK_FILE_VARIABLE] = str(root / ".waystage" / "clock.json")
        clock = TurnedClock(root / ".waystage" / "clock.json")
    daemon = Daemon(root, clock=clock)
    listen = daemon.files.project.spec.listen
    try:
        daemon.engine.store.occupy()
        daemon.engine.store.lay_out_log()
        traces = tracing.begin(daemon.engine, daemon.files.project.spec.project)
        web = WebServer(daemon, listen.host, listen.port if port is None else port)
    except BaseException:
        daemon.store.close()
        raise
    daemon.start()
    web.start()
    click.echo(f"Waystage is up at {web.url} for {root}")
    while not ending.wait(0.5) and daemon.engine.failure is None and daemon.unfit is None:
        pass
    daemon.drain()
    web.stop()
    daemon.stop()
    if traces is not None:
        traces.shutdown()
    if daemon.unfit is not None:
        raise daemon.unfit
    return EXIT_FINE if daemon.engine.failure is None else EXIT_BUG


def _end_when_told(ending: threading.Event) -> None:
    """End in good order at the first signal, and at once at the second."""

    def told(number: int, _frame: object) -> None:
        if ending.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
