"""What one run tells others: of its own snapshot by a signal, of older ones by a new champion."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from waystage.daemon.opening import Opening
from waystage.plugin import Championed, Deployed, Done, Signalled, Undeployed, Waiting

LISTENING = """
lifecycle: listening
services: ["*"]
initial: rest
states:
  rest:
    signals: [snapshot.retired, snapshot.superseded]
    next: {snapshot.retired: gone, snapshot.superseded: old}
  gone: {final: true, outcome: gone}
  old: {final: true, outcome: old}
"""
TELLING = """
lifecycle: telling
services: ["*"]
initial: tell
states:
  tell:
    steps: [{use: test.act, with: {do: tell}}]
    next: {done: told, refused: told}
  told: {final: true}
"""


@pytest.fixture
def runs(bench: Any) -> Any:
    """Open a run on a version of the model, of one lifecycle or the other."""
    count: list[str] = []

    def opening(text: str, version: str, service: str = "s") -> str:
        definition = bench.lifecycle(text)
        bench.definitions._compiled[definition.hash] = definition
        snapshot = {"name": "credit", "version": version, "digest": "sha256:" + "0" * 64}
        count.append(version)
        opened = Opening(definition, service, snapshot, f"key-{len(count)}", "dana")
        found: str = bench.engine.open(opened).result(timeout=120)
        return found

    return opening


def outcome(bench: Any, run: str) -> str:
    row = bench.store.run(run)
    return f"{row.status} {row.outcome}".strip()


def test_a_signal_reaches_the_other_runs_of_the_snapshot_and_service(bench: Any, runs: Any) -> None:
    mine, other = runs(LISTENING, "1"), runs(LISTENING, "2")
    elsewhere = runs(LISTENING, "1", service="t")
    bench.play.answers["tell"] = [Done(facts=(Signalled(name="snapshot.retired"),))]
    teller = runs(TELLING, "1")
    bench.until(lambda: bench.store.run(mine).status == "ended")
    assert (outcome(bench, teller), outcome(bench, mine)) == ("ended done", "ended gone")
    assert outcome(bench, other) == outcome(bench, elsewhere) == "open"


def test_a_new_champion_supersedes_what_is_on_older_snapshots_also_what_began_late(
    bench: Any, runs: Any
) -> None:
    first = runs(LISTENING, "1")
    bench.play.answers["tell"] = [Waiting(timedelta(days=1)), Done(facts=(Championed(),))]
    runs(TELLING, "2")
    review, newer = runs(LISTENING, "1"), runs(LISTENING, "3")
    bench.turn(timedelta(days=1))
    bench.until(lambda: bench.store.run(review).status == "ended")
    bench.until(lambda: bench.store.run(first).status == "ended")
    assert outcome(bench, review) == outcome(bench, first) == "ended old"
    assert outcome(bench, newer) == "open"


DEPLOYING = TELLING.replace("lifecycle: telling", "lifecycle: deploying")


def champions(bench: Any) -> list[tuple[str, str]]:
    rows = bench.store.placements(service="s")
    return [(row.snapshot, row.role) for row in rows]


def test_taking_a_champion_out_makes_the_one_behind_it_the_champion_again(
    bench: Any, runs: Any
) -> None:
    there = Deployed(stage="PROD", runtime="okd", mode="online")
    gone = Undeployed(stage="PROD", runtime="okd")
    for version, facts, left in (
        ("1", (there,), [("credit/1", "champion")]),
        ("2", (there,), [("credit/2", "champion"), ("credit/1", "previous")]),
        ("3", (there, gone), [("credit/2", "champion"), ("credit/1", "previous")]),
        ("1", (gone,), [("credit/2", "champion")]),
        ("2", (gone,), []),
    ):
        bench.play.answers["tell"] = [Done(facts=facts)]
        run = runs(DEPLOYING, version)
        bench.until(lambda run=run: bench.store.run(run).status == "ended")
        assert champions(bench) == left
