"""Runs by chance: looking for a state with no way on, for errors in expressions, for circles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from random import Random

from waystage.simulate.cast import open_run, people_of, service_of, tags_of
from waystage.simulate.explore import Explorer, Option
from waystage.simulate.prepared import Prepared
from waystage.simulate.together import Together
from waystage.simulate.world import World

MOST_CHOICES = 150
WORK_AT_ONE_INSTANT = 120
SUSPECT = ("expression", "guard", "unhandled", "endless")
NEVER = "skip"  # what an operator skips leaves results out: that is no fault of a lifecycle
PATIENCE = (2, 10, 100)  # how much likelier in a run what leads on is than what ends things


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a lifecycle should not come to, the way to it, and the seed of the run."""

    kind: str
    state: str
    message: str
    seed: int
    tags: dict[str, str]
    way: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Searched:
    """What runs by chance came to."""

    runs: int
    choices: int
    ended: int
    findings: tuple[Finding, ...]


def search(prepared: Prepared, world: World, begins: datetime, runs: int, seed: int) -> Searched:
    """Play runs with the seeds from `seed` on; of equal findings the shortest way is kept."""
    found: dict[tuple[str, str, str], Finding] = {}
    choices = ended = 0
    for number in range(seed, seed + runs):
        run = _Run(prepared, world, begins, number)
        finding = run.play()
        choices += len(run.way)
        ended += run.together.first.ended
        if finding is not None:
            key = (finding.kind, finding.state, finding.message)
            before = found.get(key)
            if before is None or len(finding.way) < len(before.way):
                found[key] = finding
    return Searched(runs, choices, ended, tuple(found.values()))


class _Run:
    """One run by chance."""

    def __init__(self, prepared: Prepared, world: World, begins: datetime, seed: int) -> None:
        self.seed, self.chance = seed, Random(seed)  # noqa: S311  # nothing secret hangs on it
        self.tags = self.chance.choice(tags_of(prepared))
        run = open_run(prepared, world, service_of(prepared, world), self.tags, {})
        people = people_of(prepared, world)
        self.together = Together(Explorer(prepared, world, run, begins, people, self.chance))
        self.patience = self.chance.choice(PATIENCE)
        self.way: list[str] = []
        self._still = 0

    def play(self) -> Finding | None:
        """Choose until the run ends, something is found, or it has gone on long enough."""
        while len(self.way) < MOST_CHOICES:
            found = self._suspect()
            if found is not None or self.together.first.ended:
                return found
            options = [each for each in self.together.options()
                       if each.name.rpartition("/")[2] != NEVER]  # fmt: skip
            if not options:
                return self._finding("dead end", self._place(), self._why_not())
            self._choose(options)
            if self._still > WORK_AT_ONE_INSTANT:
                text = f"{self._still} events at one instant: it goes in circles"
                return self._finding("endless", self._place(), text)
        return None

    def _choose(self, options: list[Option]) -> None:
        weights = [self.patience if each.onward else 1 for each in options]
        chosen = self.chance.choices(options, weights)[0]
        before = self._now
        self.way.append(f"{chosen.state}: {chosen.name}")
        chosen.act({})
        waits = chosen.kind in ("task", "signal", "repair") or self._now > before
        self._still = 0 if waits else self._still + 1

    @property
    def _now(self) -> datetime:
        return self.together.first.explorer.sim.now

    def _suspect(self) -> Finding | None:
        for member in self.together.members:
            for parked in member.explorer.sim.parked:
                if parked.kind in SUSPECT:
                    return self._finding(parked.kind, member.lead + parked.state, parked.message)
        return None

    def _place(self) -> str:
        return ", ".join(member.lead + place for member in self.together.live
                         for place in member.explorer.sim.run.places)  # fmt: skip

    def _why_not(self) -> str:
        tasks = [task for member in self.together.live
                 for task in member.explorer.sim.pending.tasks.values()]  # fmt: skip
        if tasks:
            titles = ", ".join(f"“{task.body['title']}”" for task in tasks)
            return f"nobody may answer {titles}, and nothing else can happen"
        return "nothing can happen any more, and the run has not ended"

    def _finding(self, kind: str, state: str, message: str) -> Finding:
        return Finding(kind, state, message, self.seed, self.tags, tuple(self.way))
