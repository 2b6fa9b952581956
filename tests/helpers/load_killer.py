"""Kill a daemon under load at random moments, start another, and see all to its end.

    python load_killer.py DIRECTORY DATABASE_URL RUNS KILLS SEED

Each daemon is a process of its own, forked from this one, which has imported everything.
Writes one JSON line: how many were killed, and the exit code of the last one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from line_killer import in_child

from waystage.expressions.grammar import parser

PLAYER = Path(__file__).parents[1] / "crash" / "player.py"


def player() -> Any:
    """Give the module that plays."""
    spec = importlib.util.spec_from_file_location("player", PLAYER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def daemon(played: Any) -> int:
    """Start a daemon; gives its process."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        played.main()
        code = 0
    except SystemExit as error:
        print(error, file=sys.stderr)
    finally:
        os._exit(code)


def size(file: Path) -> int:
    """Say how much was done."""
    return file.stat().st_size if file.exists() else 0


def kill(played: Any, file: Path, wait: float) -> bool:
    """Let a daemon begin to work, then kill it; False when it had nothing left to do."""
    before, child = size(file), daemon(played)
    while size(file) == before:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main(place: str, url: str, runs: str, kills: str, seed: str) -> None:
    """Kill, see to the end, tell."""
    sys.argv = ["player", place, url, runs]
    played, chance, done = player(), random.Random(seed), 0
    parser()
    modules = in_child(lambda: _modules(played, url))
    for module in modules:
        importlib.import_module(module)  # once here, not once in each fork
    file = Path(place) / "effects.txt"
    while done < int(kills) and kill(played, file, chance.random() * 0.4):
        done += 1
    code = os.waitstatus_to_exitcode(os.waitpid(daemon(played), 0)[1])
    print(json.dumps({"kills": done, "code": code}))


def _modules(played: Any, url: str) -> list[str]:
    """Open the database, and say what that imports."""
    played.Store(url).close()
    ours = ("waystage", "alembic", "sqlalchemy", "apscheduler", "psycopg")
    return [name for name in sys.modules if name.partition(".")[0] in ours]


if __name__ == "__main__":
    main(*sys.argv[1:6])
