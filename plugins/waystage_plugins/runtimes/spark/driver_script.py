"""What a Spark driver runs: `driver.py PLACE`, one job, once, whatever was submitted twice.

It is copied beside the job and needs nothing but Python there. The first driver that claims the
job runs it; any other one ends at once. It writes down how the job ended, and ends it and its
children when the job was cancelled or the JVM that started it died.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.5
JOB, CLAIMED, APPLICATION = "job.json", "claimed.json", "application.json"
ENDED, CANCELLED, LOG, ALIVE = "ended.json", "cancelled.json", "log.txt", "alive"


def main(place: Path) -> int:
    """Claim the job and run it; 0 also when it was claimed or cancelled before."""
    if (place / CANCELLED).exists() or not claim(place):
        return 0
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)  # so that its children can be ended with it
    log = os.open(place / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
    job = json.loads((place / JOB).read_text())
    os.environ.update(job["environment"])
    watch = threading.Thread(target=watch_over, args=(place, os.getppid()), daemon=True)
    watch.start()
    code = run(job["command"])
    end_application()
    write(place / ENDED, {"code": code})
    return code


def claim(place: Path) -> bool:
    """Say whether this driver is the one that runs the job."""
    # standalone workers start a driver in a directory that is called like it
    told = {"driver": Path.cwd().name, "at": time.time()}
    try:
        handle = os.open(place / CLAIMED, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(handle)
    return True


def run(command: list[str]) -> int:
    """Do what `python` would with these words; give its exit code."""
    first, rest = command[0], command[1:]
    try:
        if first == "-c":
            sys.argv = ["-c", *rest[1:]]
            program = compile(rest[0], "<string>", "exec")
            exec(program, {"__name__": "__main__"})  # noqa: S102  # it is the job that was asked for
        elif first == "-m":
            sys.argv = [rest[0], *rest[1:]]
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [first, *rest]
            sys.path.insert(0, os.path.dirname(os.path.abspath(first)))
            runpy.run_path(first, run_name="__main__")
    except SystemExit as end:
        return exit_code(end.code)
    except BaseException:  # noqa: BLE001  # a job may raise anything, and its end is told
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def exit_code(said: object) -> int:
    """Give the number that Python would end with."""
    if said is None:
        return 0
    if isinstance(said, int):
        return said & 0xFF
    print(said, file=sys.stderr)
    return 1


def end_application() -> None:
    """Stop the Spark application if the job left it running."""
    found = context()
    if found is not None:
        found.stop()


def context() -> Any:
    """Give the active Spark context, None if the job has none."""
    loaded = sys.modules.get("pyspark")
    return getattr(getattr(loaded, "SparkContext", None), "_active_spark_context", None)


def watch_over(place: Path, parent: int) -> None:
    """Show that the job lives, say where its application is, and end it when it must end."""
    told = False
    while True:
        cancelled = (place / CANCELLED).exists()
        if cancelled or os.getppid() != parent:
            why = "it was cancelled" if cancelled else "the JVM of its driver died"
            write(place / ENDED, {"code": -9, "why": why})
            os.killpg(0, signal.SIGKILL)
        (place / ALIVE).touch()
        found = None if told else context()
        if found is not None:
            told = say_where(place, found)
        time.sleep(LOOK_SECONDS)


def say_where(place: Path, found: Any) -> bool:
    """Write down the application's name and the address of its pages; False: not yet known."""
    try:
        told = {"id": found.applicationId, "ui": found.uiWebUrl}
    except Exception:  # noqa: BLE001  # it is only being made, or is ending
        return False
    write(place / APPLICATION, told)
    return True


def write(path: Path, told: dict[str, Any]) -> None:
    """Replace a small file in one move."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
