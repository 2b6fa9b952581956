"""How many steps are called at once: what a daemon takes, and what the operator allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import counted_plugins
import pytest
from counted_plugins import Counted
from hostile_plugins import Hostile

from waystage.daemon.executors.limits import Limits, Room
from waystage.spec.execution import AtOnce

Make = Callable[..., Hostile]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Give a maker of projects; all of a test share the counting."""
    monkeypatch.setattr(counted_plugins, "COUNTED", Counted())
    made: list[Hostile] = []

    def project(execution: str, url: str = "sqlite:///waystage.db") -> Hostile:
        place = tmp_path / str(len(made))
        place.mkdir()
        made.append(Hostile(place, url, f"execution: {execution}\n"))
        made[-1].lifecycle("busy", "[{use: hostile.busy}]")
        made[-1].lifecycle("waits", "[{use: hostile.busy, with: {waits: 3}}]")
        made[-1].lifecycle("held", "[{use: hostile.busy, with: {held: true}}]")
        made[-1].lifecycle("kind", "[{use: hostile.kind}]")
        return made[-1]

    yield project
    counted_plugins.COUNTED.let_go.set()
    for each in made:
        each.stop()


def ends(hostile: Hostile, runs: list[str]) -> None:
    for run in runs:
        hostile.until(lambda run=run: hostile.outcome(run) == "done")


@pytest.mark.parametrize("lifecycle", ["busy", "waits"])
def test_a_plugin_is_under_way_no_more_often_than_the_operator_says(make, lifecycle):
    hostile = make("{at_once: {plugin: {hostile.busy: 2}}}")
    hostile.start()
    runs = [hostile.open(lifecycle) for _ in range(9)]
    ends(hostile, runs)
    assert counted_plugins.COUNTED.most["all"] == 2


def test_each_service_has_a_count_of_its_own_below_one_pattern(make):
    hostile = make('{at_once: {service: {"*": 2, t: 1}}}')
    hostile.start()
    runs = [hostile.open("waits", service) for _ in range(5) for service in "st"]
    ends(hostile, runs)
    most = counted_plugins.COUNTED.most
    assert (most["s"], most["t"]) == (2, 1)


def test_a_stage_has_its_own_count(make):
    hostile = make("{at_once: {stage: {PROD: 1}}}")
    hostile.lifecycle("dev", "[{use: hostile.busy, with: {held: true}}]", stage="DEV")
    hostile.lifecycle("prod", "[{use: hostile.busy, with: {waits: 1}}]", stage="PROD")
    hostile.start()
    runs = [hostile.open(name) for _ in range(4) for name in ("dev", "prod")]
    hostile.until(lambda: counted_plugins.COUNTED.now["DEV"] > 1)
    counted_plugins.COUNTED.let_go.set()
    ends(hostile, runs)
    most = counted_plugins.COUNTED.most
    assert most["PROD"] == 1


def test_what_is_over_its_limit_holds_nothing_else_up(make):
    hostile = make("{threads: 4, at_once: {plugin: {hostile.busy: 1}}}")
    hostile.start()
    held = [hostile.open("held") for _ in range(6)]
    kind = [hostile.open("kind") for _ in range(6)]
    ends(hostile, kind)
    assert counted_plugins.COUNTED.now["all"] == 1
    counted_plugins.COUNTED.let_go.set()
    ends(hostile, held)
    assert counted_plugins.COUNTED.most["all"] == 1


def test_a_daemon_claims_no_more_than_it_has_threads_for_and_rests_meanwhile(make):
    hostile = make("{threads: 3}")
    daemon = hostile.start()
    runs = [hostile.open("held") for _ in range(12)]
    hostile.until(lambda: counted_plugins.COUNTED.now["all"] == 3)
    time.sleep(0.1)
    with daemon.store.reading() as connection:
        assert len(daemon.store.owned(connection, daemon.engine.owner)) == 3
    commits = sum(daemon.engine.meter.counted().commits.counts)
    time.sleep(1.0)
    assert sum(daemon.engine.meter.counted().commits.counts) - commits < 10, "the writer spins"
    counted_plugins.COUNTED.let_go.set()
    ends(hostile, runs)


def test_two_daemons_keep_one_limit_together(make, postgres_url):
    setting = "{at_once: {plugin: {hostile.busy: 2}}}"
    first, second = make(setting, postgres_url), make(setting, postgres_url)
    first.start()
    second.start()
    runs = [first.open("waits") for _ in range(6)]
    runs += [second.open("busy", "t") for _ in range(6)]
    ends(first, runs)
    assert counted_plugins.COUNTED.most["all"] == 2


def test_a_limit_of_the_name_goes_before_that_of_a_pattern():
    limits = Limits(AtOnce(plugin={"batch.*": 3, "batch.train": 1, "*": 9}))
    assert [limits.of(("plugin", use)) for use in ("batch.train", "batch.score", "x")] == [1, 3, 9]
    room = Room(limits, [("batch.train", "", "s")])
    assert room.full("plugin") == ["batch.train"]
    assert not room.take("batch.train", "", "s")
    assert [room.take("batch.score", "", "s") for _ in range(4)] == [True, True, True, False]
