"""Holding what came of a scenario against what it expects, each difference with its line."""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.places import YamlPath
from waystage.errors import Problem
from waystage.kernel import Run
from waystage.simulate.cure import cure
from waystage.simulate.prepared import Prepared
from waystage.simulate.script import Script
from waystage.simulate.simulation import Sent, Simulation
from waystage.simulate.told import told
from waystage.spec.load import Loaded
from waystage.spec.scenario import ExpectedMessage, Scenario
from waystage.spec.values import format_duration

LONGEST_WAY = 12


def differences(
    loaded: Loaded[Scenario], prepared: Prepared, sim: Simulation, script: Script, why: str
) -> list[Problem]:
    """Give everything that did not come as expected."""
    holds = _Expectations(loaded, prepared, sim, why)
    found = [*holds.states(), *holds.end(), *holds.data(), *holds.messages(), *holds.incidents()]
    found += holds.time()
    found += [(path, f"{text}; {why}") for path, text in script.left()]
    return [told(loaded, path, text) for path, text in found]


class _Expectations:
    def __init__(
        self, loaded: Loaded[Scenario], prepared: Prepared, sim: Simulation, why: str
    ) -> None:
        self.spec, self.expect = loaded.spec, loaded.spec.expect
        self.prepared, self.sim, self.why = prepared, sim, why

    def states(self) -> Iterator[tuple[YamlPath, str]]:
        """Follow `passes` through the states that were entered; look for `never`."""
        way = [visit.state for visit in self.sim.visits]
        place, before = 0, ""
        for number, written in enumerate(self.expect.passes):
            named = self.prepared.named(written)
            found = next((n for n in range(place, len(way)) if way[n] in named), None)
            if found is None:
                then = f" after {before}" if before else ""
                path: YamlPath = ("expect", "passes", number)
                yield path, f"the run never came to {written}{then}; it went {self._way(way)}"
                break
            place, before = found + 1, written
        for number, written in enumerate(self.expect.never):
            hit = next(
                (v for v in self.sim.visits if v.state in self.prepared.named(written)), None
            )
            if hit is not None:
                yield ("expect", "never", number), f"the run came to {hit.state} at {_at(hit.at)}"

    def _way(self, way: list[str]) -> str:
        leaves = [s for s in way if self.prepared.definition.nodes[s].leaf]
        lead = "… → " if len(leaves) > LONGEST_WAY else ""
        return lead + " → ".join(leaves[-LONGEST_WAY:])

    def end(self) -> Iterator[tuple[YamlPath, str]]:
        """Look where the run is, and how it ended."""
        run = self.sim.run
        for number, written in enumerate(self.expect.ends_in):
            if not self._is_in(run, written):
                places = ", ".join(run.places)
                yield (
                    ("expect", "ends_in", number),
                    f"the run is in {places}, not in {written}; {self.why}",
                )
        wanted = self.expect.outcome
        if wanted is not None and (run.status, run.outcome) != ("ended", wanted):
            how = f"the run has not ended; {self.why}"
            if run.status == "ended":
                how = f"the outcome is {run.outcome}, not {wanted}"
            yield ("expect", "outcome"), how

    def _is_in(self, run: Run, written: str) -> bool:
        inside = {node for leaf in run.places for node in self.prepared.definition.lineage(leaf)}
        return bool(self.prepared.named(written) & inside)

    def data(self) -> Iterator[tuple[YamlPath, str]]:
        """Compare variables."""
        for name, wanted in self.expect.data.items():
            has = self.sim.run.data.get(name)
            if has != wanted or isinstance(has, bool) != isinstance(wanted, bool):
                yield ("expect", "data", name), f"{name} is {has!r}, not {wanted!r}"

    def messages(self) -> Iterator[tuple[YamlPath, str]]:
        """Follow `messages` through what was sent."""
        place = 0
        for number, wanted in enumerate(self.expect.messages):
            rest = range(place, len(self.sim.sent))
            found = next((n for n in rest if _says(self.sim.sent[n], wanted)), None)
            if found is None:
                sent = "; ".join(_shown(each) for each in self.sim.sent[place:][:6]) or "none"
                yield ("expect", "messages", number), f"no such message was sent; there was {sent}"
                return
            place = found + 1

    def incidents(self) -> Iterator[tuple[YamlPath, str]]:
        """Incidents are those that are expected, in this order, and no others."""
        wanted = list(self.expect.incidents)
        for parked in self.sim.parked:
            if wanted and parked.state in self.prepared.named(wanted[0]):
                del wanted[0]
                continue
            text = f"{parked.state} is parked ({parked.kind}): {parked.message}"
            yield (
                ("expect", "incidents"),
                text + cure(self.prepared, self.sim.world.catalog, parked.message),
            )
        for number in range(len(wanted)):
            place = len(self.expect.incidents) - len(wanted) + number
            yield ("expect", "incidents", place), "there was no such incident"

    def time(self) -> Iterator[tuple[YamlPath, str]]:
        """Compare how long it took until the last thing happened."""
        took, most = self.sim.now - self.spec.begins, self.expect.within
        if most is not None and took > most:
            text = f"it took {format_duration(took)}, more than {format_duration(most)}"
            yield ("expect", "within"), text


def _says(sent: Sent, wanted: ExpectedMessage) -> bool:
    return (
        wanted.to in (None, sent.to)
        and wanted.title in (None, sent.title)
        and wanted.level in (None, sent.level)
        and (wanted.text is None or wanted.text in sent.text)
    )


def _shown(sent: Sent) -> str:
    return f"{sent.state} to {sent.to or 'the people of the task'}: {sent.title} {sent.text!r}"


def _at(at: object) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
