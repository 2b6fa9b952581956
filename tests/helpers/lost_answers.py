"""Steps whose answers are lost, played by daemons that may die; a process of its own.

    python -c "import lost_answers; lost_answers.main()" DIRECTORY SEEDS [blind]

The world is a file per run: one line for each time that something acted. A step loses its
answer `times` times, in the way that its `mode` says, and then behaves. Prints a JSON list with
what became of each run.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from waystage.daemon import calls
from waystage.daemon.daemon import Daemon
from waystage.daemon.decisions import repairing
from waystage.errors import Conflict, Retryable
from waystage.people import Caller
from waystage.plugin import Done, Step

KINDS = ("safe", "look", "ask")
DEADLY = ("daemon_before", "daemon_after")
MODES = ("raise_before", "raise_after", "hang_after", "exit_before", "exit_after", "person_after",
         *DEADLY)  # fmt: skip
SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64, "author": "dana"}


class Acting(Step):
    """Act once per call, and lose the answer a few times.

    - use: lost.safe
      with: {mode: raise_after}
    """

    use: ClassVar[str] = "lost.safe"
    refuses: ClassVar[bool] = False
    mode: str
    most: int = 2  # times that the answer is lost

    def run(self, ctx: Any) -> Done:
        world = ctx.project / "world" / ctx.run
        lost = world.with_suffix(".lost")
        count = len(lost.read_text()) if lost.exists() else 0
        when = self.mode.partition("_")[2]
        times = random.Random(ctx.run).randint(1, self.most)
        if count < times and when == "before":
            self._lose(lost)
        if ctx.cancelled:  # its time was over before it began
            raise Retryable("nothing was done")
        if self.repeat != "safe" or not world.exists():  # what is safe is so by its key
            with world.open("a") as file:
                file.write(f"{ctx.key}\n")
        if count < times:
            self._lose(lost)
        return Done()

    def look(self, ctx: Any) -> Done | None:
        world = ctx.project / "world" / ctx.run
        seen = world.with_suffix(".looked")
        if random.Random(ctx.run).random() < 0.3 and not seen.exists():
            seen.touch()
            raise ConnectionResetError("the world does not answer")
        return Done() if world.exists() else None

    def _lose(self, lost: Path) -> None:
        with lost.open("a") as file:
            file.write("x")
        how = self.mode.partition("_")[0]
        if how == "hang":
            time.sleep(1.5)
        elif how == "exit":
            os._exit(9)
        elif how == "daemon":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ConnectionResetError("connection reset by peer")


class Looking(Acting):
    """The same, and it can find out whether it acted.

    - use: lost.look
      with: {mode: raise_after}
    """

    use: ClassVar[str] = "lost.look"
    repeat: ClassVar[Any] = "look"


class Asking(Acting):
    """The same, and nobody but a person can find out.

    - use: lost.ask
      with: {mode: raise_after}
    """

    use: ClassVar[str] = "lost.ask"
    repeat: ClassVar[Any] = "ask"


class AwaySafe(Acting):
    """In a process of its own.

    - use: lost.away_safe
      with: {mode: exit_after}
    """

    use: ClassVar[str] = "lost.away_safe"
    isolated: ClassVar[bool] = True


class AwayLook(Looking):
    """In a process of its own.

    - use: lost.away_look
      with: {mode: exit_after}
    """

    use: ClassVar[str] = "lost.away_look"
    isolated: ClassVar[bool] = True


class AwayAsk(Asking):
    """In a process of its own.

    - use: lost.away_ask
      with: {mode: exit_after}
    """

    use: ClassVar[str] = "lost.away_ask"
    isolated: ClassVar[bool] = True


NEAR = {each.use: each for each in (Acting, Looking, Asking)}
CATALOG = NEAR | {each.use: each for each in (AwaySafe, AwayLook, AwayAsk)}


def write_project(root: Path, ways: list[tuple[str, str]], most: int) -> None:
    """Write a project with a lifecycle for each kind and mode."""
    (root / "lifecycles").mkdir(parents=True)
    (root / "world").mkdir()
    (root / "waystage.yaml").write_text(
        "project: lost\ndatabase: sqlite:///waystage.db\nservices: {s: {}}\n"
    )
    for kind, mode in ways:
        use = f"lost.away_{kind}" if mode.startswith("exit") else f"lost.{kind}"
        tries = 1 if mode.startswith("person") else 5
        name = name_of(kind, mode)
        (root / "lifecycles" / f"{name}.yaml").write_text(
            f"lifecycle: {name}\nservices: [s]\ninitial: work\nstates:\n  work:\n"
            f"    steps:\n      - use: {use}\n        with: {{mode: {mode}, most: {most}}}\n"
            f"        timeout: {'PT0.3S' if mode.startswith('hang') else 'PT30S'}\n"
            f"        retry: {{max: {tries}, backoff: {{first: PT0.01S, max: PT0.02S}}}}\n"
            "    next: {done: end}\n  end: {final: true}\n"
        )


def name_of(kind: str, mode: str) -> str:
    """Name the lifecycle of a kind and a mode."""
    return f"{kind}-{mode.replace('_', '-')}"


def see_to(daemon: Daemon, names: list[str]) -> None:
    """Open the runs, or take them up, and see each to its end; a person mends what is parked."""
    opened = {}
    for name in names:
        definition = daemon.definitions.by_name(name.rpartition("-")[0])
        opening = daemon.opening(definition, "s", SNAPSHOT, "dana", name)
        opened[name] = daemon.engine.open(opening).result(timeout=300)
    end = time.monotonic() + 120
    left = dict(opened)
    while left:
        for name, run in list(left.items()):
            row = daemon.store.run(run)
            assert row is not None
            if row.status == "ended":
                (daemon.root / "world" / f"{run}.ended").touch()
                (daemon.root / "world" / f"{name}.run").write_text(run)
                del left[name]
            else:
                mend(daemon, run)
        if daemon.engine.failure or time.monotonic() > end:
            sys.exit(f"stuck: {left} {daemon.engine.failure}")
        time.sleep(0.01)


def mend(daemon: Daemon, run: str) -> None:
    """Say what is true where nobody knew; have tried again what failed."""
    for incident in daemon.store.incidents(run=run):
        held = (daemon.root / "world" / run).exists()
        how = "skip" if incident.kind == "uncertain" and held else "retry"
        note = daemon.root / "world" / f"{run}.{incident.kind}"
        note.touch()
        said = repairing(incident.id, how, Caller("otto", "test"), {"reason": "looked"})
        with suppress(Conflict):  # it is being tried again already
            daemon.engine.act(said).result(timeout=300)


def live(root: Path, names: list[str], catalog: dict[str, type[Acting]]) -> int:
    """Have a daemon of its own see to the runs, in a process that it may take with it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            daemon = Daemon(root, catalog=catalog)
            daemon.start()
            see_to(daemon, names)
            code = 0
        except BaseException:  # noqa: BLE001  # the parent's frames are not this life's to leave by
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Play them all: those that kill nobody together, the others one by one."""
    root, seeds = Path(sys.argv[1]), range(int(sys.argv[2]))
    ways = list(itertools.product(KINDS, MODES))
    if sys.argv[3:] == ["blind"]:  # planted: only what was cut off is looked up first
        calls._called_before = lambda claim: claim.tries > 1
        ways = [("look", mode) for mode in MODES if mode in ("raise_after", "person_after")]
    calm = [way for way in ways if way[1] not in DEADLY]
    few = DEADLY if len(seeds) > 1 else DEADLY[1:]
    deadly = [way for way in ways if way[1] in few]
    found = play(root / "calm", calm, seeds)
    assert live(root / "calm", list(found), CATALOG) == 0
    lives, dead = 0, play(root / "deadly", deadly, seeds)
    for name in dead:
        lives += live_on(root / "deadly", name)
    runs = [told(root / place, name) for place, names in (("calm", found), ("deadly", dead))
            for name in names]  # fmt: skip
    print(json.dumps({"lives": lives, "runs": runs}))


def play(root: Path, ways: list[tuple[str, str]], seeds: range) -> list[str]:
    """Write the project and give the names of its runs."""
    write_project(root, ways, 2 if len(seeds) > 1 else 1)
    return [f"{name_of(*way)}-{seed}" for way in ways for seed in seeds]


def live_on(root: Path, name: str) -> int:
    """Start daemons until one lives to see the run's end; give how many there were."""
    for lives in range(1, 6):
        code = live(root, [name], NEAR)
        if code == 0:
            return lives
        assert code == -signal.SIGKILL, f"{name}: {code}"
    raise AssertionError(f"{name}: it kills for ever")


def told(root: Path, name: str) -> dict[str, Any]:
    """Say what became of a run."""
    world = root / "world" / (root / "world" / f"{name}.run").read_text()
    acts = len(world.read_text().splitlines()) if world.exists() else 0
    ended, asked = world.with_suffix(".ended"), world.with_suffix(".uncertain")
    return {"name": name, "acts": acts, "ended": ended.exists(), "asked": asked.exists()}
