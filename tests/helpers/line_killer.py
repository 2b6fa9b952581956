"""Play a lifecycle in a forked process and kill it with SIGKILL when it comes to a line.

    python line_killer.py once|twice LIFECYCLE SHARE OF [TRIES] [BUG]

Tries each line of the engine that the lifecycle comes to, or TRIES of them, and writes a JSON
line for each: whether it crashed there, and what came out otherwise. SHARE of OF is for several
processes at once.

Fork costs a millisecond and everything is imported already, so that every line of the engine
can be tried. Lines are told by Python's tracing, of all threads.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import piloted
from planted import plant

import waystage
from waystage.expressions.grammar import parser
from waystage.store import Store

Line = tuple[str, int]
ENGINE = str(Path(waystage.__file__).parent)
# memory, where there is such a place: what is shown is not what a disk does
FAST = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


def in_child(work: Callable[[], Any]) -> Any:
    """Do it in a fork; gives its answer, or the negative signal that ended it.

    Raises `RuntimeError` with what it raised.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        code = 1
        try:
            answer = json.dumps(work())
            code = 0
        except BaseException as error:  # noqa: BLE001  # told as an answer
            answer = f"{type(error).__name__}: {error}"
        with os.fdopen(theirs, "w") as file:
            file.write(answer)
        os._exit(code)
    os.close(theirs)
    with os.fdopen(ours) as file:
        said = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    if os.WEXITSTATUS(status):
        raise RuntimeError(said)
    return json.loads(said)


def kill_at(line: Line, passing: int) -> None:
    """End this process when any of its threads comes to the line for the n-th time."""
    name, number, left = line[0], line[1], [passing]

    def local(frame: Any, event: str, _: Any) -> Any:
        if event == "line" and frame.f_lineno == number:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return local

    def each(frame: Any, _event: str, _: Any) -> Any:
        code = frame.f_code
        if code.co_filename != name or not any(n == number for *_, n in code.co_lines()):
            return None
        return local

    threading.settrace(each)
    sys.settrace(each)


def counting(passed: Counter[Line]) -> None:
    """Count how often each line of the engine is come to."""

    def local(frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            passed[(frame.f_code.co_filename, frame.f_lineno)] += 1
        return local

    def each(frame: Any, _event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename.startswith(ENGINE) else None

    threading.settrace(each)
    sys.settrace(each)


@dataclass
class Killer:
    """Plays one lifecycle again and again, each time in a fresh place."""

    lifecycle: str
    bug: str = ""
    calm: dict[str, Any] = field(default_factory=dict)
    passed: dict[Line, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="waystage-faults-", dir=FAST))
        # in a fork, too: what is open here would be open in all that follow
        in_child(lambda: Store(f"sqlite:///{self._home / 'empty.db'}").close())
        with self.place() as place:
            for module in in_child(lambda: self._modules(place)):
                importlib.import_module(module)  # once here, not once in each fork
        parser()
        piloted.compiled(piloted.TEXTS[self.lifecycle])
        gc.collect()
        gc.disable()  # a collector would touch, and so copy, all memory in each fork

    def prepare(self) -> None:
        """Play once without a crash; keep how it ends and which lines it comes to."""
        with self.place() as place:
            self.passed = dict(self._lines(place))
            self.calm = self.ended(place)

    def close(self) -> None:
        """Throw everything away."""
        shutil.rmtree(self._home, ignore_errors=True)

    def place(self) -> _Place:
        """Give a fresh directory with an empty database, for the block."""
        return _Place(self._home)

    def crash(self, place: Path, line: Line, passing: int) -> bool:
        """Play with a crash at the line; says whether it came to it."""
        try:
            return bool(in_child(lambda: self._play(place, lambda: kill_at(line, passing))))
        except RuntimeError:
            if not self.bug:
                raise
            return False  # stuck before the crash: that is what the bug does

    def ended(self, place: Path) -> dict[str, Any]:
        """Go on without a crash and tell how all of it ended."""

        def work() -> dict[str, Any]:
            plant(self.bug)
            pilot = piloted.Pilot(place, self.lifecycle)
            lost = piloted.acknowledged_but_lost(pilot)
            pilot.play()
            return piloted.outcome(pilot) | {"lost": lost}

        try:
            return dict(in_child(work))
        except RuntimeError as error:
            return {"stuck": str(error)}

    def once(self, line: Line, passing: int) -> dict[str, Any]:
        """Crash there and go on; says whether it crashed, and what ended otherwise."""
        with self.place() as place:
            crashed = self.crash(place, line, passing)
            return self._told(crashed, place, line)

    def twice(self, first: tuple[Line, int], second: tuple[Line, int]) -> dict[str, Any]:
        """Crash, and crash again while another goes on."""
        with self.place() as place:
            crashed = self.crash(place, *first) and self.crash(place, *second)
            return self._told(crashed, place, first[0], second[0])

    def _told(self, crashed: bool, place: Path, *lines: Line) -> dict[str, Any]:
        ended = self.ended(place)
        other = {name: value for name, value in ended.items() if self.calm.get(name) != value}
        return {"crashed": crashed, "other": other, "at": lines if other else ()}

    def any_lines(self, chance: random.Random) -> Iterator[tuple[Line, int]]:
        """Give lines and passings at random."""
        lines = sorted(self.passed)
        while True:
            line = chance.choice(lines)
            yield line, chance.randint(1, self.passed[line])

    def _play(self, place: Path, trace: Callable[[], None]) -> None:
        plant(self.bug)
        trace()
        piloted.Pilot(place, self.lifecycle).play()

    def _modules(self, place: Path) -> list[str]:
        self._play(place, lambda: None)
        ours = ("waystage", "alembic", "sqlalchemy", "apscheduler", "pydantic", "transitions")
        return [name for name in sys.modules if name.partition(".")[0] in ours]

    def _lines(self, place: Path) -> Iterator[tuple[Line, int]]:
        def work() -> list[tuple[Line, int]]:
            passed: Counter[Line] = Counter()
            self._play(place, lambda: counting(passed))
            sys.settrace(None)
            return list(passed.items())

        for line, count in in_child(work):
            yield tuple(line), count


def every_line(killer: Killer, share: int, of: int, tries: int) -> Iterator[dict[str, Any]]:
    """Crash at each line, at one of its passings."""
    chance = random.Random(20260301)
    lines = sorted(killer.passed)
    if killer.bug:  # it lies where something is written, not where files are read
        lines = [line for line in lines if "/daemon/" in line[0] or "/store/" in line[0]]
    lines = chance.sample(lines, tries) if tries else lines
    for line in lines[share::of]:
        told = killer.once(line, chance.randint(1, killer.passed[line]))
        # how often a line is passed hangs on timing; its first passing does hardly ever
        yield told if told["crashed"] else killer.once(line, 1)


def double_crashes(killer: Killer, share: int, of: int, tries: int) -> Iterator[dict[str, Any]]:
    """Crash twice at lines by chance."""
    chance, done = random.Random(share), 0
    lines = killer.any_lines(chance)
    while done < tries // of:
        told = killer.twice(next(lines), next(lines))
        done += told["crashed"]
        if told["crashed"] or told["other"]:  # else it ended before it came to one of them
            yield told


def main(how: str, lifecycle: str, share: int, of: int, tries: int = 0, bug: str = "") -> None:
    """Try, and tell of each try."""
    stopping: list[int] = []  # nobody listens any more: the try that is under way is the last
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    killer = Killer(lifecycle, bug)
    try:
        killer.prepare()
        assert set(killer.calm.get("findings", "?")) == set(), killer.calm
        if bug:
            piloted.PATIENCE = 1.5  # what is stuck for ever need not be waited for
        ways = {"once": every_line, "twice": double_crashes}
        for told in ways[how](killer, share, of, tries):
            print(json.dumps(told), flush=True)
            if stopping:
                return
    finally:
        killer.close()


class _Place:
    """A directory for a block."""

    def __init__(self, home: Path) -> None:
        self._path, self._home = Path(tempfile.mkdtemp(dir=home)), home

    def __enter__(self) -> Path:
        shutil.copy(self._home / "empty.db", self._path / "waystage.db")
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:6]), *sys.argv[6:])
