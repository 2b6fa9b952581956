"""Steps that kill who calls them, and lifecycles that go in circles: parked, and soon."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from bare_engine import BareEngine
from fault_rows import scaled
from hostile_plugins import Hostile

from waystage.plugin import Done, Step

MORE = "retry: {max: 6, backoff: {first: PT0.01S, max: PT0.02S}}"
KILLING = ("segfault", "exit", "kill")


class Quick(Step):
    """Do nothing.

    - use: circle.quick
    """

    use: ClassVar[str] = "circle.quick"
    inline: ClassVar[bool] = True
    refuses: ClassVar[bool] = False

    def run(self, ctx: Any) -> Done:
        return Done()


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Hostile]:
    """Give a daemon on a project of hostile plugins."""
    found = Hostile(tmp_path, "sqlite:///waystage.db")
    for do in KILLING:
        found.lifecycle(do, f"[{{use: hostile.evil, id: it, with: {{do: {do}}}, {MORE}}}]")
    found.start()
    yield found
    found.stop()


def poisoned(hostile: Hostile, number: int) -> int:
    """Let steps kill their processes; count those that were not parked after the third."""
    runs = [hostile.open(KILLING[n % len(KILLING)]) for n in range(number)]
    kinds = {run: hostile.incident(run).kind for run in runs}
    calls = Counter(line.split("/")[0] for line in hostile.lines("calls.txt"))
    return sum(kinds[run] != "poison" or calls[run] != 3 for run in runs)


def test_a_step_that_kills_its_process_is_called_three_times(
    hostile: Hostile, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = scaled(full=60, part=3)
    wrong = poisoned(hostile, number)
    monkeypatch.setattr("waystage.kernel.work.POISON", 1000)
    planted = poisoned(hostile, 1)
    assert planted, "the check does not see the planted bug"
    record(
        fault="a step that kills who calls it",
        promise="in quarantine after three crashes",
        tried=number,
        wrong=wrong,
        how="processes of steps that die of a segmentation fault, SIGKILL, or by themselves; a "
        "daemon that dies three times with its step is shown in tests/crash",
        caught="no limit: called six times, as often as `retry` says",
    )


def circle(chance: random.Random) -> str:
    """Write a lifecycle that goes round without ever waiting."""
    size = chance.randint(1, 6)
    lines = []
    for n in range(size):
        after = (n + 1) % size if n + 1 == size or chance.random() < 0.7 else chance.randrange(size)
        steps = "steps: [{use: circle.quick}], " * (chance.random() < 0.8 or n == 0)
        wait = "" if steps else "steps: [{use: circle.quick, if: 'false'}], "
        lines.append(f"  s{n}: {{{steps}{wait}next: {{done: s{after}}}}}")
    end = "  end: {final: true}"
    return "\n".join(["lifecycle: circle", "services: [s]", "initial: s0", "states:", *lines, end])


def circled(bare: BareEngine, seeds: range) -> int:
    """Let runs go in circles; count those that were not parked after a hundred moves."""
    runs = [bare.open(bare.lifecycle(circle(random.Random(seed))), f"k{seed}") for seed in seeds]
    wrong = 0
    for run in runs:
        bare.until(lambda run=run: bare.store.incidents(run=run), pause=0.002)
        moves = sum(line.startswith("moved") for line in bare.said(run))
        wrong += (
            bare.store.incidents(run=run)[0].kind != "endless" or moves != 101
        )  # it begins nothing there
    return wrong


def test_what_goes_in_circles_is_parked_after_a_hundred_moves(
    tmp_path: Path, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = scaled(full=500, part=8)
    bare = BareEngine(f"sqlite:///{tmp_path / 'waystage.db'}", {Quick.use: Quick})
    wrong = circled(bare, range(number))
    monkeypatch.setattr("waystage.kernel.moves.HOP_LIMIT", 1000)
    planted = circled(bare, range(number, number + 2))
    bare.stop()
    assert planted, "the check does not see the planted bug"
    record(
        fault="a lifecycle that goes in circles",
        promise="parked after 100 transitions without a wait",
        tried=number,
        wrong=wrong,
        how="circles of one to six states made by chance, which `validate` would refuse",
        caught=f"a limit of 1,000: {planted} of 2 not parked in time",
    )
